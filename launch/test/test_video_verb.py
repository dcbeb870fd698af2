"""``mbrl video`` on the command line: which episode it draws, where, and what it refuses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbrl_bringup import cli, video_verb
from mbrl_bringup.episodes import EpisodeLog, EpisodeRow
from mbrl_bringup.learn import learn
from mbrl_bringup.recorded import find_episode
from mbrl_bringup.run_folder import RunFolder
from mbrl_bringup.tasks import params_file_of
from mbrl_dynamics.bag import EpisodeBag, read
from mbrl_dynamics.bag_tools import merge

TASK = 'cartpole_swingup'
STEPS = 25
RETURNS = (1.0, 5.0, 3.0)


@pytest.fixture(scope='module')
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with three random episodes; the second has the highest return."""
    folder = tmp_path_factory.mktemp('recorded')
    none = {'dynamics': {'training.every_episodes': 0, 'training.every_steps': 0}}
    file = params_file_of(TASK)
    learn(
        file,
        episodes=3,
        exploration_episodes=3,
        max_steps=STEPS,
        folder=folder / 'learned',
        overrides=none,
    )
    run = RunFolder(folder / 'run')
    run.create(TASK, file, 0)
    run.data.mkdir()
    for number, gain in enumerate(RETURNS):
        bag = EpisodeBag(run.data, number)
        for each in read(folder / 'learned' / 'data' / f'episode_{number:05d}.mcap'):
            bag.write(dataclasses.replace(each, reward=gain / STEPS))
        bag.finish()
    return run.path


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """In a folder of its own, with the signals left alone, and drawn without OpenGL."""
    monkeypatch.setattr(cli, 'remember_signals', lambda: None)
    monkeypatch.setattr(cli, 'interrupt_at_once', lambda: None)
    monkeypatch.setenv('MUJOCO_GL', 'disable')
    monkeypatch.chdir(tmp_path)
    return iter([tmp_path])


def video(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(['video', *arguments])
    return end.value.code  # type: ignore[return-value]


def log_row(episode: int, kind: str, gain: float) -> EpisodeRow:
    values = {f.name: False if f.type == 'bool' else 0 for f in dataclasses.fields(EpisodeRow)}
    return EpisodeRow(**(values | {'episode': episode, 'kind': kind, 'episode_return': gain}))  # type: ignore[arg-type]


@pytest.mark.parametrize(('which', 'number'), [('best', 1), ('last', 2), ('0', 0)])
def test_an_episode_is_found_by_what_it_is(which: str, number: int, recorded: Path) -> None:
    for place in (recorded, recorded / 'data'):
        found = find_episode(place, which)
        assert found.number == number
        assert found.episode_return == pytest.approx(RETURNS[number])
        assert found.bag == recorded / 'data' / f'episode_{number:05d}.mcap'
        steps = list(read(found.bag))
        assert len(found.states) == STEPS + 1 == len(steps) + 1
        np.testing.assert_array_equal(found.states[:-1], [each.state for each in steps])
        np.testing.assert_array_equal(found.states[-1], steps[-1].next_state)


def test_planned_episodes_come_before_random_ones_where_a_run_says_so(
    recorded: Path, tmp_path: Path
) -> None:
    run = RunFolder(tmp_path / 'run')
    run.path.mkdir()
    run.data.symlink_to(recorded / 'data')
    log = EpisodeLog(run.episodes)
    for number, kind in enumerate(('random', 'random', 'planned')):
        log.append(log_row(number, kind, RETURNS[number]))
    assert find_episode(run.path, 'best').number == 2


def test_one_bag_may_have_many_episodes(recorded: Path, tmp_path: Path) -> None:
    bag = EpisodeBag(tmp_path, 7)
    for number in (0, 2):
        for each in read(recorded / 'data' / f'episode_{number:05d}.mcap'):
            bag.write(each)
    bag.finish()
    assert find_episode(bag.path, 'best').number == 2
    assert find_episode(bag.path, 'last').episode_return == pytest.approx(RETURNS[2])


def test_a_film_of_a_run_needs_nothing_but_its_folder(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    av = pytest.importorskip('av')
    assert video(str(recorded)) == 0
    assert 'run-episode-1.mp4: episode 1, return 5.0, 1.0 s, ' in capsys.readouterr().out
    with av.open('run-episode-1.mp4') as film:
        (stream,) = film.streams
        frames = [frame.to_ndarray(format='rgb24') for frame in film.decode(stream)]
        assert float(stream.duration * stream.time_base) == pytest.approx(0.04 * (STEPS + 1))
    assert len(frames) == STEPS + 1
    assert frames[0].shape == (180, 480, 3)
    assert frames[0].mean() > 50 and frames[0].std() > 5, 'black, or empty'
    assert (frames[0] != frames[-1]).any()
    bag = recorded / 'data' / 'episode_00002.mcap'
    assert video(str(bag)) == 0
    assert Path('episode_00002.mp4').stat().st_size > 1000


def test_a_gif_of_a_bag_has_the_size_and_rate_that_are_asked_for(recorded: Path) -> None:
    bag = str(recorded / 'data' / 'episode_00000.mcap')
    options = ('--size', '200x80', '--frame-rate', '12.5', '--camera', '')
    assert video(bag, '--task', TASK, '-o', 'a.gif', *options) == 0
    with Image.open('a.gif') as film:
        assert film.size == (200, 80)
        assert film.n_frames == math.ceil((STEPS + 1) / 2)  # type: ignore[attr-defined]
    assert [path.name for path in Path().iterdir()] == ['a.gif']


@pytest.mark.parametrize(
    ('arguments', 'complaint', 'code'),
    [
        (('nowhere',), 'there is no nowhere', 2),
        (('RUN', '--episode', '9'), 'has no episode 9; there is 0, 1, 2', 2),
        (('RUN', '--episode', 'soon'), "--episode is 'soon'; it must be a number, best or last", 2),
        (('RUN', '-o', 'a.avi'), "a.avi ends in '.avi'; a film is .mp4 or .gif", 2),
        (('RUN', '-o', 'no/a.gif'), 'no/a.gif cannot be written: No such file or directory', 1),
        (('RUN', '-o', 'a.gif', '--task', 'hopper'), 'states of 4 numbers; those of the task', 2),
        (('RUN', '-o', 'a.gif', '--camera', 'x'), "'sim.camera' is 'x'; it must be one of", 2),
        (('RUN', '-o', 'a.gif', '--size', '9x9'), "'sim.render_width' is 9", 2),
        (('RUN', '-o', 'a.gif', '--params-file', 'no.yaml'), 'no.yaml: cannot be read', 2),
        (('RUN/parameters.yaml', '-o', 'a.gif'), 'is no MCAP file', 1),
        (('.', '-o', 'a.gif'), 'has no bags', 1),
    ],
)
def test_what_is_wrong_is_said(
    arguments: tuple[str, ...],
    complaint: str,
    code: int,
    recorded: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert video(*(each.replace('RUN', str(recorded)) for each in arguments)) == code
    assert complaint in capsys.readouterr().err
    assert not list(Path().iterdir())
    assert (video_verb.EXIT_FAILED, video_verb.EXIT_USAGE) == (1, 2)


def test_bags_alone_do_not_say_whose_they_are(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    merge([recorded / 'data'], Path('all'))
    assert video('all', '-o', 'a.gif') == 2
    assert 'all does not say of which task it is; give --task' in capsys.readouterr().err
    assert video('all', '--task', TASK, '-o', 'a.gif') == 0
    Path('twice').mkdir()
    for name in ('left', 'right'):
        Path('twice', name).symlink_to(recorded / 'data')
    assert video('twice', '--episode', '1', '--task', TASK, '-o', 'b.gif') == 2
    assert 'has episode 1 more than once' in capsys.readouterr().err


def test_without_a_known_return_none_is_best(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = EpisodeBag(Path(), 0)
    for each in read(recorded / 'data' / 'episode_00000.mcap'):
        bag.write(dataclasses.replace(each, reward=math.nan))
    bag.finish()
    assert video(str(bag.path), '--task', TASK, '-o', 'a.gif') == 2
    assert 'none is best; give --episode N' in capsys.readouterr().err
    assert video(str(bag.path), '--task', TASK, '-o', 'a.gif', '--episode', 'last') == 0
