"""The search: everything that knows Optuna."""
