"""One Accelerate loop for every cascade stage and every regressor."""
