"""Model and training settings of published recipes, by name (parameter ``preset``).

A preset changes defaults: what a parameter file says wins. The sizes are those of the authors'
code: kchua/handful-of-trials (PETS: ``dmbrl/config``), google-research/pddm (``config/*.txt``),
jannerm/mbpo (``examples/config``, ``constructor.py``).
"""

from __future__ import annotations

from typing import Any


def _pets(width: int, layers: int, learning_rate: float, decay: list[float]) -> dict[str, Any]:
    """Chua et al., NeurIPS 2018: five probabilistic networks, five epochs after each trial."""
    return {
        'model.kind': 'probabilistic',
        'model.members': 5,
        'model.hidden': [width] * layers,
        'model.activation': 'silu',
        'training.batches': 'bootstrap',
        'training.batch_size': 32,
        'training.epochs': 5,
        'training.every_episodes': 1,
        'training.every_steps': 0,
        'training.learning_rate': learning_rate,
        'training.final_learning_rate': learning_rate,
        'training.weight_decay': decay,
    }


def _pddm(width: int, epochs: int) -> dict[str, Any]:
    """Nagabandi et al., CoRL 2019: three deterministic networks, from scratch each time."""
    return {
        'model.kind': 'deterministic',
        'model.members': 3,
        'model.hidden': [width, width],
        'model.activation': 'relu',
        'training.batches': 'shared',
        'training.batch_size': 512,
        'training.epochs': epochs,
        'training.every_steps': 0,
        'training.from_scratch': True,
        'training.noise': 0.01,
        'training.learning_rate': 1e-3,
        'training.final_learning_rate': 1e-3,
    }


PRESETS: dict[str, dict[str, Any]] = {
    'none': {},
    'pets': _pets(200, 4, 1e-3, [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]),
    'pets_cartpole': _pets(500, 3, 1e-3, [1e-4, 2.5e-4, 2.5e-4, 5e-4]),
    'pets_reacher': _pets(200, 4, 7.5e-4, [2.5e-4, 5e-4, 5e-4, 5e-4, 7.5e-4]),
    'pets_pusher': _pets(200, 3, 1e-3, [2.5e-4, 5e-4, 5e-4, 7.5e-4]),
    'pets_halfcheetah': _pets(200, 4, 1e-3, [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4]),
    'pddm': _pddm(250, 40),
    'pddm_ant': _pddm(400, 50),
    'mbpo': {
        # Janner et al., NeurIPS 2019: seven networks, five elites, reward learned, early stopping.
        'model.kind': 'probabilistic',
        'model.members': 7,
        'model.elites': 5,
        'model.hidden': [200, 200, 200, 200],
        'model.activation': 'silu',
        'model.reward': True,
        'training.batches': 'bootstrap',
        'training.batch_size': 256,
        'training.epochs': 1000,
        'training.patience': 6,
        'training.every_episodes': 0,
        'training.every_steps': 250,
        'training.holdout_fraction': 0.2,
        'training.holdout_block': 1,
        'training.learning_rate': 1e-3,
        'training.final_learning_rate': 1e-3,
        'training.weight_decay': [2.5e-5, 5e-5, 7.5e-5, 7.5e-5, 1e-4],
    },
}
