"""Symmetries: what a person writes, what comes of it, and what is learned from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from mbrl_common.settings import SettingsError
from mbrl_common.task import TaskSettings
from mbrl_dynamics.learner import Learner
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.normalizer import Normalizer
from mbrl_dynamics.relative_error import relative_error
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.symmetry import closure, parse
from mbrl_dynamics.training_data import prepare
from mbrl_dynamics.transitions import Transitions

TASK = TaskSettings(
    name='two_arms_and_a_wheel',
    state=(
        *('left.position', 'left.velocity', 'right.position', 'right.velocity'),
        *('wheel.position', 'wheel.velocity', 'ball.x', 'ball.y'),
    ),
    action=('left', 'right'),
    action_low=(-1.0, -1.0),
    action_high=(1.0, 1.0),
    control_period=0.1,
    max_steps=10,
    angles=('wheel.position',),
)
MIRROR = 'left=-right, right=-left, wheel=-wheel, ball.y=-ball.y'


def test_joints_bodies_entries_signs_and_turns_are_understood() -> None:
    mirror = parse(MIRROR, TASK)
    np.testing.assert_allclose(
        mirror.state(np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]])),
        [[-3.0, -4.0, -1.0, -2.0, -5.0, -6.0, 7.0, -8.0]],
    )
    np.testing.assert_allclose(mirror.action(np.array([[0.1, 0.2]])), [[-0.2, -0.1]])
    turn = parse('left=right, right=left, wheel = - wheel - 1.5', TASK)
    image = turn.state(np.arange(8.0)[None])
    np.testing.assert_allclose(image, [[2.0, 3.0, 0.0, 1.0, -5.5, -5.0, 6.0, 7.0]])


def test_a_name_may_have_a_sign_and_a_number_in_it() -> None:
    task = TaskSettings(
        **{
            **vars(TASK),
            'state': ('arm-1.position', 'arm-2.position'),
            'action': ('arm-1', 'arm-2'),
            'angles': ('arm-2.position',),
        }
    )
    symmetry = parse('arm-1=-arm-2, arm-2=-arm-1 + 1.5e-1', task)
    np.testing.assert_allclose(symmetry.state(np.array([[1.0, 2.0]])), [[-2.0, -0.85]])


def test_every_step_of_a_window_is_mapped() -> None:
    mirror = parse(MIRROR, TASK)
    window = np.random.default_rng(0).normal(size=(4, 3 * 8))
    image = mirror.state(window)
    for step in range(3):
        part = slice(8 * step, 8 * (step + 1))
        np.testing.assert_array_equal(image[:, part], mirror.state(window[:, part]))


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('wheel=--wheel', "to be the image of '-wheel.position', which the task lacks"),
        ('left', "'left' must be 'joint=joint'"),
        ('middle=left', "the task has no 'middle'; it has left, right, wheel, ball"),
        ('left=middle', "'left' is to be the image of 'middle', which the task lacks"),
        ('left=right', "'right.position' has two images"),
        ('left=right, left=left', "'left' is the image of two things"),
        ('wheel=wheel+far', "to be the image of 'wheel+far.position', which the task lacks"),
        ('left=left+0.5', "'left' is not in 'task.angles'"),
    ],
)
def test_what_is_no_symmetry_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(text, TASK)
    assert why in str(caught.value)


def test_an_action_whose_image_could_not_be_taken_is_refused() -> None:
    task = TaskSettings(**{**vars(TASK), 'action_low': (-1.0, -2.0)})
    with pytest.raises(ValueError, match="'left' has the bounds -1 and 1, its image -2 and 1"):
        parse('left=right, right=left', task)


def test_symmetries_are_completed_to_a_group() -> None:
    third = parse(f'wheel=wheel+{2 * np.pi / 3:.7f}', TASK)
    mirror = parse(MIRROR, TASK)
    found = closure([third, mirror], TASK.angle_indices)
    assert len(found) == 5  # of the triangle's six, all but the one that changes nothing
    state = np.random.default_rng(0).normal(size=(1, 8))
    images = {tuple(_seen(s.state(state))) for s in found} | {tuple(_seen(state))}
    assert len(images) == 6
    for symmetry in found:  # and each leads from an image to an image
        assert {tuple(_seen(symmetry.state(np.array(s.state(state))))) for s in found} <= images
    assert closure([], ()) == []


@pytest.mark.parametrize(('turn', 'images'), [('1.2566', 10), ('1.256637', 10), ('1.257', 10)])
def test_a_turn_need_not_be_written_to_the_last_digit(turn: str, images: int) -> None:
    generators = [parse(f'wheel=wheel+{turn}', TASK), parse(MIRROR, TASK)]
    assert len(closure(generators, TASK.angle_indices)) == images - 1


def _seen(state: np.ndarray) -> np.ndarray:
    """A state as the networks see it: the wheel as sine and cosine; rounded, to be compared."""
    wheel = state[0, 4]
    seen = [*np.delete(state[0], 4), np.sin(wheel), np.cos(wheel)]
    return np.round(seen, 4) + 0.0


def test_a_turn_that_never_comes_back_is_refused() -> None:
    with pytest.raises(ValueError, match='more than 64 images'):
        closure([parse('wheel=wheel+1.0', TASK)], TASK.angle_indices)


def test_a_wrong_one_is_refused_with_the_parameters_name(
    make_settings: Callable[..., DynamicsSettings],
) -> None:
    with pytest.raises(SettingsError, match=r"'training.symmetries': the task has no 'sledge'"):
        make_settings(training__symmetries=['sledge=-sledge'])


def test_images_are_learned_from_and_never_measured_on(
    make_settings: Callable[..., DynamicsSettings], cartpole: Any
) -> None:
    settings = make_settings(
        training__symmetries=['slider=-slider, hinge=-hinge'],
        training__holdout_fraction=0.25,
        model__reward=True,
    )
    state, action, next_state = cartpole.random_data(2, seed=0)
    step = np.tile(np.arange(200), 2)
    data = Transitions.from_arrays(
        state=state,
        action=action,
        next_state=next_state,
        episode=np.repeat([0, 1], 200),
        step=step,
        reward=np.arange(400.0),
    )
    architecture = settings.architecture()

    def prepared(symmetries: Any) -> Any:
        generator = torch.Generator().manual_seed(0)
        made = prepare(data, architecture, settings.training, generator, symmetries)
        assert made is not None
        return made

    (mirror,) = settings.symmetries()
    plain, doubled = prepared(()), prepared((mirror,))
    assert doubled.size == 2 * plain.size and doubled.held_out == plain.held_out
    n = plain.size
    inputs = _unscaled(doubled.inputs, doubled.input_scaling)
    targets = _unscaled(doubled.targets, doubled.target_scaling)
    sign = np.where(_even(architecture.encoding), 1.0, -1.0)
    np.testing.assert_allclose(inputs[n:], inputs[:n] * sign, atol=1e-5)
    np.testing.assert_allclose(targets[n:, :4], -targets[:n, :4], atol=1e-4)
    np.testing.assert_allclose(targets[n:, 4], targets[:n, 4], rtol=1e-5)  # the reward


def _unscaled(values: torch.Tensor, scaling: Normalizer) -> np.ndarray:
    return values.double().numpy() * scaling.std + scaling.mean


def _even(encoding: Any) -> np.ndarray:
    """Which inputs the cart-pole's mirror leaves as they are: the cosines."""
    plain, angles = len(encoding.plain), len(encoding.circular)
    even = np.zeros(encoding.input_dim, dtype=bool)
    even[plain + angles : plain + 2 * angles] = True
    return even


def test_one_half_of_the_world_is_learned_from_the_other(
    make_settings: Callable[..., DynamicsSettings], cartpole: Any
) -> None:
    """All data are from where the pole leans right; who knows of the mirror says of left and right
    the same."""
    state, action, next_state = cartpole.random_data(20, seed=1)
    right = np.sin(state[:, 1]) > 0
    data = Transitions.from_arrays(
        state=state[right],
        action=action[right],
        next_state=next_state[right],
        reward=np.zeros(right.sum()),
    )
    disagreement = []
    for symmetries in ([], ['slider=-slider, hinge=-hinge']):
        settings = make_settings(
            training__symmetries=symmetries,
            model__hidden=[64, 64],
            training__updates_after_episode=3000,
        )
        learner = Learner(settings)
        for transition in data:
            learner.add(transition)
        learner.train()
        assert learner.snapshot is not None
        model = DynamicsModel.from_bytes(learner.snapshot.data)

        def change(state: np.ndarray, action: np.ndarray, model: DynamicsModel = model) -> Any:
            rows = [
                torch.from_numpy(x).float().expand(model.members, -1, -1) for x in (state, action)
            ]
            return model.predict_mean(rows[0], rows[1]).mean(0).double().numpy() - state

        here, there = change(state, action), change(-state, -action)
        disagreement.append(relative_error(-there, here))
    plain, mirrored = disagreement
    assert mirrored < 0.3 * plain
