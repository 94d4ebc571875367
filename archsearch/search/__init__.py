"""The search: everything that knows Optuna."""

import warnings

# Optuna's progress bar, which nobody is shown, would say in a notebook without ipywidgets that it cannot be drawn.
warnings.filterwarnings("ignore", message="IProgress not found")
