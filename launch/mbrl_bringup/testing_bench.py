"""For tests of ``mbrl bench``."""

from __future__ import annotations

import math
from typing import Any

from mbrl_bringup.bench.rows import Row, machine, versions


def row(seed: int = 0, episode: int = 0, **changes: Any) -> Row:
    """A row of the cart-pole, with fields changed as told."""
    values: dict[str, Any] = {
        'task': 'cartpole_swingup',
        'recipe': 'pets',
        'settings': 'abc',
        'unchanged': True,
        'seed': seed,
        'episode': episode,
        'kind': 'planned',
        'steps': 200,
        'environment_steps': 200 * (episode + 1),
        'episode_return': 0.1 + 0.2,  # has no short decimal form
        'score': math.nan,
        'terminated': False,
        'model_error': 1 / 3,
        'holdout_error': math.nan,
        'model_version': 4,
        'model_steps': 50_000,
        'plan_time_p50': 0.01,
        'plan_time_p95': 0.02,
        'training_time': 1.5,
        'wall_time': 9.0,
        'versions': versions(),
        'machine': machine(),
    }
    return Row(**(values | changes))
