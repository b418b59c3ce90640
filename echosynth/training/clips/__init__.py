"""Where training clips come from: rendered phantoms and datasets, drawn as batches."""
