"""Files that are whole or absent, run folders, locks, provenance, and the store of models."""
