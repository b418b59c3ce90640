"""Augmentation: plan which clips are wanted, generate them, let the gate accept or refuse, record every attempt.

generate           the verb `generate`: its config, and frames and EFs -> gated clips
augment            the verb `augment`: fills the EF histogram of a dataset; augment_config: its config
session            one run of `generate` or `demo`, and its result
conditioning       what a user names -> conditioning frames
fictional          conditioning frames of fictional patients, sampled by the cascade
plan               what is wanted: sample ids, conditioning frames, target EFs
work               what a run makes, in parts that processes share; ray_engine: a Ray cluster's processes
models             cascade, gate and judge of a run
sampling           how a clip is sampled from a cascade
ranges             the range of every number that may be asked for
attempts           attempts at each sample, until one is accepted
acceptance         when the gate accepts
manifest           one synced line per attempt; the source of truth when a run continues
tracing            the left ventricle of a clip as the gate finds it
clip_folder        the clips of `generate`, with previews
synthetic_dataset  accepted clips of `augment` -> a dataset; writer: in EchoNet format; tar_writer: as tars
"""
