"""Recipes: every one goes with every task, and is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mbrl_bringup.bench.recipes import about, digest, recipe, recipe_names
from mbrl_bringup.tasks import params_file_of, task_names
from mbrl_common.settings import SettingsError
from mbrl_common.taskfile import node_settings
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_planner.settings import PlannerSettings

TASK = 'cartpole_swingup'


def settings(name: str, task: str = TASK) -> tuple[DynamicsSettings, PlannerSettings]:
    file = params_file_of(task)
    overrides = recipe(name, task, file).overrides
    return (
        node_settings(file, 'dynamics', DynamicsSettings, overrides.get('dynamics')),
        node_settings(file, 'planner', PlannerSettings, overrides.get('planner')),
    )


@pytest.mark.parametrize('task', task_names())
def test_every_recipe_goes_with_a_task(task: str) -> None:
    for name in recipe_names():
        assert recipe(name, task, params_file_of(task)).name == name


def test_every_recipe_says_what_it_is() -> None:
    assert {'pets', 'pddm', 'mbmf', 'true_model', 'random', 'sac'} <= set(recipe_names())
    assert all(len(about(name)) > 20 for name in recipe_names())


def test_pets_at_its_published_size() -> None:
    """Numbers of dmbrl/config/cartpole.py and default.py, but for what the suite has not."""
    dynamics, planner = settings('pets_full')
    assert (dynamics.model.kind, dynamics.model.members) == ('probabilistic', 5)
    assert dynamics.model.hidden == (500, 500, 500)
    assert dynamics.training.epochs == 5 and dynamics.training.every_steps == 0
    assert dynamics.training.weight_decay == (1e-4, 2.5e-4, 2.5e-4, 5e-4)
    optimizer, planning = planner.optimizer, planner.planner
    assert (optimizer.name, optimizer.candidates, optimizer.elites) == ('cem', 400, 40)
    assert (planning.propagation, planning.particles, planning.horizon) == ('ts_inf', 20, 25)
    steps = optimizer.candidates * optimizer.iterations * planning.particles * planning.horizon
    assert steps == 1_000_000


def test_the_small_pets_has_a_twentieth_of_its_model_steps() -> None:
    dynamics, planner = settings('pets')
    assert dynamics.model.kind == 'probabilistic'
    assert (planner.optimizer.name, planner.planner.propagation) == ('cem', 'ts_inf')
    optimizer, planning = planner.optimizer, planner.planner
    steps = optimizer.candidates * optimizer.iterations * planning.particles * planning.horizon
    assert steps == 50_000


def test_sizes_of_a_task_win() -> None:
    _, cheetah = settings('pets_full', 'half_cheetah_pets')
    assert (cheetah.optimizer.candidates, cheetah.planner.horizon) == (500, 30)
    _, ant = settings('pddm', 'ant')
    _, other = settings('pddm')
    assert (ant.optimizer.pddm.sigma, other.optimizer.pddm.sigma) == (0.8, 0.9)


@pytest.mark.parametrize(
    ('task', 'numbers'),
    [
        ('valve_pddm', (7, 700, 0.5, 0.7, 0.9)),
        ('baoding_pddm', (7, 700, 20.0, 0.6, 0.9)),
        ('cube_pddm', (7, 1000, 10.0, 0.6, 0.9)),
    ],
)
def test_pddms_own_tasks_have_its_published_numbers(task: str, numbers: tuple[float, ...]) -> None:
    dynamics, planner = settings('pddm', task)
    pddm = planner.optimizer.pddm
    found = (planner.planner.horizon, planner.optimizer.candidates)
    assert (*found, pddm.kappa, pddm.beta, pddm.sigma) == numbers
    assert planner.optimizer.iterations == 1
    assert dynamics.training.every_episodes == (20 if task == 'valve_pddm' else 40)
    # It exchanges the balls to have twice the data, and does nothing of the kind elsewhere.
    assert len(dynamics.symmetries()) == (task == 'baoding_pddm')


def test_mbmf_is_random_shooting_in_one_deterministic_network() -> None:
    dynamics, planner = settings('mbmf')
    assert (dynamics.model.kind, dynamics.model.members) == ('deterministic', 1)
    assert planner.optimizer.name == 'random_shooting'


@pytest.mark.parametrize('task', [TASK, 'hopper', 'pusher_pets'])
def test_the_true_model_is_that_of_the_simulation(task: str) -> None:
    dynamics, planner = settings('true_model', task)
    document = yaml.safe_load(params_file_of(task).read_text())
    simulated = document['/**/sim_bridge']['ros__parameters']['sim']['environment']
    assert (planner.planner.backend, planner.planner.simulator) == ('mujoco', simulated)
    assert dynamics.training.every_episodes == dynamics.training.every_steps == 0


def test_when_it_acts_at_random() -> None:
    file = params_file_of(TASK)
    counts = {n: recipe(n, TASK, file).exploration_episodes(8, 3) for n in recipe_names()}
    assert (counts['pets'], counts['random'], counts['true_model']) == (3, 8, 0)
    assert recipe('pets', TASK, file).exploration_episodes(2, 3) == 2


def test_an_unknown_recipe_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(SettingsError, match="no recipe 'dreams'; there is suite, pets"):
        recipe('dreams', TASK, params_file_of(TASK))


def test_a_recipe_that_does_not_go_with_a_file_is_refused(tmp_path: Path) -> None:
    document = yaml.safe_load(params_file_of(TASK).read_text())
    document['/**/planner']['ros__parameters']['planner']['horizon'] = 0
    file = tmp_path / 'bad.yaml'
    file.write_text(yaml.safe_dump(document))
    with pytest.raises(SettingsError, match=r'planner\.horizon'):
        recipe('pets', TASK, file)


def test_the_digest_is_another_as_soon_as_anything_is(tmp_path: Path) -> None:
    file = params_file_of(TASK)
    pets = recipe('pets', TASK, file)
    copy = tmp_path / 'copy.yaml'
    copy.write_text(file.read_text() + '\n# a remark\n')
    assert digest(pets, copy, None) == digest(pets, file, None)
    document = yaml.safe_load(file.read_text())
    document['/**/dynamics']['ros__parameters']['training']['batch_size'] = 33
    copy.write_text(yaml.safe_dump(document))
    found = {
        digest(pets, file, None),
        digest(pets, copy, None),
        digest(pets, file, 100),
        digest(recipe('suite', TASK, file), file, None),
        digest(recipe('random', TASK, file), file, None),
    }
    assert len(found) == 5


def test_what_is_drawn_is_no_part_of_the_digest(tmp_path: Path) -> None:
    file = params_file_of(TASK)
    document = yaml.safe_load(file.read_text())
    for node in ('planner', 'mpc_controller'):
        document[f'/**/{node}']['ros__parameters']['trace']['points'] = ['cart']
    copy = tmp_path / 'copy.yaml'
    copy.write_text(yaml.safe_dump(document))
    pets = recipe('pets', TASK, file)
    assert digest(pets, copy, None) == digest(pets, file, None)
