"""Clip -> ejection fraction. Every regressor is a diffusers model with one door: `predict(clips)`."""
