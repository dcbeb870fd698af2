"""``mbrl report`` of what is no run folder: folders of learn(), bags, robots' own bags."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mbrl_bringup.learn import Episode
from mbrl_bringup.testing_report import PageReader, fetched, make_run, report
from mbrl_dynamics.bag import EpisodeBag
from mbrl_dynamics.testing import RobotRecorder, time

MS = 1_000_000
STATUS = 'mbrl_msgs/msg/ControllerStatus'


def page_at(path: Path) -> PageReader:
    page = PageReader(path.read_text())
    assert fetched(page) == []
    return page


def notes_of(page: PageReader) -> str:
    return ' '.join(each.words for each in page.all('li'))


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Episode]]:
    path = tmp_path_factory.mktemp('bags') / 'run'
    return path, make_run(path)


@pytest.fixture
def learned(original: tuple[Path, list[Episode]], tmp_path: Path) -> Path:
    """As learn() leaves a folder: bags and models, and nothing else."""
    for name in ('data', 'models'):
        shutil.copytree(original[0] / name, tmp_path / 'learned' / name)
    return tmp_path / 'learned'


def write_robot(path: Path, status: bool = False) -> Path:
    """A cart that drives, and commands; no rewards, no models."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with RobotRecorder(path) as recorder:
        for tick in range(501):
            stamp = 10**12 + tick * 4 * MS
            recorder.joints(stamp, {'hinge': (0.01 * tick, 0.5), 'slider': (0.005 * tick, 1.0)})
            if tick % 10 == 0:
                recorder.array(stamp, [0.01 * tick])
        if status:
            text = Path(__file__).parents[2] / 'src/mbrl_msgs/msg/ControllerStatus.msg'
            definition = text.read_text() + '=' * 80 + '\nMSG: builtin_interfaces/Time\n'
            definition += 'int32 sec\nuint32 nanosec\n'
            schema = recorder._writer.register_msgdef(STATUS, definition)
            for number in range(3):
                fields = {
                    'stamp': time(10**12 + number * 10**9),
                    'state': 2,
                    'late_plans': 2 * number,
                    'goal': [],
                    'predicted_return': 3.0 + number,
                    'received_return': 2.5,
                }
                recorder._writer.write_message('/robot0/controller_status', schema, fields)
    return path


def test_a_folder_of_learn_has_its_returns_from_the_bags(
    learned: Path, original: tuple[Path, list[Episode]]
) -> None:
    assert report(learned, '--task', 'cartpole_swingup') == 0
    page = page_at(learned / 'report.html')
    shown = np.array(page.values())
    for episode in original[1]:
        assert np.isclose(shown, episode.record.episode_return, rtol=1e-12).any()
    assert 'Calibration' in page.drawings()
    assert 'Held-out error by model version' in page.drawings()
    assert 'Planning time by episode' not in page.drawings()


def test_without_parameters_there_is_a_page_that_says_what_it_lacks(learned: Path) -> None:
    assert report(learned) == 0
    page = page_at(learned / 'report.html')
    assert 'there is no parameter file' in notes_of(page)
    assert 'what was held out from its training is said by a parameter file' in notes_of(page)
    assert 'Learning curve' in page.drawings()
    assert 'state[0] in episode' in ' '.join(page.drawings())
    assert 'Calibration' not in page.drawings()


def test_a_single_bag_is_a_run_of_one_episode(learned: Path) -> None:
    path = learned / 'data' / 'episode_00001.mcap'
    assert report(path, '--task', 'cartpole_swingup') == 0
    page = page_at(path.with_suffix('.html'))
    assert 'there is no model' in notes_of(page)
    assert 'Learning curve' in page.drawings()
    assert page.all('h1')[0].words == 'episode_00001.mcap'


def test_a_model_from_elsewhere_is_measured_on_all_of_a_bag(learned: Path) -> None:
    path = learned / 'data' / 'episode_00001.mcap'
    model = max((learned / 'models').iterdir())
    assert report(path, '--task', 'cartpole_swingup', '--model', model) == 0
    page = page_at(path.with_suffix('.html'))
    assert any('Measured on 60 transitions (episode_00001.mcap)' in e.words for e in page.all('p'))
    assert {'Calibration', 'Many steps ahead'} <= set(page.drawings())


def test_a_robots_own_bag_is_scored_by_the_objective(tmp_path: Path) -> None:
    path = write_robot(tmp_path / 'walk.mcap')
    assert report(path, '--task', 'cartpole_swingup') == 0
    page = page_at(tmp_path / 'walk.html')
    assert any(each.words.startswith('Not solved: best return') for each in page.all('p'))
    assert 'Counts of faults are not recorded' in ' '.join(each.words for each in page.all('p'))


def test_the_status_is_taken_from_a_bag_that_has_it(tmp_path: Path) -> None:
    path = write_robot(tmp_path / 'walk.mcap', status=True)
    assert report(path, '--task', 'cartpole_swingup') == 0
    page = page_at(tmp_path / 'walk.html')
    assert {'Faults by episode', 'Predicted and received return'} <= set(page.drawings())
    cells = [each.words for each in page.all('td')]
    assert cells[cells.index('late plans') + 1] == '4'


def test_a_status_that_was_recorded_into_a_run_is_found(learned: Path) -> None:
    write_robot(learned / 'status' / 'walk.mcap', status=True)
    assert report(learned, '--task', 'cartpole_swingup') == 0
    page = page_at(learned / 'report.html')
    assert 'Faults by episode' in page.drawings()
    assert len(page.tables()[0]) == 4  # the episodes are those of data/ alone


def test_a_robots_own_bag_needs_a_task(tmp_path: Path) -> None:
    path = write_robot(tmp_path / 'walk.mcap')
    assert report(path) == 1
    page = page_at(tmp_path / 'walk.html')
    assert 'give --task or --params-file' in notes_of(page)
    assert '/joint_states' in notes_of(page)


def test_bags_without_rewards_say_so(tmp_path: Path, original: tuple[Path, list[Episode]]) -> None:
    bag = EpisodeBag(tmp_path, 0)
    for transition in original[1][0].transitions:
        transition = type(transition)(**{**vars(transition), 'reward': float('nan')})
        bag.write(transition)
    bag.finish()
    assert report(tmp_path) == 0
    page = page_at(tmp_path / 'report.html')
    assert '1 bags have no rewards' in notes_of(page)
    assert 'No episode is known' in ' '.join(each.words for each in page.all('p'))
