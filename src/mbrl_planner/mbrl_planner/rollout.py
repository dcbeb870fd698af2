"""Returns of action sequences in a learned ensemble: ``evaluate`` for the optimisers.

Rows of the model's batch are (problem, candidate, particle); every member carries all of them, so
a step is one batched product per layer and no row ever changes its member (PETS's TS-infinity, or
each member's own mean). Rewards are computed once, for all steps, after the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch

from mbrl_planner.objectives import Objective
from mbrl_planner.settings import PlanningSettings


class Model(Protocol):
    """What is asked of a model: next states of E members, each on its own rows; physical units."""

    @property
    def members(self) -> int:
        """E."""
        ...

    @property
    def state_dim(self) -> int:
        """S."""
        ...

    @property
    def action_dim(self) -> int:
        """A."""
        ...

    def predict_mean(self, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Mean next state [E, N, S] from state [E, N, S] and action [E, N, A]."""
        ...

    def predict(
        self, state: torch.Tensor, action: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and variance of the next state, each [E, N, S]."""
        ...


class Rollout:
    """``evaluate(actions [R, N, H, A]) -> returns [R, N]`` from R states, through one model.

    The return of a candidate is the mean over members (and particles) of the sum of rewards. A
    member that diverges makes it NaN: a candidate is as good as nothing where a member knows
    nothing. Where the objective ends an episode within the horizon, later rewards count nothing.
    """

    def __init__(self, model: Model, objective: Objective, settings: PlanningSettings) -> None:
        self._model = model
        self._objective = objective
        self._sampled = settings.propagation == 'ts_inf'
        self._particles = settings.particles_per_member if self._sampled else 1
        self._states: dict[tuple[int, int, int], torch.Tensor] = {}
        self.model_steps = 0
        """Model steps since ``begin``: one is one row of one member, one step ahead."""

    def begin(
        self, state: torch.Tensor, goal: torch.Tensor, generators: Sequence[torch.Generator]
    ) -> None:
        """Set the R problems: states [R, S], goals [R, G], and a generator each (for particles)."""
        self._start = state
        self._goal = goal[:, None]
        self._generators = generators
        self.model_steps = 0

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Returns [R, N] of ``actions`` [R, N, H, A]."""
        problems, candidates, horizon, action_dim = actions.shape
        members = self._model.members
        each = candidates * self._particles
        rows = problems * each
        # [H, R, N * P, A]: a candidate's particles stand side by side
        steps = actions.permute(2, 0, 1, 3)
        if self._particles > 1:
            steps = steps.repeat_interleave(self._particles, dim=2)
        inputs = steps.reshape(horizon, 1, rows, action_dim).expand(-1, members, -1, -1)

        states = self._buffer(horizon, members, rows)
        states[0].view(members, problems, each, -1).copy_(self._start[:, None])
        state = states[0]
        for action, next_state in zip(inputs.unbind(), states[1:].unbind()):
            if self._sampled:
                self._sample(state, action, next_state)
            else:
                next_state.copy_(self._model.predict_mean(state, action))
            state = next_state
        self.model_steps += horizon * members * rows

        shape = (horizon, members, problems, each)
        next_states = states[1:].view(*shape, -1)
        reward = self._objective.reward(
            states[:-1].view(*shape, -1),
            steps.reshape(horizon, 1, problems, each, action_dim),
            next_states,
            self._goal,
        ).expand(shape)
        if self._objective.can_terminate:
            ended = self._objective.terminated(next_states).cummax(0).values
            reward = reward.clone()
            reward[1:].masked_fill_(ended[:-1], 0.0)
        self._last = states.view(horizon + 1, members, problems, candidates, self._particles, -1)
        returns = reward.sum(0).view(members, problems, candidates, self._particles)
        return returns.mean((0, 3))

    def trajectory(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the states of candidates of the last evaluation.

        Over members and particles, each [R, H + 1, S]; ``index`` [R] says which candidates.
        """
        problems = torch.arange(index.shape[0])
        chosen = self._last[:, :, problems, index]  # [H + 1, E, R, P, S]
        variance, mean = torch.var_mean(chosen, dim=(1, 3), correction=0)
        return mean.transpose(0, 1), variance.sqrt().transpose(0, 1)

    def _buffer(self, horizon: int, members: int, rows: int) -> torch.Tensor:
        """States [H + 1, E, rows, S], used again: fresh memory costs page faults."""
        key = (horizon, members, rows)
        if key not in self._states:
            if len(self._states) == 8:  # populations decay in a few sizes; others come and go
                self._states.clear()
            self._states[key] = torch.empty(horizon + 1, members, rows, self._model.state_dim)
        return self._states[key]

    def _sample(self, state: torch.Tensor, action: torch.Tensor, next_state: torch.Tensor) -> None:
        """Draw ``next_state`` from every member's own distribution."""
        mean, variance = self._model.predict(state, action)
        members, rows, state_dim = mean.shape
        problems = len(self._generators)
        noise = torch.empty(problems, members, rows // problems, state_dim)
        for problem, generator in zip(noise, self._generators):
            problem.normal_(generator=generator)
        noise = noise.transpose(0, 1).reshape(mean.shape)
        torch.addcmul(mean, variance.sqrt(), noise, out=next_state)
