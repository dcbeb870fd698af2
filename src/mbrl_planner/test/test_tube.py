"""Tubes and what is left out of long paths."""

from __future__ import annotations

import numpy as np
import pytest

from mbrl_planner.tube import faces, thinned, tube

TIME = np.linspace(0.0, 1.0, 30)
PATHS = {
    'helix': np.stack([np.cos(6 * TIME), np.sin(6 * TIME), TIME], -1),
    'straight': np.outer(TIME, [0.0, 0.0, 1.0]),
    'with rests': np.repeat(np.cumsum(np.eye(3), 0), 4, axis=0),
    'at rest': np.ones((5, 3)),
    'a single point': np.zeros((1, 3)),
}


@pytest.mark.parametrize('name', PATHS)
def test_corners_are_a_radius_away_and_across_the_path(name: str) -> None:
    path = PATHS[name]
    radius = np.linspace(0.1, 0.5, len(path))
    rings = tube(path, radius, sides=8)
    spokes = rings - path[:, None]
    distance = np.linalg.norm(spokes, axis=-1)
    np.testing.assert_allclose(distance, np.repeat(radius[:, None], 8, 1), rtol=1e-9)
    np.testing.assert_allclose(rings.mean(1), path, atol=1e-12)
    ways = np.diff(path, axis=0)
    np.testing.assert_allclose(np.einsum('nsi,ni->ns', spokes[:-1], ways), 0.0, atol=1e-9)


def test_the_surface_of_a_straight_tube_is_closed_around_it() -> None:
    rings = tube(PATHS['straight'], np.full(30, 0.2), sides=64).reshape(-1, 3)
    a, b, c = (rings[faces(30, 64)[:, corner]] for corner in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()
    assert area == pytest.approx(2 * np.pi * 0.2 * 1.0, rel=0.01)


def test_a_thinned_path_keeps_its_ends_and_is_even() -> None:
    kept = thinned(101, 11)
    np.testing.assert_array_equal(kept, np.arange(0, 101, 10))
    np.testing.assert_array_equal(thinned(4, 11), np.arange(4))
    assert thinned(1, 11).tolist() == [0]
    assert thinned(0, 11).tolist() == []
