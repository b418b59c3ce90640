"""Counted work, time and memory of cascades, regressors, data and training."""
