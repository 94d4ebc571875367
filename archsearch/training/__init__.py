"""Short proxies that rank, and full schedules that give the model."""
