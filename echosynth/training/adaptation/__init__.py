"""Readers tuned to a scanner from clips without labels."""
