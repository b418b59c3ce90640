"""Evaluation: how true and how lifelike generated clips are, in numbers that carry their protocol.

config, cases   which patients, which models
runner          generates, measures and records: `evaluate`
records, pairs  the lines of samples.jsonl, and those of clips against their true counterfactual
result          records -> every score, the JSON of `evaluate`
features        the judge's feature space
measure, explain, reading, readers   what regressors read in clips, and where they find it
probe, linear_probe, fine_tune       what regressors know beside EF
"""
