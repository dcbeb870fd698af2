"""Returns of action sequences in a learned ensemble: ``evaluate`` for the optimisers.

Candidates are carried through the model by ``mbrl_dynamics.propagation``. Rewards are computed
once, for all steps, after the last one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from mbrl_common.settings import SettingsError
from mbrl_dynamics.precision import fast_products
from mbrl_dynamics.propagation import Imagined, Model, Propagation, root
from mbrl_planner.candidates import Candidates
from mbrl_planner.lead import carry_ahead
from mbrl_planner.objectives import Objective
from mbrl_planner.requests import Problem
from mbrl_planner.settings import PlanningSettings

__all__ = ['Model', 'Rollout']


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    """What is kept of the last evaluation; none of it has a gradient."""

    imagined: Imagined
    actions: torch.Tensor
    over: torch.Tensor | None


class Rollout:
    """``evaluate(actions [R, N, H, A]) -> returns [R, N]`` from R states, through one model.

    A particle's return is the sum of its rewards, and the worth of its last state if the objective
    says one. A candidate's is the mean over its particles, or over the ``worst_share`` of them
    (the conditional value at risk); less ``risk_aversion`` times the deviation of all particles'
    returns; less ``disagreement_penalty`` times the members' disagreement. A member that diverges
    makes it NaN: a candidate is as good as nothing where a member knows nothing. Where the episode
    ends within the horizon, later rewards and the worth of the last state (and penalties, once all
    particles have ended) count nothing.

    Where the actions require a gradient, the returns have one, through all of that: the noise is
    held fixed, and so is which particles are the worst and when an episode ends.
    """

    def __init__(self, model: Model, objective: Objective, settings: PlanningSettings) -> None:
        """Raises SettingsError: the model cannot be placed on the device."""
        self._model = model
        self._objective = objective
        self._penalty = settings.disagreement_penalty
        self._aversion = settings.risk_aversion
        self._share = settings.worst_share
        self._learned_reward = settings.reward == 'model'
        self._learned_end = settings.termination == 'model'
        self._device = settings.device
        self._propagation = Propagation(
            _placed(model, settings),
            settings.propagation,
            settings.particles,
            self._penalty != 0,
        )

    @property
    def model_steps(self) -> int:
        """Model steps since ``begin``: one is one row of one member, one step ahead."""
        return self._propagation.model_steps

    @property
    def term_names(self) -> tuple[str, ...]:
        """What the columns of ``terms`` are: the objective's terms, or the model's one reward."""
        return ('model',) if self._learned_reward else tuple(self._objective.weights)

    @property
    def lead_members(self) -> int:
        """Model steps that a step of a lead takes."""
        return self._model.members

    def ahead(self, problems: Sequence[Problem]) -> list[Problem]:
        """Problems from where their plans take effect: see ``carry_ahead``. A row each, in fp32 on
        the CPU: that much exactness costs nothing."""
        return carry_ahead(problems, self._model)

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
            generators: one each, of the CPU, for what is drawn.
            past_actions: [R, (K - 1) * A], the actions that led to them, the newest first.
        """
        self._goal = goal.to(self._device)
        past = None if past_actions is None else past_actions.to(self._device)
        self._propagation.begin(state.to(self._device), generators, past)

    def __call__(self, actions: torch.Tensor) -> torch.Tensor:
        """Returns [R, N] of ``actions`` [R, N, H, A]."""
        there = actions.to(self._device)
        rows = actions.shape[0] * actions.shape[1] * self._propagation.rows
        with fast_products(rows):
            imagined = self._propagation(there)
        over = self._over(imagined)
        self._last = _Evaluated(
            imagined.detached(),
            there.detach().clone(),
            None if over is None else over[:-1],
        )
        steps = _Steps.of(imagined, there, self._goals(there.shape[2]))
        if over is not None and actions.requires_grad and torch.is_grad_enabled():
            steps = steps.without_gradient(over[:-1])
        if self._learned_reward:
            assert imagined.reward is not None
            reward = imagined.reward
        else:
            reward = self._objective.reward(*steps.arguments).expand(steps.shape)
        if over is not None:
            reward = reward.masked_fill(over[:-1], 0.0)
        each = reward.sum(0)
        if self._objective.terminal_value is not None:
            worth = self._objective.terminal_value(steps.next_state[-1], steps.goal[-1])
            each = each + (worth if over is None else worth.masked_fill(over[-1], 0.0))
        returns = self._over_particles(imagined, each)
        if imagined.disagreement is not None:
            cost = imagined.disagreement
            if over is not None:
                cost = cost * imagined.over_particles((~over[:-1]).to(cost.dtype))
            returns = returns - self._penalty * cost.sum(0)
        self._returns = returns.detach()
        return returns.to(actions.device)

    def candidates(self, problem: int) -> Candidates:
        """Those of the last evaluation, of one problem; their states, the mean over particles,
        are read when they are asked for, which must be before the next evaluation."""
        imagined = self._last.imagined
        return Candidates(
            self._returns[problem],
            lambda index: imagined.paths(problem, index.to(self._device)),
        )

    def trajectory(self, index: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of the states of candidates of the last evaluation.

        Over particles, each [R, H + 1, S]; ``index`` [R] says which candidates.
        """
        mean, std = self._last.imagined.moments(index.to(self._device))
        return mean.to(index.device), std.to(index.device)

    def terms(self, index: torch.Tensor) -> torch.Tensor:
        """What each term adds to the returns of candidates of the last evaluation.

        Weighted, the sum over the steps that count, mean over all particles: what risk, penalty
        and the worth of the last state change is not in it. A term of weight 0 adds 0.

        Args:
            index: [R], which candidates.

        Returns:
            [R, T], columns as ``term_names``.
        """
        last = self._last
        problems = torch.arange(len(index), device=self._device)
        candidates = index.to(self._device)

        def of(values: torch.Tensor) -> torch.Tensor:  # [H, G, R, N, ...]: [H, G, R, 1, ...]
            return values[:, :, problems, candidates].unsqueeze(3)

        over = None if last.over is None else of(last.over)
        chosen = dataclasses.replace(last.imagined, states=of(last.imagined.states))
        actions = last.actions[problems, candidates].unsqueeze(1)
        steps = _Steps.of(chosen, actions, self._goals(actions.shape[2]))
        columns = []
        for name in self.term_names:
            if self._learned_reward:
                assert last.imagined.reward is not None
                part = of(last.imagined.reward)
            elif self._objective.weights[name] == 0:
                part = steps.next_state[..., 0].new_zeros(steps.shape)
            else:
                part = self._objective.terms[name](*steps.arguments) * self._objective.weights[name]
            part = part.expand(steps.shape)
            if over is not None:
                part = part.masked_fill(over, 0.0)
            columns.append(chosen.over_particles(part.sum(0))[:, 0])
        return torch.stack(columns, dim=-1).to(index.device)

    def _goals(self, horizon: int) -> torch.Tensor:
        """The goal of each step, [H or 1, 1, R, 1, 1, G]."""
        return self._objective.goals(self._goal, horizon)[:, None, :, None, None]

    def _over_particles(self, imagined: Imagined, each: torch.Tensor) -> torch.Tensor:
        """A candidate's return [R, N] of its particles' [G, R, N, Q]."""
        mean = imagined.over_particles(each)
        returns = mean if self._share == 1 else imagined.worst(each, self._share)
        if self._aversion != 0:
            variance = imagined.over_particles((each - mean[:, :, None]).square())
            returns = returns - self._aversion * root(variance)
        return returns

    def _over(self, imagined: Imagined) -> torch.Tensor | None:
        """Whether a particle's episode is over before each step, and after the last.

        [H + 1, G, R, N, Q]; None: it never ends.
        """
        if self._learned_end:
            ended = imagined.ended
        elif self._objective.can_terminate:
            ended = self._objective.terminated(imagined.states[1:])
        else:
            return None
        assert ended is not None
        over = ended.new_zeros(len(ended) + 1, *ended.shape[1:])
        over[1:] = ended.cummax(0).values
        return over


@dataclasses.dataclass(frozen=True)
class _Steps:
    """What the objective sees, leading dimensions broadcasting to [H, G, R, N, Q]."""

    state: torch.Tensor
    action: torch.Tensor
    next_state: torch.Tensor
    goal: torch.Tensor

    @classmethod
    def of(cls, imagined: Imagined, actions: torch.Tensor, goal: torch.Tensor) -> _Steps:
        action = actions.permute(2, 0, 1, 3)[:, None, :, :, None]  # [H, 1, R, N, 1, A]
        return cls(imagined.states[:-1], action, imagined.states[1:], goal)

    @property
    def arguments(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.state, self.action, self.next_state, self.goal

    @property
    def shape(self) -> torch.Size:
        return self.next_state.shape[:-1]

    def without_gradient(self, over: torch.Tensor) -> _Steps:
        """The same, without a gradient where the episode is over: there it may be NaN."""

        def cut(values: torch.Tensor) -> torch.Tensor:
            return torch.where(over[..., None], values.detach(), values)

        return dataclasses.replace(
            self,
            state=cut(self.state),
            action=cut(self.action),
            next_state=cut(self.next_state),
        )


def _placed(model: Model, settings: PlanningSettings) -> Model:
    """The model where and as exact as the settings say."""
    if (settings.device, settings.precision) == ('cpu', 'fp32'):
        return model
    if not hasattr(model, 'placed'):
        raise SettingsError(
            [
                f"parameters 'planner.device' and 'planner.precision' are {settings.device!r} and "
                f"{settings.precision!r}; a {type(model).__name__} knows only 'cpu' and 'fp32'"
            ]
        )
    placed: Model = model.placed(settings.device, settings.precision)
    return placed
