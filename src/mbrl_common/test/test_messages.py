from __future__ import annotations

from array import array
from types import SimpleNamespace

import numpy as np
import pytest

from mbrl_common.messages import from_field, nanoseconds, seconds, to_field


@pytest.mark.parametrize(
    'values',
    [
        np.arange(6.0).reshape(2, 3),
        np.arange(6.0).reshape(3, 2).T,  # not contiguous
        np.zeros((0, 4)),
        [1, 2, 3],
        np.float32([0.1, 0.2]),
        [np.nan, -np.inf, 5e-324],
        1.5,
    ],
)
def test_numbers_pass_through_unchanged(values):
    field = to_field(values)
    assert isinstance(field, array) and field.typecode == 'd'
    expected = np.asarray(values, dtype=np.float64)
    assert from_field(field).tobytes() == expected.tobytes()


def test_shape_is_given_back():
    values = np.arange(12.0).reshape(2, 3, 2)
    np.testing.assert_array_equal(from_field(to_field(values), (-1, 3, 2)), values)


def test_wrong_shape_is_refused():
    with pytest.raises(ValueError, match='reshape'):
        from_field(to_field([1.0, 2.0]), (3, -1))


def test_what_is_read_is_a_copy():
    field = to_field([1.0])
    from_field(field)[0] = 2.0
    assert field[0] == 1.0


def test_stamps_are_exact_in_nanoseconds():
    stamp = SimpleNamespace(sec=1_900_000_000, nanosec=999_999_999)
    assert nanoseconds(stamp) == 1_900_000_000_999_999_999
    assert seconds(SimpleNamespace(sec=2, nanosec=500_000_000)) == 2.5
