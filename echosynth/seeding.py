"""Seeds by hash, so that a sample depends on its name alone and never on order, batch or process.

    seed = first 63 bits of SHA-256("root/part/part/...")

Every random draw in the library takes a generator made here; there are no global seeds.
"""

import hashlib

import torch


def derive_seed(root: int, *parts: int | str) -> int:
    """Return the seed of one named thing, e.g. `derive_seed(root, sample_id, attempt, "sr1")`.

    Returns:
        An integer in [0, 2**63).
    """
    name = "/".join(str(part) for part in (root, *parts))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def make_generator(root: int, *parts: int | str) -> torch.Generator:
    """Return a CPU generator seeded by `derive_seed`. CPU, so that the noise is the same on every device."""
    return torch.Generator().manual_seed(derive_seed(root, *parts))
