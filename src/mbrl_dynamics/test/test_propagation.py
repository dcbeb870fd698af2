"""Every way of carrying uncertainty along, against closed forms and Monte Carlo in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from mbrl_dynamics.model import Prediction
from mbrl_dynamics.propagation import WAYS, Imagined, Propagation

SAMPLED = ('moment_matching', 'distribution_sampling', 'ts1', 'ts_inf')
Step = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]


class Members:
    """A model whose members are given functions of (window of states, of actions, member)."""

    def __init__(
        self,
        step: Step,
        members: int,
        state_dim: int = 1,
        variance: float | None = None,
        history: int = 1,
        heads: bool = False,
    ) -> None:
        self.members, self.state_dim, self.action_dim = members, state_dim, 1
        self.history = history
        self.learns_reward = self.learns_termination = heads
        self.target_scale = torch.full((state_dim,), 2.0)
        self._step, self._variance = step, variance
        self._places: tuple[int, ...] = tuple(range(members))

    def only(self, members: Sequence[int]) -> Members:
        some = copy.copy(self)
        some.members, some._places = len(members), tuple(members)
        return some

    def predict(
        self, state: torch.Tensor, action: torch.Tensor, variance: bool = True
    ) -> Prediction:
        assert state.shape[0] == action.shape[0] == self.members
        assert state.shape[2] == self.history * self.state_dim
        mean = torch.stack([self._step(*each) for each in zip(state, action, self._places)])
        spread = None
        if variance and self._variance is not None:
            spread = torch.full_like(mean, self._variance)
        return Prediction(
            mean,
            spread,
            mean[..., 0] * 10 if self.learns_reward else None,
            (mean[..., 0] > 2.5).float() if self.learns_termination else None,
        )


def drift(state: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
    """The first member goes down by one, the second up, others stay."""
    return state + (-1.0, 1.0, 0.0, 0.0, 0.0)[member]


def imagine(
    model: Members, way: str, particles: int, horizon: int, candidates: int = 1, seed: int = 0
) -> Imagined:
    propagation = Propagation(model, way, particles)
    generator = torch.Generator().manual_seed(seed)
    propagation.begin(torch.zeros(1, model.history * model.state_dim), [generator])
    return propagation(torch.zeros(1, candidates, horizon, 1))


def final(imagined: Imagined) -> np.ndarray:
    """The particles' first entries after the last step, those that are there."""
    last = imagined.states[-1, ..., 0]
    if imagined.weights is not None:
        last = last[imagined.weights.expand_as(last) > 0]
    return last.flatten().double().numpy()


def test_two_members_that_drift_apart_tell_the_ways_from_each_other() -> None:
    model, horizon, particles = Members(drift, 2), 9, 4000
    assert final(imagine(model, 'expectation', 1, horizon)).tolist() == [0.0]
    assert sorted(final(imagine(model, 'mean', 1, horizon))) == [-9.0, 9.0]
    bound = final(imagine(model, 'ts_inf', particles, horizon))
    assert sorted(set(bound)) == [-9.0, 9.0] and abs(bound.mean()) < 1e-6
    # A member anew at each step makes a random walk: variance 9, whole odd numbers.
    walk = final(imagine(model, 'ts1', particles, horizon))
    assert set(walk) <= set(np.arange(-9.0, 10.0, 2.0))
    assert walk.var() == pytest.approx(9.0, rel=0.1)
    # A draw from the Gaussian of both: the same variance, any numbers.
    for way in ('distribution_sampling', 'moment_matching'):
        gaussian = final(imagine(model, way, particles, horizon))
        assert gaussian.var() == pytest.approx(9.0, rel=0.1)
        assert abs(gaussian.mean()) < 0.3
        assert len(set(gaussian)) == particles


@pytest.mark.parametrize('way', SAMPLED)
def test_a_linear_system_keeps_the_moments_that_it_has_in_closed_form(way: str) -> None:
    """x' = 0.9 x + 0.5 + noise of variance 0.04: the mean and variance are geometric sums."""
    model = Members(lambda state, action, member: 0.9 * state + 0.5, 1, variance=0.04)
    last = final(imagine(model, way, 20_000, 8))
    share = 0.9 ** np.arange(8)
    assert last.mean() == pytest.approx(0.5 * share.sum(), abs=0.01)
    assert last.var() == pytest.approx(0.04 * (share**2).sum(), rel=0.05)


def test_moment_matching_agrees_with_monte_carlo() -> None:
    """Three nonlinear members with noise; at each step a million draws from the Gaussian."""
    slopes, noise = np.array([0.8, 1.1, 1.5]), 0.05

    def step(state: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
        return torch.sin(float(slopes[member]) * state) + 0.3

    imagined = imagine(Members(step, 3, variance=noise), 'moment_matching', 20_000, 6)
    mean, std = imagined.moments(torch.tensor([0]))
    generator = np.random.default_rng(0)
    centre, width = 0.0, 0.0
    for each in range(6):
        drawn = generator.normal(centre, width, 300_000)
        pushed = np.sin(slopes[:, None] * drawn) + 0.3
        pushed = pushed + generator.normal(0, np.sqrt(noise), pushed.shape)
        centre, width = pushed.mean(), pushed.std()
        assert float(mean[0, each + 1, 0]) == pytest.approx(centre, abs=0.01)
        assert float(std[0, each + 1, 0]) == pytest.approx(width, abs=0.01)


@pytest.mark.parametrize('way', SAMPLED)
def test_one_step_has_the_moments_of_the_members_mixture(way: str) -> None:
    model = Members(drift, 3, variance=0.25)
    last = final(imagine(model, way, 30_000, 1))
    assert last.mean() == pytest.approx(0.0, abs=0.02)
    assert last.var() == pytest.approx(0.25 + 2 / 3, rel=0.03)


@pytest.mark.parametrize('way', WAYS)
def test_members_without_variance_can_be_carried_in_every_way(way: str) -> None:
    model = Members(lambda state, action, member: state + 1.0, 3)
    np.testing.assert_allclose(final(imagine(model, way, 5, 4)), 4.0, rtol=1e-6)


@pytest.mark.parametrize('particles', [1, 2, 3, 4, 7, 20])
@pytest.mark.parametrize('way', SAMPLED)
def test_any_number_of_particles_will_do(way: str, particles: int) -> None:
    model = Members(drift, 3, variance=0.01)
    imagined = imagine(model, way, particles, 2, candidates=5)
    assert len(final(imagined)) == 5 * particles
    over = imagined.over_particles(imagined.states[-1, ..., 0])
    mean, std = imagined.moments(torch.tensor([2]))
    assert over.shape == (1, 5) and mean.shape == (1, 3, 1)
    assert float(mean[0, -1, 0]) == pytest.approx(float(over[0, 2]), abs=1e-5)
    assert np.isfinite(final(imagined)).all() and float(std[0, 0, 0]) == 0.0


def test_particles_that_do_not_divide_are_shared_out_fairly() -> None:
    """Four particles for three members: each member has the extra one as often as the others."""
    model = Members(lambda state, action, member: state * 0 + member, 3)
    counts = np.zeros(3)
    for seed in range(300):
        last = final(imagine(model, 'ts_inf', 4, 1, seed=seed))
        found = np.bincount(last.astype(int), minlength=3)
        assert sorted(found) == [1, 1, 2]
        counts += found
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.04)


@pytest.mark.parametrize('particles', [1, 2])
def test_of_fewer_particles_than_members_each_has_a_member_and_no_other_is_computed(
    particles: int,
) -> None:
    """Every member as often as any, the same one to the end, another in another plan."""
    model = Members(lambda state, action, member: state + member, 3)
    counts = np.zeros(3)
    for seed in range(300):
        propagation = Propagation(model, 'ts_inf', particles)
        propagation.begin(torch.zeros(1, 1), [torch.Generator().manual_seed(seed)])
        last = final(propagation(torch.zeros(1, 5, 4, 1))).reshape(particles, 5)
        assert propagation.model_steps == particles * 5 * 4
        assert (last == last[:, :1]).all()  # all candidates see the same members
        members = (last[:, 0] / 4).astype(int)
        assert len(set(members)) == particles
        counts[members] += 1
    np.testing.assert_allclose(counts / counts.sum(), 1 / 3, atol=0.06)


def test_the_members_of_few_particles_do_not_depend_on_the_company_of_a_problem() -> None:
    model = Members(drift, 5, variance=0.04)
    actions = torch.zeros(3, 6, 4, 1)

    def carried(problems: list[int]) -> torch.Tensor:
        propagation = Propagation(model, 'ts_inf', 2)
        start = torch.tensor([[float(each)] for each in problems])
        propagation.begin(start, [torch.Generator().manual_seed(each) for each in problems])
        return propagation(actions[problems]).states.clone()

    together = carried([0, 1, 2])
    for problem in range(3):
        torch.testing.assert_close(together[:, :, problem], carried([problem])[:, :, 0])


def test_disagreement_is_that_of_all_members_however_few_the_particles_are() -> None:
    model = Members(drift, 5)
    propagation = Propagation(model, 'ts_inf', 1, disagreement=True)
    propagation.begin(torch.zeros(1, 1), [torch.Generator().manual_seed(0)])
    found = propagation(torch.zeros(1, 1, 1, 1)).disagreement
    assert found is not None
    assert float(found) == pytest.approx(np.std([-1.0, 1.0, 0.0, 0.0, 0.0]) / 2)


def test_what_stands_in_an_empty_slot_counts_nothing_even_if_it_is_infinite() -> None:
    model = Members(lambda state, action, member: state + 1.0, 3)
    imagined = imagine(model, 'ts_inf', 4, 1)
    assert imagined.weights is not None
    values = torch.where(imagined.weights > 0, 5.0, torch.inf)
    assert imagined.over_particles(values.expand(3, 1, 1, 2)).tolist() == [[5.0]]


@pytest.mark.parametrize('way', ['ts1', 'ts_inf'])
def test_a_particle_keeps_its_path_whichever_member_it_is_given(way: str) -> None:
    """Without drift each particle stays where its first step put it."""

    def step(state: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
        fresh = torch.arange(len(state), dtype=torch.float32)[:, None] + 100.0 * member + 1.0
        return torch.where(state == 0, fresh, state)

    states = imagine(Members(step, 3), way, 7, 5, candidates=2).states
    for later in range(2, 6):
        assert torch.equal(states[later], states[1])
    assert len(set(states[1].flatten().tolist())) == states[1].numel()


@pytest.mark.parametrize('way', WAYS)
def test_a_history_is_the_last_states_and_actions_newest_first(way: str) -> None:
    """x'' by differences: next = 2 x - x_before + u + 0.1 u_before, against numpy."""

    def step(state: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
        return 2 * state[:, :1] - state[:, 1:2] + action[:, :1] + 0.1 * action[:, 1:2]

    propagation = Propagation(Members(step, 2, history=2), way, 3)
    past, now, before = 1.0, 1.5, 0.7  # states, and the action that led from one to the other
    propagation.begin(torch.tensor([[now, past]]), [torch.Generator()], torch.tensor([[before]]))
    actions = np.random.default_rng(0).normal(size=(1, 4, 6, 1))
    states = propagation(torch.tensor(actions).float()).states
    for candidate in range(4):
        x, u = [past, now], [before, *actions[0, candidate, :, 0]]
        for h in range(6):
            x.append(2 * x[-1] - x[-2] + u[h + 1] + 0.1 * u[h])
        found = states[:, :, 0, candidate, :, 0].numpy()
        expected = np.broadcast_to(np.array(x[1:])[:, None, None], found.shape)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('way', WAYS)
def test_learned_rewards_and_ends_are_those_of_the_particles_own_steps(way: str) -> None:
    model = Members(lambda state, action, member: state + 1.0, 3, heads=True)
    imagined = imagine(model, way, 6, 4)
    assert imagined.reward is not None and imagined.ended is not None
    np.testing.assert_allclose(imagined.reward.flatten(1)[:, 0], [10.0, 20.0, 30.0, 40.0])
    assert imagined.ended.flatten(1)[:, 0].tolist() == [False, False, True, True]
    torch.testing.assert_close(imagined.reward, imagined.states[1:, ..., 0] * 10)


def test_disagreement_is_the_members_deviation_in_units_of_what_a_step_changes() -> None:
    for way in ('expectation', 'distribution_sampling', 'moment_matching', 'mean', 'ts_inf'):
        propagation = Propagation(Members(drift, 2), way, 2, disagreement=True)
        propagation.begin(torch.zeros(1, 1), [torch.Generator().manual_seed(0)])
        found = propagation(torch.zeros(1, 3, 4, 1)).disagreement
        assert found is not None and found.shape == (4, 1, 3)
        # Members say -1 and +1 of one state: deviation 1, and the unit is 2. Where each goes its
        # own way, they are 2 h apart after h steps.
        apart = np.arange(1, 5) if way in ('mean', 'ts_inf') else np.ones(4)
        np.testing.assert_allclose(found[:, 0, 0], apart / 2, rtol=1e-5)


@pytest.mark.parametrize('way', WAYS)
def test_a_problem_does_not_depend_on_its_company_nor_on_what_came_before(way: str) -> None:
    def step(state: torch.Tensor, action: torch.Tensor, member: int) -> torch.Tensor:
        return (0.9 + 0.1 * member) * state + action

    model = Members(step, 3, variance=0.1)
    start = torch.tensor([[0.5], [-1.0]])
    actions = torch.randn(2, 4, 5, 1, generator=torch.Generator().manual_seed(9))

    def states(problems: list[int]) -> torch.Tensor:
        propagation = Propagation(model, way, 4)
        generators = [torch.Generator().manual_seed(each) for each in problems]
        propagation.begin(start[problems], generators)
        return propagation(actions[problems]).states.clone()

    together = states([0, 1])
    for problem in (0, 1):
        alone = states([problem])[:, :, 0]
        torch.testing.assert_close(together[:, :, problem], alone, rtol=1e-5, atol=1e-5)
