"""Augmentation: plan which clips to make, make them, let the gate accept or refuse, keep a record of every attempt.

plan        what is wanted: sample ids, conditioning frames, target EFs
acceptance  when the gate accepts
attempts    attempts at each planned sample, until one is accepted
manifest    one synced line per attempt; the source of truth when a run continues
writer      accepted clips -> a dataset in EchoNet format, marked as synthetic
augment     the balance of a dataset's EF histogram, from plan to dataset
"""
