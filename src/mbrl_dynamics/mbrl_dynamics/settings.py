"""Settings of the dynamics core; at the same time the parameters of the node ``dynamics``."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from mbrl_common.settings import SettingsError, setting
from mbrl_common.task import TaskSettings
from mbrl_dynamics.batches import KINDS
from mbrl_dynamics.encoding import Encoding
from mbrl_dynamics.ensemble import ACTIVATIONS, Architecture
from mbrl_dynamics.presets import PRESETS
from mbrl_dynamics.snapshot import Limits
from mbrl_dynamics.symmetry import Symmetry, closure, parse


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """The ensemble, and what it sees and predicts (section ``model``)."""

    kind: str = setting(
        "'probabilistic': mean and variance of each target (PETS); 'deterministic': the mean alone "
        '(PDDM)',
        'probabilistic',
        choices=('probabilistic', 'deterministic'),
    )
    members: int = setting('networks in the ensemble', 5, ge=1, le=64)
    elites: int = setting(
        'members that predict: those with the lowest held-out loss; 0: all', 0, ge=0, le=64
    )
    hidden: tuple[int, ...] = setting('units of each hidden layer', (128, 128), ge=1, le=4096)
    activation: str = setting(
        'nonlinearity of the hidden layers', 'silu', choices=tuple(ACTIVATIONS)
    )
    history: int = setting(
        'past states and actions that the model sees, the current ones included', 1, ge=1, le=64
    )
    inputs_left_out: tuple[str, ...] = setting(
        'entries of the state that the model does not see, such as a position that matters nothing',
        (),
    )
    targets_absolute: tuple[str, ...] = setting(
        'entries of the state whose next value is predicted, not their change', ()
    )
    targets_left_out: tuple[str, ...] = setting(
        'entries of the state that are predicted not to change, such as a target', ()
    )
    input_clip: float = setting(
        'scaled inputs are clipped to so many deviations when predicting; 0: not at all',
        0.0,
        ge=0.0,
        le=1e6,
    )
    state_low: tuple[float, ...] = setting(
        'lower bounds of predicted states, per entry [units of the state]; empty: none', ()
    )
    state_high: tuple[float, ...] = setting(
        'upper bounds of predicted states, per entry [units of the state]; empty: none', ()
    )
    reward: bool = setting('learn the reward, as one more target', False)
    termination: bool = setting('learn the probability that a step ends the episode', False)


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """When to train, for how long and how (section ``training``)."""

    every_episodes: int = setting(
        'train whenever so many episodes have ended; 0: never', 1, ge=0, le=10**9
    )
    updates_after_episode: int = setting(
        'gradient updates of a training after an episode, or on request', 3000, ge=1, le=10_000_000
    )
    every_steps: int = setting(
        'train within an episode whenever so many transitions are new; 0: never', 50, ge=0, le=10**9
    )
    updates_within_episode: int = setting(
        'gradient updates of a training within an episode', 1000, ge=1, le=10_000_000
    )
    epochs: int = setting(
        'passes through the data, for every training, in place of a number of updates; 0: updates',
        0,
        ge=0,
        le=1_000_000,
    )
    patience: int = setting(
        'end when the held-out loss of no member has become 1 % better in so many epochs (of at '
        'least 25 updates), and take the best weights of each; 0: never',
        0,
        ge=0,
        le=1_000_000,
    )
    from_scratch: bool = setting(
        'begin each training with new random weights, not with those of the last model', False
    )
    min_transitions: int = setting('no training on fewer transitions', 50, ge=2, le=10**9)
    batches: str = setting(
        "'bootstrap': each member has its own draw with replacement; 'shuffled': all data, in an "
        "order of its own; 'shared': the same batches for all members",
        'bootstrap',
        choices=KINDS,
    )
    batch_size: int = setting('transitions per member and update', 32, ge=1, le=65536)
    learning_rate: float = setting("Adam's step size at the start", 1e-3, ge=1e-8, le=1.0)
    final_learning_rate: float = setting(
        "Adam's step size at the end, reached along a cosine", 1e-3, ge=0.0, le=1.0
    )
    weight_decay: tuple[float, ...] = setting(
        'L2 penalty on the weights: one for all layers, or one per layer, the last included',
        (0.0,),
        ge=0.0,
        le=1.0,
    )
    noise: float = setting(
        "noise on training inputs and targets, as a share of each one's deviation",
        0.0,
        ge=0.0,
        le=1.0,
    )
    symmetries: tuple[str, ...] = setting(
        "symmetries of the robot, each as 'left=right, right=left, yaw=-yaw': transitions are "
        'learned from as their mirror images, too',
        (),
    )
    holdout_fraction: float = setting(
        'share of the transitions that is never trained on, to measure the error',
        0.05,
        ge=0.0,
        le=0.5,
    )
    holdout_block: int = setting(
        'transitions in a row that are held out together; 0: whole episodes', 10, ge=0, le=10**6
    )
    threads: int = setting(
        'threads of a training, at most one per member; 0: as many as there are processors. The '
        'model does not depend on it',
        0,
        ge=0,
        le=1024,
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
        "bags, or folders of bags, recorded elsewhere, to learn from as well; also a robot's own",
        (),
    )
    joint_state_topics: tuple[str, ...] = setting(
        "robot's bags: topics of the joint states (sensor_msgs/JointState)", ('joint_states',)
    )
    command_topic: str = setting(
        "robot's bags: topic of the commands (std_msgs/Float64MultiArray, "
        'trajectory_msgs/JointTrajectory or mbrl_msgs/Command)',
        'effort_controller/commands',
    )
    trajectory_field: str = setting(
        "robot's bags: what of a JointTrajectory's points is the action",
        'position',
        choices=('position', 'velocity', 'effort'),
    )
    max_gap: float = setting(
        "robot's bags: longest time between two joint states within an episode [s]; 0: two control "
        'periods',
        0.0,
        ge=0.0,
        le=60.0,
    )
    command_timeout: float = setting(
        "robot's bags: how long a command is in force if no other comes [s]; 0: two control "
        'periods',
        0.0,
        ge=0.0,
        le=3600.0,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationSettings:
    """How models are measured on held-out data (section ``evaluation``)."""

    after_training: bool = setting('measure each new model', True)
    horizon: int = setting(
        'steps ahead, along the recorded actions; as far as held-out data reach', 25, ge=1, le=1000
    )
    particles: int = setting('particles that a window is carried along with', 20, ge=1, le=1000)
    windows: int = setting('at most so many windows are carried along', 500, ge=1, le=100_000)
    plots: bool = setting(
        'draw pictures after each training that follows an episode, if there is a run folder', True
    )
    keep: int = setting('newest evaluations kept in the run folder', 20, ge=1, le=10**9)


@dataclasses.dataclass(frozen=True)
class DynamicsSettings:
    """All settings of the dynamics core and node."""

    task: TaskSettings
    model: ModelSettings
    training: TrainingSettings
    evaluation: EvaluationSettings
    data: DataSettings
    preset: str = setting(
        'recipe that the defaults of model and training come from', 'none', choices=tuple(PRESETS)
    )
    seed: int = setting('seed of the initial weights, bootstrap and batches', 0, ge=0)

    PRESETS: ClassVar = PRESETS

    def __post_init__(self) -> None:
        model, training, task = self.model, self.training, self.task
        problems = []
        if not model.hidden:
            problems.append("parameter 'model.hidden' is empty; it must name a hidden layer")
        if model.elites > model.members:
            problems.append(
                f"parameter 'model.elites' is {model.elites}; it must not be above "
                f"'model.members', {model.members}"
            )
        for name in ('inputs_left_out', 'targets_absolute', 'targets_left_out'):
            unknown = [entry for entry in getattr(model, name) if entry not in task.state]
            if unknown:
                problems.append(
                    f"parameter 'model.{name}' has {unknown[0]!r}; 'task.state' has "
                    f'{", ".join(task.state)}'
                )
        if set(model.targets_left_out) >= set(task.state):
            problems.append(
                "parameter 'model.targets_left_out' has every entry of the state; one must be left"
            )
        for name, other in (('targets_absolute', 'targets_left_out'),):
            both = sorted(set(getattr(model, name)) & set(getattr(model, other)))
            if both:
                problems.append(
                    f"'model.{name}' and 'model.{other}' both have {both[0]!r}; it can be in one"
                )
        for name in ('state_low', 'state_high'):
            entries = len(getattr(model, name))
            if entries not in (0, task.state_dim):
                problems.append(
                    f"parameter 'model.{name}' has {entries} entries; 'task.state' has "
                    f'{task.state_dim}'
                )
        if not all(low < high for low, high in zip(model.state_low, model.state_high)):
            problems.append("'model.state_low' must be below 'model.state_high' in every entry")
        if training.final_learning_rate > training.learning_rate:
            problems.append(
                f"parameter 'training.final_learning_rate' is {training.final_learning_rate:g}; "
                f"it must not be above 'training.learning_rate', {training.learning_rate:g}"
            )
        if len(training.weight_decay) not in (1, len(model.hidden) + 1):
            problems.append(
                f"parameter 'training.weight_decay' has {len(training.weight_decay)} entries; it "
                f'must have one, or one for each of the {len(model.hidden) + 1} layers'
            )
        if training.patience > 0 and training.holdout_fraction == 0:
            problems.append(
                "'training.patience' needs held-out data: 'training.holdout_fraction' must be "
                'above 0'
            )
        try:
            self.symmetries()
        except ValueError as error:
            problems.append(f"parameter 'training.symmetries': {error}")
        if problems:
            raise SettingsError(problems)

    def architecture(self) -> Architecture:
        """The ensemble that these settings describe."""
        model, task = self.model, self.task

        def indices(names: tuple[str, ...]) -> tuple[int, ...]:
            return tuple(sorted(task.state.index(name) for name in names))

        encoding = Encoding(
            state_dim=task.state_dim,
            action_dim=task.action_dim,
            angles=task.angle_indices,
            inputs_left_out=indices(model.inputs_left_out),
            targets_absolute=indices(model.targets_absolute),
            targets_left_out=indices(model.targets_left_out),
            history=model.history,
        )
        return Architecture(
            encoding,
            members=model.members,
            hidden=model.hidden,
            activation=model.activation,
            probabilistic=model.kind == 'probabilistic',
            learns_reward=model.reward,
            learns_termination=model.termination,
        )

    def limits(self) -> Limits:
        """What predictions are kept within."""
        return Limits(self.model.input_clip, self.model.state_low, self.model.state_high)

    def symmetries(self) -> tuple[Symmetry, ...]:
        """What each transition is learned from as, beside itself."""
        generators = [parse(text, self.task) for text in self.training.symmetries]
        return tuple(closure(generators, self.task.angle_indices))
