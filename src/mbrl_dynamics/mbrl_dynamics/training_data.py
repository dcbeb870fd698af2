"""Transitions as a training takes them: split, encoded, scaled; and how well they are predicted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from mbrl_dynamics.ensemble import Architecture, Outputs, Weights
from mbrl_dynamics.gradient import data_loss
from mbrl_dynamics.history import windows
from mbrl_dynamics.holdout import held_out
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.relative_error import relative_error
from mbrl_dynamics.settings import TrainingSettings
from mbrl_dynamics.symmetry import Symmetry, with_images
from mbrl_dynamics.transitions import Transitions

LARGEST_EVALUATION = 2000  # held-out transitions that losses and errors are measured on


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """Inputs [N, I], targets [N, T] and ends [N, 1] to learn from, scaled, float32; and held-out
    ones, to measure on."""

    architecture: Architecture
    inputs: torch.Tensor
    targets: torch.Tensor
    ends: torch.Tensor | None
    input_scaling: Normalizer
    target_scaling: Normalizer
    held_out_inputs: torch.Tensor
    held_out_targets: torch.Tensor
    held_out_ends: torch.Tensor | None
    held_out_change: np.ndarray  # of the predicted entries of the state, [H, P]

    @property
    def size(self) -> int:
        """N, transitions that are learned from."""
        return len(self.inputs)

    @property
    def held_out(self) -> int:
        """Transitions that are measured on."""
        return len(self.held_out_inputs)

    def predict(self, weights: Weights) -> Outputs:
        """What each member says of the held-out transitions."""
        members = self.architecture.members
        return weights.forward(self.held_out_inputs.expand(members, -1, -1))

    def losses(self, outputs: Outputs) -> np.ndarray:
        """Held-out loss of each member, float64 [M]; NaN if nothing is held out."""
        members = self.architecture.members
        ends = self.held_out_ends
        return np.asarray(
            data_loss(
                outputs,
                self.held_out_targets.expand(members, -1, -1),
                None if ends is None else ends.expand(members, -1, -1),
            ).double()
        )

    def errors(self, outputs: Outputs) -> np.ndarray:
        """Held-out error of each member relative to predicting no change, float64 [M]."""
        members = range(self.architecture.members)
        return np.array([self.error(outputs, [member]) for member in members])

    def error(self, outputs: Outputs, members: list[int]) -> float:
        """Held-out error of the mean of some members relative to predicting no change."""
        encoding = self.architecture.encoding
        predicted = len(encoding.predicted)
        mean = outputs.mean[members, :, :predicted].double().mean(0).numpy()
        scaling = self.target_scaling
        target = mean * scaling.std[:predicted] + scaling.mean[:predicted]
        truth = self.held_out_targets[:, :predicted].double().numpy()
        truth = truth * scaling.std[:predicted] + scaling.mean[:predicted]
        # An absolute target differs from the change by the state, which cancels in the difference.
        return relative_error(self.held_out_change + target - truth, self.held_out_change)


def held_out_of(transitions: Transitions, settings: TrainingSettings) -> np.ndarray:
    """Which transitions are not trained on, bool [N]."""
    mask = held_out(
        transitions.episode, transitions.step, settings.holdout_fraction, settings.holdout_block
    )
    if mask.all():  # few and long episodes: there must be something to learn from
        mask[:] = False
    return mask


def prepare(
    transitions: Transitions,
    architecture: Architecture,
    settings: TrainingSettings,
    generator: torch.Generator,
    symmetries: Sequence[Symmetry] = (),
) -> TrainingData | None:
    """Make training data of transitions; None if their scaling is not finite.

    Args:
        transitions: all of them, the held-out ones included.
        architecture: what the networks see and predict.
        settings: how much is held out, and how much noise is added.
        generator: of the noise.
        symmetries: whose images are learned from as well; reward and end are those of the original.
    """
    encoding = architecture.encoding
    state, action = windows(transitions, encoding.history)
    mask = held_out_of(transitions, settings)
    measured = np.flatnonzero(mask)
    measured = measured[:: max(1, -(-len(measured) // LARGEST_EVALUATION))]

    def part(
        rows: np.ndarray, maps: Sequence[Symmetry]
    ) -> tuple[np.ndarray, np.ndarray, torch.Tensor | None]:
        states = [state[rows], transitions.state[rows], transitions.next_state[rows]]
        (seen, start, reached), done = with_images(maps, states, action[rows])
        targets = encoding.targets(start, reached)
        times = len(maps) + 1
        if architecture.learns_reward:
            reward = np.tile(transitions.reward[rows], times)
            targets = np.concatenate([targets, reward[:, None]], axis=1)
        ends = None
        if architecture.learns_termination:
            ended = np.tile(transitions.terminated[rows], times)
            ends = torch.from_numpy(ended[:, None].astype(np.float32))
        return encoding.inputs(seen, done), targets, ends

    inputs, targets, ends = part(np.flatnonzero(~mask), symmetries)
    held_out_inputs, held_out_targets, held_out_ends = part(measured, ())
    input_scaling, target_scaling = Normalizer.fit(inputs), Normalizer.fit(targets)
    if not np.isfinite([*input_scaling.std, *target_scaling.std]).all():
        return None

    def scaled(normalizer: Normalizer, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(normalizer.normalize(values)).float()

    train_inputs, train_targets = scaled(input_scaling, inputs), scaled(target_scaling, targets)
    if settings.noise > 0:
        for values in (train_inputs, train_targets):
            values.add_(torch.randn(values.shape, generator=generator), alpha=settings.noise)
    predicted = list(encoding.predicted)
    change = transitions.next_state[measured] - transitions.state[measured]
    return TrainingData(
        architecture,
        train_inputs,
        train_targets,
        ends,
        input_scaling,
        target_scaling,
        scaled(input_scaling, held_out_inputs),
        scaled(target_scaling, held_out_targets),
        held_out_ends,
        change[:, predicted],
    )
