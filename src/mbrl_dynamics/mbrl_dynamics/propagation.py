"""How uncertainty is carried through a model: candidates' states, step by step, as particles.

The ways are those of PETS (Chua et al., NeurIPS 2018, section 5):

- ``expectation`` (E): one state, the mean of the members' means.
- ``distribution_sampling`` (DS): each particle is drawn from the one Gaussian that has the mean and
  the variance of all members' predictions for it.
- ``moment_matching`` (MM): the same, and after each step all particles of a candidate are drawn
  afresh from the one Gaussian that has their mean and variance. (PETS takes these moments of drawn
  particles; here they are those of what the particles are drawn from, which has less noise.)
- ``ts1``: each particle is drawn from one member's prediction, another member after each step.
- ``ts_inf``: each particle keeps its member to the end. Fewer particles than members take as many
  members, drawn anew for each plan, and the others are not computed.

And one way more, which is cheap and often enough: ``mean``, in which every member carries its own
mean along (TS-infinity without noise, one particle per member). Deterministic members have no
variance: what is drawn from them is their mean.

Where the actions require a gradient, the states have one: draws are mean + deviation * noise with
the noise held fixed, and every step keeps its own memory. Numbers are drawn on the CPU, so that a
plan draws the same ones on every device.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from mbrl_dynamics.model import Prediction

WAYS = (
    'mean',
    'expectation',
    'moment_matching',
    'distribution_sampling',
    'ts1',
    'ts_inf',
)
_OWN_MEMBER = ('mean', 'ts1', 'ts_inf')  # a particle sees one member at a time
_BUFFERS = 8  # sizes whose memory is kept: fresh memory costs page faults


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

    @property
    def history(self) -> int:
        """K, states and actions that it sees."""
        ...

    @property
    def learns_reward(self) -> bool:
        """Whether it predicts rewards."""
        ...

    @property
    def learns_termination(self) -> bool:
        """Whether it predicts ends of episodes."""
        ...

    @property
    def target_scale(self) -> Tensor:
        """[S]: what a change of each entry of the state usually is; infinite: it does not count."""
        ...

    def predict(self, state: Tensor, action: Tensor, variance: bool = True) -> Prediction:
        """All that each member says, for states [E, N, K * S] and actions [E, N, K * A]."""
        ...

    def only(self, members: Sequence[int]) -> Model:
        """The same with these of its members, by their place; any may come repeatedly."""
        ...


@dataclasses.dataclass(frozen=True)
class Imagined:
    """Candidates' particles over a horizon.

    A particle stands in group G (its member, or the one group there is) and slot Q. R problems, N
    candidates, H steps.

    Attributes:
        states: [H + 1, G, R, N, Q, S], from the start on; overwritten by the next rollout, unless
            they have a gradient.
        weights: [G, R, 1, Q], which particles there are: 0 for slots that are empty because the
            particles do not divide by the members; None: all.
        reward: [H, G, R, N, Q], learned; None: the model does not.
        ended: [H, G, R, N, Q], bool, the step is predicted to end the episode; None: not learned.
        disagreement: [H, R, N], standard deviation of the members' mean next states, in units of
            the model's ``target_scale``, mean over the entries; None: not asked for.
    """

    states: Tensor
    weights: Tensor | None
    reward: Tensor | None
    ended: Tensor | None
    disagreement: Tensor | None

    def over_particles(self, values: Tensor) -> Tensor:
        """The mean over particles of ``values`` [..., G, R, N, Q]: [..., R, N]."""
        if self.weights is None:
            return values.mean((-4, -1))
        # Not a weighted sum: what is in an empty slot may be infinite.
        there = self.weights > 0
        total = torch.where(there, values, values.new_zeros(())).sum((-4, -1))
        return total / self.weights.sum((0, 3))

    def worst(self, values: Tensor, share: float) -> Tensor:
        """The mean over the worst particles of ``values`` [G, R, N, Q]: [R, N].

        The conditional value at risk of the particles: of P particles the lowest ``share * P``,
        at least one; where that is no whole number, the last one counts for the rest. NaN where
        any particle is NaN.
        """
        shape = values.shape
        there = torch.ones(shape, dtype=torch.bool, device=values.device)
        count = shape[0] * shape[3]
        if self.weights is not None:
            there = (self.weights > 0).expand(shape)
            count = int(self.weights[:, 0].sum())
        mass = max(1.0, share * count)
        whole = math.ceil(mass - 1e-9)
        # An empty slot is better than any particle; topk takes NaN for the largest number.
        flat = torch.where(there, values, math.inf).permute(1, 2, 0, 3).flatten(2)
        lowest = flat.topk(whole, dim=-1, largest=False).values
        total = lowest.sum(-1)
        if whole > mass:
            total = total - (whole - mass) * lowest.amax(-1)
        return (total / mass).masked_fill(flat.isnan().any(-1), math.nan)

    def detached(self) -> Imagined:
        """The same without what is recorded for a gradient."""
        return Imagined(
            **{
                name: value.detach() if isinstance(value, Tensor) else value
                for name, value in vars(self).items()
            }
        )

    def moments(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation over particles of chosen candidates' states.

        Args:
            index: [R], which candidate of each problem.

        Returns:
            each [R, H + 1, S].
        """
        problems = torch.arange(len(index), device=index.device)
        chosen = self.states[:, :, problems, index]  # [H + 1, G, R, Q, S]
        if self.weights is None:
            variance, mean = torch.var_mean(chosen, dim=(1, 3), correction=0)
        else:
            share = (self.weights / self.weights.sum((0, 3), keepdim=True)).permute(0, 1, 3, 2)
            there = share > 0
            mean = torch.where(there, chosen * share, 0.0).sum((1, 3), keepdim=True)
            variance = torch.where(there, (chosen - mean).square() * share, 0.0).sum((1, 3))
            mean = mean[:, 0, :, 0]
        return mean.transpose(0, 1), variance.sqrt().transpose(0, 1)

    def paths(self, problem: int, index: Tensor) -> Tensor:
        """States of some candidates of one problem, the mean over particles.

        Args:
            problem: which.
            index: [C], which candidates of it.

        Returns:
            [C, H + 1, S].
        """
        chosen = self.states[:, :, problem, index]  # [H + 1, G, C, Q, S]
        if self.weights is None:
            return chosen.mean((1, 3)).transpose(0, 1)
        there = self.weights[:, problem, :, :, None] > 0  # [G, 1, Q, 1]
        total = torch.where(there, chosen, chosen.new_zeros(())).sum((1, 3))
        return (total / there.sum()).transpose(0, 1)


class Propagation:
    """Carries candidates through a model, in one of the ``WAYS``, with any number of particles."""

    def __init__(self, model: Model, way: str, particles: int, disagreement: bool = False) -> None:
        """
        Args:
            model: to be carried through.
            way: one of ``WAYS``.
            particles: of each candidate; ``mean`` has one per member, ``expectation`` one.
            disagreement: whether it is wanted.
        """
        self.model = model
        self._way = way
        self._disagreement = disagreement
        self._samples = way not in ('mean', 'expectation')
        self._groups = model.members if way in _OWN_MEMBER else 1
        # The members that hold no particle say nothing, unless their disagreement is wanted.
        self._few = way == 'ts_inf' and particles < self._groups and not disagreement
        if self._few:
            self._groups = particles
        count = particles if self._samples else self._groups
        self.particles = count
        """Particles of each candidate."""
        self._slots = -(-count // self._groups)
        self.rows = self._slots
        """Rows of each member that a candidate takes."""
        self._spare = self._groups * self._slots - count  # slots that stay empty
        inverse = 1.0 / model.target_scale
        self._unit = inverse / max(1, int(torch.isfinite(model.target_scale).sum()))
        self._buffers: dict[tuple[int, ...], Tensor] = {}
        self._weights: Tensor | None = None
        self._members = model
        self._kept: dict[tuple[int, ...], Model] = {}
        self.model_steps = 0
        """Model steps since ``begin``: one is one row of one member, one step ahead."""

    def begin(
        self,
        state: Tensor,
        generators: Sequence[torch.Generator],
        past_actions: Tensor | None = None,
    ) -> None:
        """Set the R problems.

        Args:
            state: [R, K * S], the last K states, the newest first.
            generators: of all that is drawn: one per problem, so that a problem does not depend
                on its company, or one for all.
            past_actions: [R, (K - 1) * A], the actions that led to them, the newest first; None:
                zeros.
        """
        self._start = state
        self._generators = generators
        width = (self.model.history - 1) * self.model.action_dim
        self._past = state.new_zeros(len(state), width) if past_actions is None else past_actions
        self.model_steps = 0
        self._weights = self._draw_weights(len(state)) if self._spare else None
        self._members = self._draw_members(len(state)) if self._few else self.model

    def __call__(self, actions: Tensor) -> Imagined:
        """Carry candidates [R, N, H, A] through the model."""
        model, groups, slots = self._members, self._groups, self._slots
        problems, candidates, horizon, _ = actions.shape
        rows = problems * candidates * slots
        shape = (groups, problems, candidates, slots)
        windows = self._windows_of_actions(actions)
        if self._few:  # a model of one member per particle and problem
            windows = windows.reshape(horizon, 1, problems, candidates, -1)
            windows = windows.expand(-1, groups, -1, -1, -1).flatten(1, 2)
        else:
            windows = windows.expand(-1, model.members, -1, -1)
        recorded = torch.is_grad_enabled() and actions.requires_grad
        memory = None if recorded else self._states(horizon, rows)
        states: list[Tensor] = []  # [G, rows, S] each, in memory if there is any

        def keep(state: Tensor) -> None:
            states.append(state if memory is None else memory[len(states)].copy_(state))

        history = model.history
        depth = history - 1
        past = _recordable(self._start).view(problems, 1, 1, history, model.state_dim)
        for k in reversed(range(history)):  # states[depth] is the newest of the start
            begin = past[..., k, :].expand(*shape, -1)
            keep(begin.reshape(groups, rows, -1))
        rewards, ends, disagreements = [], [], []
        for step in range(horizon):
            state = states[step + depth]
            if depth:
                recent = [states[step + depth - k] for k in range(history)]
                state = torch.cat(recent, dim=-1)
            order = self._shuffle(problems)
            if order is not None:
                state = _reorder(state.view(*shape, -1), order).view(groups, rows, -1)
            if self._few:
                prediction = model.predict(
                    state.reshape(model.members, candidates, -1), windows[step], self._samples
                ).viewed(groups, rows)
            else:
                prediction = model.predict(
                    state.expand(model.members, -1, -1), windows[step], self._samples
                )
            self.model_steps += len(windows[step]) * windows.shape[2]
            if self._disagreement:
                spread = root(_moments(prediction.mean)[1]) @ self._unit
                disagreements.append(spread.view(problems, candidates, slots).mean(-1))
            if self._way not in _OWN_MEMBER:
                prediction = _mixture(prediction, self._samples)
                if self._way == 'moment_matching':
                    prediction = _match(prediction, shape)
            following = self._draw(prediction, problems, recorded)
            if order is not None:
                back = order.argsort(-1)
                following = _reorder(following.view(*shape, -1), back).view(groups, rows, -1)
                prediction = dataclasses.replace(
                    prediction,
                    reward=_reorder_scalar(prediction.reward, shape, back),
                    end=_reorder_scalar(prediction.end, shape, back),
                )
            keep(following)
            if prediction.reward is not None:
                rewards.append(prediction.reward.view(shape))
            if prediction.end is not None:
                ends.append((prediction.end > 0.5).view(shape))
        whole = torch.stack(states) if memory is None else memory
        return Imagined(
            states=whole[depth:].view(horizon + 1, *shape, model.state_dim),
            weights=None if self._weights is None else _recordable(self._weights),
            reward=torch.stack(rewards) if rewards else None,
            ended=torch.stack(ends) if ends else None,
            disagreement=torch.stack(disagreements) if disagreements else None,
        )

    def _windows_of_actions(self, actions: Tensor) -> Tensor:
        """[H, 1, rows, K * A]: the newest first; a candidate's particles stand side by side."""
        problems, candidates, horizon, width = actions.shape
        history = self.model.history
        steps = actions.permute(2, 0, 1, 3)  # [H, R, N, A]
        if history > 1:
            past = (
                _recordable(self._past)
                .view(problems, 1, history - 1, width)
                .permute(2, 0, 1, 3)
                .flip(0)
            )
            whole = torch.cat([past.expand(-1, -1, candidates, -1), steps])
            recent = [whole[history - 1 - k : history - 1 - k + horizon] for k in range(history)]
            steps = torch.cat(recent, dim=-1)
        if self._slots > 1:
            steps = steps.repeat_interleave(self._slots, dim=2)
        return steps.reshape(horizon, 1, -1, history * width)

    def _states(self, horizon: int, rows: int) -> Tensor:
        """Memory for states [K - 1 + H + 1, G, rows, S], used again."""
        start = self._start
        key = (self.model.history + horizon, self._groups, rows)
        kept = self._buffers.get(key)
        if kept is None or kept.dtype != start.dtype or kept.device != start.device:
            if len(self._buffers) == _BUFFERS:  # populations decay in a few sizes
                self._buffers.clear()
            with torch.inference_mode(False):  # or it could be written to in that mode alone
                kept = torch.empty(
                    *key, self.model.state_dim, dtype=start.dtype, device=start.device
                )
            self._buffers[key] = kept
        return kept

    def _draw_members(self, problems: int) -> Model:
        """The members that hold a particle: entry ``g * problems + p`` holds the g-th of p."""
        drawn = [
            torch.randperm(
                self.model.members, generator=self._generators[p % len(self._generators)]
            )[: self._groups]
            for p in range(problems)
        ]
        members = tuple(torch.stack(drawn, dim=1).flatten().tolist())
        if members not in self._kept:
            if len(self._kept) == _BUFFERS:
                self._kept.clear()
            with torch.inference_mode(False):  # or it could be used in that mode alone
                self._kept[members] = self.model.only(members)
        return self._kept[members]

    def _draw_weights(self, problems: int) -> Tensor:
        """Which slots hold a particle, [G, R, 1, Q]: some members, drawn anew, have one less."""
        weights = torch.ones(self._groups, problems, 1, self._slots)
        for problem in range(problems):
            generator = self._generators[problem % len(self._generators)]
            order = torch.randperm(self._groups, generator=generator)
            weights[order[: self._spare], problem, 0, -1] = 0.0
        return weights.to(self._start.device)

    def _shuffle(self, problems: int) -> Tensor | None:
        """TS1: which particle each member's slots are given, [R, G * Q]; the same for all
        candidates, so that none is better by luck."""
        if self._way != 'ts1':
            return None
        places = self._groups * self._slots
        orders = [
            torch.randperm(places, generator=self._generators[p % len(self._generators)])
            for p in range(problems)
        ]
        return torch.stack(orders).to(self._start.device)

    def _draw(self, prediction: Prediction, problems: int, recorded: bool) -> Tensor:
        """Next states [G, rows, S], drawn where there is something to draw."""
        mean, variance = prediction.mean, prediction.variance
        if variance is None:
            return mean
        groups, rows, width = mean.shape
        shares = len(self._generators)
        noise = torch.empty(shares, groups, rows // shares, width, dtype=mean.dtype)
        for part, generator in zip(noise, self._generators):
            part.normal_(generator=generator)
        noise = noise.transpose(0, 1).reshape(mean.shape).to(mean.device)
        deviation = root(variance) if recorded else variance.sqrt()
        return torch.addcmul(mean, deviation, noise)


def root(variance: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, not infinite: what never varies has no influence."""
    none = variance == 0
    return variance.masked_fill(none, 1.0).sqrt().masked_fill(none, 0.0)


def _recordable(values: Tensor) -> Tensor:
    """``values``, copied if they were made in inference mode and gradients are recorded now."""
    outside = values.is_inference() and not torch.is_inference_mode_enabled()
    return values.clone() if outside else values


def _mixture(prediction: Prediction, wants_variance: bool) -> Prediction:
    """The moments of the mixture of all members [E, N, ...], as one group [1, N, ...]."""
    variance = None
    if wants_variance:
        mean, variance = _moments(prediction.mean)
        if prediction.variance is not None:
            variance = variance + prediction.variance.mean(0, keepdim=True)
    else:
        mean = prediction.mean.mean(0, keepdim=True)
    reward, end = prediction.reward, prediction.end
    return Prediction(
        mean,
        variance,
        None if reward is None else reward.mean(0, keepdim=True),
        None if end is None else end.mean(0, keepdim=True),
    )


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance over the members of ``values`` [E, ...], each [1, ...].

    In two passes: over the first dimension ``torch.var`` takes ten times as long.
    """
    mean = values.mean(0, keepdim=True)
    return mean, (values - mean).square().mean(0, keepdim=True)


def _match(prediction: Prediction, shape: tuple[int, int, int, int]) -> Prediction:
    """One Gaussian for all particles of a candidate, by the law of total variance."""
    assert prediction.variance is not None
    mean = prediction.mean.view(*shape, -1)
    between, common = torch.var_mean(mean, dim=3, correction=0, keepdim=True)
    within = prediction.variance.view(*shape, -1).mean(3, keepdim=True)
    return dataclasses.replace(
        prediction,
        mean=common.expand_as(mean).reshape(prediction.mean.shape),
        variance=(between + within).expand_as(mean).reshape(prediction.mean.shape),
    )


def _reorder(values: Tensor, order: Tensor) -> Tensor:
    """Particles [G, R, N, Q, S] in another order, [R, G * Q], over groups and slots."""
    groups, problems, candidates, slots, width = values.shape
    flat = values.permute(1, 0, 3, 2, 4).reshape(problems, groups * slots, -1)
    moved = torch.stack([each[places] for each, places in zip(flat, order)])
    moved = moved.view(problems, groups, slots, candidates, width)
    return moved.permute(1, 0, 3, 2, 4).contiguous()


def _reorder_scalar(
    values: Tensor | None, shape: tuple[int, int, int, int], order: Tensor
) -> Tensor | None:
    if values is None:
        return None
    return _reorder(values.reshape(*shape, 1), order)[..., 0]
