"""``mbrl report`` of what is broken, foreign, or not done yet; and of what is given wrongly."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from mbrl_bringup.report import page as pages
from mbrl_bringup.testing_report import PageReader, fetched, make_run, report, write_status
from mbrl_dynamics.bag import EpisodeBag, read_folder


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('broken') / 'run'
    make_run(path)
    write_status(path, [{'episode': 1, 'late_plans': 3}])
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    shutil.copytree(original, tmp_path / 'run')
    return tmp_path / 'run'


def said(run: Path) -> str:
    """What stands on the page; every page is whole."""
    page = PageReader((run / 'report.html').read_text())
    assert fetched(page) == []
    return ' '.join(each.words for each in page.all('li') + page.all('p'))


@pytest.mark.parametrize(
    'broken',
    [
        {
            'run.yaml': b'{',
            'status.csv': b'\x00\xff',
            'trainings.csv': b'a\n1\n',
            'best_trial.gif': b'<script>',
            'data/episode_00001.mcap': b'no bag at all',
            'models/model_99999.safetensors': b'cut off',
            'evaluation/model_00002/evaluation.npz': b'PK',
        },
        {'run.yaml': b'task: a\nseed: many\n', 'parameters.yaml': b'- a list'},
        {'parameters.yaml': b'\xff\xfe\x00', 'episodes.csv': b'a,b\n1,2\n'},
    ],
    ids=['all but the episodes', 'the parameters', 'parameters and episodes'],
)
def test_what_is_broken_is_said_and_the_rest_is_shown(
    broken: dict[str, bytes], run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, content in broken.items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    assert report(run) == 1
    text, printed = said(run), capsys.readouterr().err
    for name in broken:
        complaint = Path(name).stem if name.startswith('parameters') else Path(name).name
        assert complaint in text, name
        assert complaint in printed, name
    page = PageReader((run / 'report.html').read_text())
    assert 'Learning curve' in page.drawings()
    assert page.all('script') == []


@pytest.mark.parametrize(
    'gone',
    [('run.yaml', 'parameters.yaml', 'models'), ('episodes.csv', 'status.csv'), ('data',)],
    ids=' '.join,
)
def test_what_is_missing_is_done_without(gone: tuple[str, ...], run: Path) -> None:
    for name in gone:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert report(run) == 0
    assert 'Learning curve' in PageReader((run / 'report.html').read_text()).drawings()


def test_a_run_that_goes_on_is_shown_as_far_as_it_is(run: Path) -> None:
    lines = (run / 'episodes.csv').read_text().splitlines(keepends=True)
    (run / 'episodes.csv').write_text(''.join(lines[:-1]) + lines[-1][:-9])
    steps = read_folder(run / 'data')
    bag = EpisodeBag(run / 'data', 3)
    for number, step in enumerate(steps[:7]):
        changes = {'sequence': len(steps) + number, 'episode': 3, 'step': number}
        bag.write(type(step)(**{**vars(step), **changes}))
    assert report(run) == 0
    text = said(run)
    assert '67 steps on disk belong to no row of episodes.csv' in text
    assert 'episode_00003.mcap: not finished' in text
    assert 'episodes.csv, line' not in text


def test_one_random_episode_and_no_model_are_a_page(tmp_path: Path) -> None:
    make_run(tmp_path / 'run', episodes=1, changes={'dynamics': {'training.min_transitions': 999}})
    assert report(tmp_path / 'run') == 0
    assert 'there is no model, so there is none to measure' in said(tmp_path / 'run')
    drawings = PageReader((tmp_path / 'run' / 'report.html').read_text()).drawings()
    assert 'Learning curve' in drawings
    assert 'Model error by episode' not in drawings


def test_a_run_before_its_first_episode_is_a_page(run: Path) -> None:
    for name in ('data', 'models'):
        shutil.rmtree(run / name)
    (run / 'episodes.csv').unlink()
    assert report(run) == 0
    assert 'no episode has ended yet' in said(run)


def test_a_model_of_another_task_is_not_measured(run: Path) -> None:
    text = (run / 'parameters.yaml').read_text()
    (run / 'parameters.yaml').unlink()
    other = run.parent / 'other.yaml'
    other.write_text(re.sub(r' *- slider\.velocity\n', '', text))
    assert report(run, '--params-file', other) == 1
    assert "states and actions have 4 and 1 entries; the task 'cartpole_swingup' has 3" in said(run)


def test_markup_in_a_run_stays_text(tmp_path: Path, original: Path) -> None:
    evil = '<img src=x onerror=alert(1)> & "$x^2$"'
    path = tmp_path / '<svg onload=alert(1)> & $y_1$'
    shutil.copytree(original, path)
    for name in ('parameters.yaml', 'run.yaml'):
        text = (path / name).read_text()
        (path / name).write_text(text.replace('task: cartpole_swingup', f"task: '{evil}'"))
    settings = (path / 'parameters.yaml').read_text()
    (path / 'parameters.yaml').write_text(settings.replace('slider.position', f"'{evil}.position'"))
    assert report(path) == 0
    page = PageReader((path / 'report.html').read_text())
    assert page.all('img') == []
    assert not any('onload' in each.attributes for each in page.elements)
    assert evil in page.all('p')[0].words
    assert any(evil in each.text for each in page.all('text'))


@pytest.mark.parametrize('content', [None, 'text', 'folder', 'runs', 'no bag'])
def test_what_is_no_run_is_refused(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'given'
    if content == 'no bag':
        path.write_text('no bag')
    elif content is not None:
        path.mkdir()
    if content == 'runs':
        make_run(path / 'one', episodes=1)
    if content == 'text':
        (path / 'notes.txt').write_text('no run')
    if content == 'folder':
        (path / 'data').mkdir()
    assert report(path) == 2
    assert str(path) in capsys.readouterr().err
    assert not list(tmp_path.rglob('*.html*'))


@pytest.mark.parametrize(
    ('arguments', 'complaint'),
    [
        (['--out', '.'], 'is a folder'),
        (['--out', 'none/page.html'], 'there is no folder'),
        (['--out', 'run/episodes.csv'], 'is no page'),
        (['--task', 'nonsense'], "no task 'nonsense'"),
        (['--params-file', 'none.yaml'], 'no parameter file none.yaml'),
        (['--model', 'none.safetensors'], 'is no model'),
    ],
)
def test_what_is_given_wrongly_is_refused_before_anything_is_written(
    arguments: list[str],
    complaint: str,
    run: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(run.parent)
    before = sorted(run.parent.rglob('*'))
    assert report(run, *arguments) == 2
    assert complaint in capsys.readouterr().err
    assert sorted(run.parent.rglob('*')) == before


def test_a_page_is_there_whole_or_as_it_was(
    small_disk: Path, capsys: pytest.CaptureFixture[str], run: Path
) -> None:
    out = small_disk / 'page.html'
    out.write_text('the page before')
    room = shutil.disk_usage(small_disk).free
    (small_disk / 'ballast').write_bytes(b'x' * (room - 50_000))
    assert report(run, '--out', out) == 1
    assert 'No space left' in capsys.readouterr().err
    assert out.read_text() == 'the page before'
    assert not list(small_disk.glob('page.html.*'))


def test_the_template_is_part_of_the_package() -> None:
    from importlib.resources import files

    package = files('mbrl_bringup.report')
    for name in (pages.TEMPLATE, 'page.css'):
        assert package.joinpath(name).is_file(), name
    setup = (Path(__file__).parents[1] / 'setup.py').read_text()
    assert f"'{pages.TEMPLATE}', 'page.css'" in setup
