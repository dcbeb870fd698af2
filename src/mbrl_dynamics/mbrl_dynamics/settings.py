"""Settings of the dynamics core; at the same time the parameters of the node ``dynamics``."""

from __future__ import annotations

import dataclasses

from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import TaskSettings


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The ensemble's shape (section ``model``)."""

    members: int = setting('networks in the ensemble', 5, ge=1, le=64)
    hidden: tuple[int, ...] = setting('units of each hidden layer', (128, 128), ge=1, le=4096)
    activation: str = setting(
        'nonlinearity of the hidden layers', 'silu', choices=('silu', 'tanh', 'relu')
    )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """When to train, for how long and how (section ``training``)."""

    after_episode: bool = setting('train when an episode has ended', True)
    updates_after_episode: int = setting(
        'gradient updates of a training after an episode, or on request', 3000, ge=1, le=10_000_000
    )
    train_every_steps: int = setting(
        'train within an episode whenever so many transitions are new; 0: never', 50, ge=0, le=10**9
    )
    updates_within_episode: int = setting(
        'gradient updates of a training within an episode', 1000, ge=1, le=10_000_000
    )
    min_transitions: int = setting('no training on fewer transitions', 50, ge=2, le=10**9)
    learning_rate: float = setting("Adam's step size at the start", 1e-3, ge=1e-8, le=1.0)
    final_learning_rate: float = setting(
        "Adam's step size at the end, reached along a cosine", 1e-3, ge=0.0, le=1.0
    )
    weight_decay: float = setting('L2 penalty on weights and biases', 0.0, ge=0.0, le=1.0)
    batch_size: int = setting('transitions per member and update', 32, ge=1, le=65536)
    holdout_fraction: float = setting(
        'share of the transitions that is never trained on, to measure the error',
        0.05,
        ge=0.0,
        le=0.5,
    )
    niceness: int = setting(
        'how much the training gives way to the rest of the machine', 5, ge=0, le=19
    )


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Where the dataset lives (section ``data``)."""

    folder: str = setting(
        'run folder for bags (data/) and models (models/); empty: nothing is kept on disk', ''
    )
    resume: bool = setting(
        'go on with what the folder holds; false: the folder must hold none', True
    )
    keep_models: int = setting('newest models kept in the folder', 20, ge=1, le=10**9)
    extra_bags: tuple[str, ...] = setting(
        'bags, or folders of bags, recorded elsewhere, to learn from as well', ()
    )


@dataclasses.dataclass(frozen=True)
class DynamicsSettings:
    """All settings of the dynamics core and node."""

    task: TaskSettings
    model: ModelSettings
    training: TrainingSettings
    data: DataSettings
    seed: int = setting('seed of the initial weights, bootstrap and batches', 0, ge=0)

    def __post_init__(self) -> None:
        if not self.model.hidden:
            raise SettingsError(["parameter 'model.hidden' is empty; it must name a hidden layer"])
        if self.training.final_learning_rate > self.training.learning_rate:
            raise SettingsError(
                [
                    "parameter 'training.final_learning_rate' is "
                    f'{self.training.final_learning_rate:g}; it must not be above '
                    f"'training.learning_rate', {self.training.learning_rate:g}"
                ]
            )
