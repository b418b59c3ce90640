"""Limits of the left-ventricular ejection fraction (LVEF), per cent."""

REDUCED_EF = 40.0
"""An EF of at most this is reduced, as heart failure with reduced EF is defined."""
