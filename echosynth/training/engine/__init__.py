"""The training loop, the run around it, checkpoints, the optimiser, sharding."""
