"""A clip of ultrasound: what it is, how it is read, written, resampled and cropped. Knows no dataset and no network."""
