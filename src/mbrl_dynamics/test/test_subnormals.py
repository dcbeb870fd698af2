"""Numbers that are too small to be fast are zero within, and what they were before afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbrl_dynamics.subnormals import without_subnormals

SMALL = 1e-40  # a float of 32 bits, but not a normal one


def taken_for_zero() -> bool:
    return torch.tensor(SMALL).mul(1.0).item() == 0.0


@pytest.mark.parametrize('before', [False, True])
def test_they_are_zero_within_and_as_before_afterwards(before: bool) -> None:
    assert torch.set_flush_denormal(before)
    try:
        with without_subnormals():
            assert taken_for_zero()
        assert taken_for_zero() == before
        with pytest.raises(KeyError), without_subnormals():
            raise KeyError
        assert taken_for_zero() == before
    finally:
        torch.set_flush_denormal(False)
    assert np.float32(SMALL) * np.float32(1.0) != 0.0
