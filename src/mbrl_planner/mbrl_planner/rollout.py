"""Returns of action sequences in a learned ensemble: ``evaluate`` for the optimisers.

Candidates are carried through the model by ``mbrl_dynamics.propagation``. Rewards are computed
once, for all steps, after the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mbrl_dynamics.propagation import Imagined, Model, Propagation
from mbrl_planner.objectives import Objective
from mbrl_planner.settings import PlanningSettings

__all__ = ['Model', 'Rollout']


class Rollout:
    """``evaluate(actions [R, N, H, A]) -> returns [R, N]`` from R states, through one model.

    The return of a candidate is the mean over particles of the sum of rewards, less the members'
    disagreement times its penalty. A member that diverges makes it NaN: a candidate is as good as
    nothing where a member knows nothing. Where the episode ends within the horizon, later rewards
    (and penalties, once all particles have ended) count nothing.
    """

    def __init__(self, model: Model, objective: Objective, settings: PlanningSettings) -> None:
        self._objective = objective
        self._penalty = settings.disagreement_penalty
        self._aversion = settings.risk_aversion
        self._learned_reward = settings.reward == 'model'
        self._learned_end = settings.termination == 'model'
        self._propagation = Propagation(
            model, settings.propagation, settings.particles, self._penalty != 0
        )

    @property
    def model_steps(self) -> int:
        """Model steps since ``begin``: one is one row of one member, one step ahead."""
        return self._propagation.model_steps

    def begin(
        self,
        state: torch.Tensor,
        goal: torch.Tensor,
        generators: Sequence[torch.Generator],
        past_actions: torch.Tensor | None = None,
    ) -> None:
        """Set the R problems.

        Args:
            state: [R, K * S], the last states that the model sees, the newest first.
            goal: [R, G].
            generators: one each, for what is drawn.
            past_actions: [R, (K - 1) * A], the actions that led to them, the newest first.
        """
        self._goal = goal
        self._propagation.begin(state, generators, past_actions)

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Returns [R, N] of ``actions`` [R, N, H, A]."""
        imagined = self._last = self._propagation(actions)
        states = imagined.states
        steps = actions.permute(2, 0, 1, 3)[:, None, :, :, None]  # [H, 1, R, N, 1, A]
        if self._learned_reward:
            assert imagined.reward is not None
            reward = imagined.reward
        else:
            goals = self._objective.goals(self._goal, len(steps))[:, None, :, None, None]
            reward = self._objective.reward(states[:-1], steps, states[1:], goals)
            reward = reward.expand(states[1:].shape[:-1])
        over = self._over(imagined)
        if over is not None:
            reward = reward.masked_fill(over, 0.0)
        each = reward.sum(0)
        returns = imagined.over_particles(each)
        if self._aversion != 0:
            centred = each - returns[:, :, None]
            spread = imagined.over_particles(centred.square()).sqrt()
            returns = returns - self._aversion * spread
        if imagined.disagreement is not None:
            cost = imagined.disagreement
            if over is not None:
                cost = cost * imagined.over_particles((~over).to(cost.dtype))
            returns = returns - self._penalty * cost.sum(0)
        return returns

    def trajectory(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the states of candidates of the last evaluation.

        Over particles, each [R, H + 1, S]; ``index`` [R] says which candidates.
        """
        return self._last.moments(index)

    def _over(self, imagined: Imagined) -> torch.Tensor | None:
        """Whether a particle's episode is over before each step, [H, G, R, N, Q]; None: never."""
        if self._learned_end:
            ended = imagined.ended
        elif self._objective.can_terminate:
            ended = self._objective.terminated(imagined.states[1:])
        else:
            return None
        assert ended is not None
        over = torch.zeros_like(ended)
        over[1:] = ended.cummax(0).values[:-1]
        return over
