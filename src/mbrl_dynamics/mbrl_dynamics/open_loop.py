"""How good a model is many steps ahead, along the actions that were recorded.

Each window starts at a recorded state and is carried on by the model alone: particles that keep
their member (TS-infinity, as PETS plans), or the members' means where they have no variance.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from mbrl_dynamics.calibration import particle_coverage
from mbrl_dynamics.evaluation import LEVELS, QUANTILES, OpenLoop
from mbrl_dynamics.propagation import Model, Propagation
from mbrl_dynamics.transitions import Transitions
from mbrl_dynamics.unseen import Windows, windows_at

ROWS = 2048  # particles carried at once
EXAMPLES = 3


def measure_open_loop(
    model: Model,
    data: Transitions,
    windows: Windows,
    particles: int,
    generator: torch.Generator,
) -> OpenLoop:
    """Carry a model along windows, and compare it with what came.

    Args:
        model: to be carried.
        data: transitions.
        windows: of H steps at most.
        particles: of each window, at least; every member has as many.
        generator: of what the particles draw.
    """
    horizon, width = windows.index.shape[1], data.state.shape[1]
    sums = _Sums(horizon, width)
    examples = _Examples(windows, width)
    rollouts = _Rollouts(model, particles, generator)
    states, recent = windows_at(data, windows.index[:, 0], model.history)
    past_actions = recent[:, data.action.shape[1] :]
    size = max(1, ROWS // rollouts.particles)
    for first in range(0, len(windows), size):
        chunk = slice(first, first + size)
        index, length = windows.index[chunk], windows.length[chunk]
        steps = int(length[0])  # the longest come first
        actions = np.where(index[:, :steps, None] >= 0, data.action[index[:, :steps]], 0.0)
        drawn, means = rollouts.run(states[chunk], past_actions[chunk], actions)
        start = data.state[index[:, 0]]
        for k in range(steps):
            count = int((length > k).sum())
            truth = data.next_state[index[:count, k]]
            cloud = drawn[k][:, :count]
            own = cloud if drawn is means else means[k][:, :count]
            sums.add(k, start[:count], truth, cloud, own)
            examples.add(first, k, start, truth, cloud)
    counted = np.isfinite(model.target_scale.numpy())
    return sums.conclude(windows, counted, examples)


class _Rollouts:
    """What the particles and the members' means do."""

    def __init__(self, model: Model, particles: int, generator: torch.Generator) -> None:
        history, members = model.history, model.members
        state = torch.zeros(members, 1, history * model.state_dim)
        action = torch.zeros(members, 1, history * model.action_dim)
        self._members = Propagation(model, 'mean', 1)
        self._drawn = self._members
        if model.predict(state, action).variance is not None:
            share = -(-particles // members)
            self._drawn = Propagation(model, 'ts_inf', share * members)
        self._generator = generator

    @property
    def particles(self) -> int:
        return self._drawn.particles

    def run(
        self, state: np.ndarray, past_actions: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Particles [h, P, W, S] and the members' means [h, E, W, S], float64.

        Args:
            state: [W, K * S]; past_actions: [W, (K - 1) * A]; actions: [W, h, A].
        """
        drawn = self._carry(self._drawn, state, past_actions, actions)
        if self._drawn is self._members:
            return drawn, drawn
        return drawn, self._carry(self._members, state, past_actions, actions)

    def _carry(
        self,
        propagation: Propagation,
        state: np.ndarray,
        past_actions: np.ndarray,
        actions: np.ndarray,
    ) -> np.ndarray:
        def single(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(values).float()

        propagation.begin(single(state), [self._generator], single(past_actions))
        states = propagation(single(actions)[:, None]).states[1:]  # [h, G, W, 1, Q, S]
        steps, groups, count, _, slots, width = states.shape
        moved = states[:, :, :, 0].permute(0, 1, 3, 2, 4)
        return moved.reshape(steps, groups * slots, count, width).double().numpy()


class _Sums:
    """Sums over the windows seen so far."""

    def __init__(self, horizon: int, width: int) -> None:
        shape = (horizon, width)
        self.error, self.trivial, self.spread, self.disagreement = np.zeros((4, *shape))
        self.covered = np.zeros((horizon, len(LEVELS), width))

    def add(
        self,
        k: int,
        start: np.ndarray,
        truth: np.ndarray,
        drawn: np.ndarray,
        means: np.ndarray,
    ) -> None:
        """Some windows [W, S] after k + 1 steps: particles [P, W, S], members' means [E, W, S]."""
        if not len(truth):
            return
        with np.errstate(all='ignore'):  # what the model carries off to infinity is told as such
            self.error[k] += ((drawn.mean(0) - truth) ** 2).sum(0)
            self.trivial[k] += ((start - truth) ** 2).sum(0)
            sampled = drawn is not means  # then its variance is of a sample; else of all there are
            self.spread[k] += drawn.var(0, ddof=int(sampled and len(drawn) > 1)).sum(0)
            self.disagreement[k] += means.var(0).sum(0)
            self.covered[k] += particle_coverage(drawn, truth) * len(truth)

    def conclude(self, windows: Windows, counted: np.ndarray, examples: _Examples) -> OpenLoop:
        """The means; ``counted`` [S] tells the entries that the model predicts."""
        counts = windows.counts()
        number = np.where(counts > 0, counts, math.nan)[:, None]
        error, trivial, spread, disagreement = (
            _never_nan(np.sqrt(each / number), counts)
            for each in (self.error, self.trivial, self.spread, self.disagreement)
        )
        shares = self.covered / number[..., None]
        shares[..., ~counted] = math.nan
        moving = counted & (trivial > 1e-12)
        ratio = np.where(moving, error / np.where(moving, trivial, 1.0), 0.0).sum(1)
        few = np.where(moving.any(1), moving.sum(1), math.nan)
        return OpenLoop(
            windows=counts,
            relative_error=ratio / few,
            error=error,
            trivial=trivial,
            spread=spread,
            disagreement=disagreement,
            coverage=shares,
            truth=examples.truth,
            quantiles=examples.quantiles,
        )


def _never_nan(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What a model made NaN is infinitely wrong; NaN stays for what there are no windows for."""
    return np.where(np.isnan(values) & (counts > 0)[:, None], math.inf, values)


class _Examples:
    """A few of the longest windows, apart from each other, as they are."""

    def __init__(self, windows: Windows, width: int) -> None:
        longest = int((windows.length == windows.length[0]).sum()) if len(windows) else 0
        count = min(EXAMPLES, longest)
        # The middles of equal shares of the windows, which stand in the data's order.
        self._chosen = (np.arange(count) * 2 + 1) * longest // (2 * max(count, 1))
        steps = windows.index.shape[1] + 1
        self.truth = np.full((count, steps, width), math.nan)
        self.quantiles = np.full((count, steps, len(QUANTILES), width), math.nan)

    def add(
        self, first: int, k: int, start: np.ndarray, truth: np.ndarray, drawn: np.ndarray
    ) -> None:
        """Take what is an example of the windows from ``first`` on, after k + 1 steps."""
        for number, place in enumerate(self._chosen - first):
            if 0 <= place < len(truth):
                if k == 0:
                    self.truth[number, 0] = start[place]
                    self.quantiles[number, 0] = start[place]
                self.truth[number, k + 1] = truth[place]
                with np.errstate(all='ignore'):
                    self.quantiles[number, k + 1] = np.quantile(drawn[:, place], QUANTILES, axis=0)
