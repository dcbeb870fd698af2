"""Seeds that belong to a purpose: the same (seed, purpose, numbers) gives the same stream anywhere.

Every random part takes its seed from here, so a run is repeatable step for step whichever process
draws, in whatever order, and whichever process was started again.
"""

from __future__ import annotations

import zlib

import numpy as np


def derive_seed(seed: int, purpose: str, *numbers: int) -> int:
    """A seed below 2**63, as a function of its arguments alone.

    Args:
        seed: the run's seed.
        purpose: what it is for, e.g. ``'plan'``.
        numbers: which of them, e.g. episode and step.
    """
    # The count, because numpy takes zeros at the end of the entropy for nothing.
    entropy = [seed & (2**64 - 1), zlib.crc32(purpose.encode()), len(numbers), *numbers]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
