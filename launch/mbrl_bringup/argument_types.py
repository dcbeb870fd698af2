"""What several command lines take as an argument."""

from __future__ import annotations

import argparse
import math


def positive(text: str) -> float:
    """A finite number above 0, for ``type`` of an argument.

    Raises:
        ValueError, argparse.ArgumentTypeError: it is none.
    """
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f'{text} must be above 0')
    return value
