"""The database beside Optuna's: studies, trials, latencies, trainings."""
