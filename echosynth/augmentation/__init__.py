"""Augmentation: plan which clips are wanted, generate them, let the gate accept or refuse, record every attempt.

generate      the verb `generate`: its config, and frames and EFs -> gated clips
augment       the verb `augment`: fills the EF histogram of a dataset, from plan to dataset
session       one run of `generate` or `demo`, and its result
conditioning  what a user names -> conditioning frames
fictional     conditioning frames of fictional patients, sampled by the cascade
plan          what is wanted: sample ids, conditioning frames, target EFs
models        cascade, gate and judge of a run
sampling      how a clip is sampled from a cascade
ranges        the range of every number that may be asked for
attempts      attempts at each sample, until one is accepted
acceptance    when the gate accepts
manifest      one synced line per attempt; the source of truth when a run continues
clip_folder   the clips of `generate`, with previews
writer        accepted clips of `augment` -> a dataset in EchoNet format, marked as synthetic
"""
