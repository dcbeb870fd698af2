"""What ``mbrl bench`` shows: tables in which the right numbers meet, and curves."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbrl_bringup.bench import curve, table
from mbrl_bringup.bench.progress import duration
from mbrl_bringup.bench.rows import Row, Rows
from mbrl_bringup.testing_bench import row

TASK = 'cartpole_swingup'


def runs(recipe: str = 'pets', task: str = TASK, episodes: int = 5, unchanged: bool = True) -> list:
    """Two seeds: returns of 10, 20, 30, ... and of 100, 90, 80, ..."""
    returns = [(10.0 * (i + 1), 100.0 - 10.0 * i) for i in range(episodes)]
    return [
        row(
            seed,
            episode,
            task=task,
            recipe=recipe,
            unchanged=unchanged,
            kind='random' if episode == 0 else 'planned',
            episode_return=both[seed],
            plan_time_p50=float('nan') if episode == 0 else 0.02,
        )
        for episode, both in enumerate(returns)
        for seed in range(2)
    ]


def test_ours_has_medians_and_ranges() -> None:
    (line,) = table.ours({(TASK, 'pets'): runs()})
    assert dict(zip(table.OURS_COLUMNS, line)) == {
        'task': TASK,
        'recipe': 'pets',
        'seeds': '2',
        'episodes': '5',
        'steps': '1000',
        'last episode': '55.0 (50.0 to 60.0)',
        'best so far': '75.0 (50.0 to 100.0)',
        'plan (ms)': '20.0',
        'wall (s)': '9.0',
    }


def test_seeds_that_are_not_done_count_as_far_as_all_have_come() -> None:
    (line,) = table.ours({(TASK, 'pets'): runs()[:-1]})
    assert line[3:6] == ('4', '800', '55.0 (40.0 to 70.0)')


def test_beside_each_figure_is_ours_of_the_same_measure_after_as_many_steps() -> None:
    lines, sources = table.beside({(TASK, 'pets'): runs()})
    of_pets = {
        line[1]: dict(zip(table.BESIDE_COLUMNS, line)) for line in lines if line[3] == 'PETS'
    }
    assert of_pets['800']['published'] == '82.0'
    assert of_pets['800']['ours'] == 'pets 70.0 (40.0 to 100.0)'
    assert of_pets['1000']['ours'] == 'pets 75.0 (50.0 to 100.0)'
    assert of_pets['1200']['ours'] == '-'  # not so far yet
    assert of_pets['800']['measure'] == 'best so far'
    assert of_pets['800']['differs'] == '-'
    assert sources[0].startswith("[1] PETS's own code") and 'https://' in sources[0]
    assert of_pets['800']['source'] == '[1]' and len(sources) == 2


def test_every_source_that_is_named_is_listed() -> None:
    names = ('hopper', 'reacher_pets', TASK)
    lines, sources = table.beside({(name, 'pets'): runs(task=name) for name in names})
    assert {line[0] for line in lines} == set(names)
    named = {line[6] for line in lines}
    assert named == {source.partition(' ')[0] for source in sources}
    (spread,) = {line[4] for line in lines if line[0] == 'reacher_pets' and line[3] == 'POPLIN-P'}
    assert spread == '-29.0 ± 25.2'
    assert all('v5' in line[7] for line in lines if line[0] == 'hopper')


def test_a_task_that_was_changed_is_put_beside_nothing() -> None:
    changed = {(TASK, 'pets'): runs(unchanged=False)}
    lines, _ = table.beside(changed)
    assert {line[5] for line in lines} == {'-'}
    assert table.ours(changed)[0][1] == 'pets (task changed)'


def test_several_recipes_stand_in_one_cell() -> None:
    lines, _ = table.beside({(TASK, 'pets'): runs(), (TASK, 'random'): runs('random')})
    cell = next(line[5] for line in lines if line[1] == '400')
    assert cell == 'pets 60.0 (20.0 to 100.0); random 60.0 (20.0 to 100.0)'


def test_markdown_is_a_table() -> None:
    text = table.markdown(('a', 'b'), [('1', 'x|y'), ('2', '')])
    assert text.splitlines() == ['| a | b |', '| --- | --- |', r'| 1 | x\|y |', '| 2 |  |']


def test_files_that_cannot_be_read_do_not_hide_the_others(tmp_path: Path) -> None:
    good = Rows(tmp_path / 'good.csv')
    for each in runs():
        good.put(each)
    (tmp_path / 'bad.csv').write_text('nonsense\n')
    found, problems = table.load(sorted(tmp_path.glob('*.csv')))
    assert list(found) == [(TASK, 'pets')] and len(found[TASK, 'pets']) == 10
    assert len(problems) == 1 and 'bad.csv' in problems[0]


def labels(axis: object) -> list[str]:
    return axis.get_legend_handles_labels()[1]  # type: ignore[attr-defined, no-any-return]


def test_figures_of_another_measure_are_on_another_axis() -> None:
    picture = curve.figure(TASK, {(TASK, 'pets'): runs(), ('hopper', 'pets'): runs(task='hopper')})
    episode, best = picture.axes
    assert (episode.get_title(), best.get_title()) == ('of the episode', 'best so far')
    assert labels(episode) == ['pets, 2 seeds']
    assert labels(best) == ['pets, 2 seeds', 'PETS, published', 'PETS (port), published']
    ours, published = best.lines[0], best.lines[1]
    assert list(ours.get_xdata()) == [200, 400, 600, 800, 1000]
    assert list(ours.get_ydata()) == [55.0, 60.0, 65.0, 70.0, 75.0]
    assert list(published.get_xdata()) == [400, 600, 800, 1000]
    assert list(published.get_ydata()) == [9, 54, 82, 132]
    assert episode.get_ylabel() == 'return' and episode.get_xlabel() == 'environment steps'


def test_figures_that_came_much_later_are_lines_that_say_when() -> None:
    scored = [row(seed, 0, task='hopper', score=300.0) for seed in range(2)]
    (axis,) = curve.figure('hopper', {('hopper', 'pets'): scored}).axes
    assert 'MBPO, published, after 25,000 steps (not the same environment)' in labels(axis)
    assert axis.get_ylabel() == "environment's own score"


def test_the_picture_is_written(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'picture.png'
    curve.draw(path, 'my_own', {('my_own', 'pets'): runs(task='my_own', unchanged=False)})
    assert path.read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(float('nan'), '-'), (0.4, '0 s'), (89.0, '89 s'), (91.0, '2 min'), (5400.0, '1 h 30')],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_rows_are_needed_for_nothing_else() -> None:
    assert table.ours({}) == [] and table.beside({}) == ([], [])
    assert isinstance(runs()[0], Row)
