"""``mbrl report`` of one run: a real, tiny one, and what a reader finds on its page."""

from __future__ import annotations

import base64
import itertools
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mbrl_bringup import csv_table
from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.testing_report import Element, PageReader, fetched, make_run, report, write_status
from mbrl_dynamics.evaluation import load
from mbrl_dynamics.learner import Learner


@pytest.fixture(scope='module')
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three episodes, with a status, an animation, and warnings of the nodes."""
    path = tmp_path_factory.mktemp('report') / 'run'
    make_run(path)
    status = [
        {'episode': 0, 'late_plans': 0, 'clamped_actions': 2},
        {'episode': 1, 'late_plans': 3, 'clamped_actions': 2, 'text': 'no <b>plan</b> came'},
        {'episode': 1, 'late_plans': 4, 'clamped_actions': 7, 'state': 5, 'text': 'took 5 ms'},
        {'episode': 2, 'late_plans': 4, 'clamped_actions': 7, 'text': 'took 7 ms'},
        # The controller was started again: it counts from the beginning.
        {'episode': 2, 'late_plans': 1, 'clamped_actions': 0},
    ]
    for number, fields in enumerate(status):
        fields |= {'predicted_return': 1.5 + number, 'received_return': 1.25}
    write_status(path, status)
    frames = [Image.fromarray(np.full((8, 8, 3), 40 * i, np.uint8)) for i in range(3)]
    frames[0].save(path / 'best_trial.gif', save_all=True, append_images=frames[1:])
    logs = path / 'logs'
    logs.mkdir()
    line = '[{}] [1795885838.4] [planner]: took {} ms\n'
    (logs / 'planner.log').write_text(
        line.format('INFO', 1) + line.format('WARN', 120) * 3 + line.format('ERROR', 900)
    )
    return path


@pytest.fixture
def run(original: Path, tmp_path: Path) -> Path:
    """A copy to be broken."""
    shutil.copytree(original, tmp_path / 'run')
    return tmp_path / 'run'


@pytest.fixture(scope='module')
def page(original: Path) -> Iterator[PageReader]:
    """Its page."""
    assert report(original) == 0
    yield PageReader((original / 'report.html').read_text())


def rows_of(page: PageReader, *columns: str) -> list[list[str]]:
    """The cells of the table that has these columns."""
    return next(rows for rows in page.tables() if set(columns) <= set(rows[0]))


def test_nothing_is_fetched_from_anywhere(page: PageReader) -> None:
    assert fetched(page) == []


def test_every_part_is_there_and_in_the_table_of_contents(page: PageReader) -> None:
    titles = [each.words for each in page.all('h2')]
    assert titles == [
        'Learning',
        'Best episode',
        'The model',
        'Training',
        'Plans',
        'Faults and clamps',
        'Settings and versions',
    ]
    links = [each.attributes['href'].removeprefix('#') for each in page.all('a')]
    assert links == [each.attributes['id'] for each in page.all('h2')]


def test_every_drawing_is_there(page: PageReader) -> None:
    drawings = page.drawings()
    for name in (
        'Learning curve',
        'Return by episode',
        'Model error by episode',
        'Error over the steps ahead',
        'Calibration',
        'Predicted against recorded change',
        'Many steps ahead',
        'Held-out error by model version',
        'Predicted and received return',
        'Planning time by episode',
        'Faults by episode',
    ):
        assert name in drawings
    assert sum('hinge.velocity in episode' in name for name in drawings) == 1
    assert len(set(drawings)) == len(drawings)


def test_each_drawing_says_what_to_look_for(page: PageReader) -> None:
    captions = [each.words for each in page.all('figcaption')]
    assert len(captions) >= 11
    assert all('ook ' in text for text in captions)


def test_headings_go_down_step_by_step(page: PageReader) -> None:
    levels = [int(each.tag[1]) for each in page.elements if re.fullmatch('h[1-6]', each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_no_name_is_given_twice(page: PageReader) -> None:
    names = [each.attributes['id'] for each in page.elements if 'id' in each.attributes]
    assert len(names) == len(set(names))
    references = {
        match
        for each in page.elements
        for value in each.attributes.values()
        for match in re.findall(r'url\(#([^)]+)\)', value)
    }
    assert references
    assert references <= set(names)


def test_the_numbers_are_those_of_the_table_of_episodes(page: PageReader, original: Path) -> None:
    rows = csv_table.read(original / 'episodes.csv', EpisodeRow)
    shown = set(page.values())
    assert len(rows) == 3
    for row in rows:
        for name in (
            'episode_return',
            'model_error',
            'holdout_error',
            'plan_time_p50',
            'wall_time',
        ):
            value = getattr(row, name)
            assert math.isnan(value) or value in shown, name
    table = rows_of(page, 'return', 'wall [s]')
    assert [line[0] for line in table[1:]] == ['0', '1', '2']
    assert [float(line[4]) for line in table[1:]] == [
        pytest.approx(row.episode_return, rel=1e-3) for row in rows
    ]


def test_the_model_is_measured_as_the_learner_measures_it(
    page: PageReader, original: Path, tmp_path: Path
) -> None:
    from mbrl_common.taskfile import node_settings
    from mbrl_dynamics.settings import DynamicsSettings

    copy = tmp_path / 'copy'
    shutil.copytree(original, copy)
    settings = node_settings(copy / 'parameters.yaml', 'dynamics', DynamicsSettings)
    learner = Learner(settings, copy)
    outcome = learner.evaluate()
    learner.close()
    assert outcome.evaluation is not None
    kept = load(Path(outcome.folder))
    shown = set(page.values())
    for values in (kept.one_step.error, kept.one_step.spread, kept.one_step.calibration_error):
        assert set(values.tolist()) <= shown
    last = kept.open_loop.longest - 1
    assert float(kept.open_loop.relative_error[last]) in shown


def test_a_measured_model_is_not_measured_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mbrl_bringup.report import models
    from mbrl_common.taskfile import node_settings
    from mbrl_dynamics.settings import DynamicsSettings

    settings = node_settings(run / 'parameters.yaml', 'dynamics', DynamicsSettings)
    learner = Learner(settings, run)
    assert learner.evaluate().evaluation is not None
    learner.close()
    monkeypatch.setattr(models, 'evaluate', lambda *_, **__: pytest.fail('measured again'))
    assert report(run) == 0
    assert 'Calibration' in PageReader((run / 'report.html').read_text()).drawings()


def test_faults_are_counted_by_episode(page: PageReader) -> None:
    totals = dict(line for line in rows_of(page, 'what', 'count')[1:])
    assert (totals['late plans'], totals['clamped actions']) == ('5', '7')
    assert totals['refused states'] == '0'
    assert totals['seconds waiting for planner'] == 'about 1'
    table = rows_of(page, 'late plans', 'clamped actions')
    assert [line[1:] for line in table[1:]] == [['0', '2'], ['4', '5'], ['1', '0']]


def test_what_was_said_stays_text(page: PageReader, original: Path) -> None:
    assert rows_of(page, 'first in episode', 'text')[1:] == [
        ['1', 'no <b>plan</b> came'],
        ['1', 'took 5 ms'],
    ]
    assert page.all('b') == []
    assert 'no <b>plan' not in (original / 'report.html').read_text()


def test_warnings_that_differ_in_numbers_alone_are_one_line(page: PageReader) -> None:
    assert rows_of(page, 'times', 'level', 'node', 'text')[1:] == [
        ['1', 'ERROR', 'planner', 'took 900 ms'],
        ['3', 'WARN', 'planner', 'took 120 ms'],
    ]


def test_the_animation_is_within_the_page(page: PageReader, original: Path) -> None:
    (image,) = page.all('img')
    head, _, data = image.attributes['src'].partition(',')
    assert head == 'data:image/gif;base64'
    assert base64.b64decode(data) == (original / 'best_trial.gif').read_bytes()
    assert image.attributes['alt']


def test_the_settings_are_the_parameter_file(page: PageReader, original: Path) -> None:
    (listing,) = page.all('pre')
    assert listing.text == (original / 'parameters.yaml').read_text()
    packages = [line[0] for line in rows_of(page, 'package', 'version')[1:]]
    assert {'python', 'torch', 'mujoco'} <= set(packages)


def test_published_figures_have_their_source(page: PageReader) -> None:
    table = rows_of(page, 'method', 'source', 'how it differs')
    assert any('PETS' in line[0] and 'http' in line[4] for line in table[1:])


def test_the_page_is_small(original: Path, page: PageReader) -> None:
    assert (original / 'report.html').stat().st_size < 3_000_000


def test_it_fits_a_phone_and_knows_its_language(page: PageReader) -> None:
    views = [
        e.attributes['content'] for e in page.all('meta') if 'viewport' in e.attributes.values()
    ]
    assert views == ['width=device-width, initial-scale=1']
    assert page.all('html')[0].attributes['lang'] == 'en'
    fixed: list[Element] = [each for each in page.all('svg') if 'width' in each.attributes]
    assert fixed == []


def test_nothing_in_the_run_is_changed(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob('*') if path.is_file()}
    assert report(run, '-o', run.parent / 'page.html') == 0
    after = {path: path.read_bytes() for path in run.rglob('*') if path.is_file()}
    assert after == before


def test_the_verdict_says_when_it_was_solved(run: Path) -> None:
    rows = csv_table.read(run / 'episodes.csv', EpisodeRow)
    best = max(rows[1:], key=lambda row: row.episode_return)
    text = (run / 'parameters.yaml').read_text()
    changed = re.sub(r'target_return: .*', f'target_return: {best.episode_return - 1e-9}', text)
    (run / 'parameters.yaml').write_text(changed)
    assert report(run) == 0
    words = next(
        each.words
        for each in PageReader((run / 'report.html').read_text()).all('p')
        if each.attributes.get('class') == 'verdict'
    )
    assert words.startswith(f'Solved in episode {best.episode}, after {best.total_steps} control')
