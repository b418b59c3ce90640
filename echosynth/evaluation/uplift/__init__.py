"""Uplift: does training with synthetic clips help? Arms of regressors that differ in their clips alone.

config  what is compared
sets    the clips of every arm
runner  trains and tests every arm, shared by processes
scores  errors, and differences with intervals
"""
