"""``mbrl bench --video``: of each seed the planned episode that paid most, from its own data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from mbrl_bringup import cli
from mbrl_bringup.bench.measures import gain
from mbrl_bringup.bench.rows import read
from mbrl_bringup.recorded import find_episode
from mbrl_bringup.tasks import params_file_of

TASK = 'half_cheetah'
QUICK = (TASK, '--recipe', 'true_model', '--params-file', 'quick.yaml', '--max-steps', '12')
SEEDS = ('--seeds', '2', '--episodes', '3', '--out', 'rows.csv')


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """In a folder of its own with a task that takes no time to plan, drawn without OpenGL."""
    monkeypatch.setattr(cli, 'remember_signals', lambda: None)
    monkeypatch.setattr(cli, 'interrupt_at_once', lambda: None)
    monkeypatch.setenv('MUJOCO_GL', 'disable')
    monkeypatch.chdir(tmp_path)
    document = yaml.safe_load(params_file_of(TASK).read_text())
    document['/**/planner']['ros__parameters']['planner']['horizon'] = 3
    document['/**/planner']['ros__parameters']['optimizer'] |= {'candidates': 4, 'elites': 2}
    document['/**/sim_bridge']['ros__parameters']['sim'] |= {
        'render_width': 64,
        'render_height': 32,
    }
    Path('quick.yaml').write_text(yaml.safe_dump(document))
    return iter([tmp_path])


def bench(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(['bench', *arguments])
    return end.value.code  # type: ignore[return-value]


def frames(film: Path) -> int:
    import av

    with av.open(str(film)) as opened:
        return sum(1 for _ in opened.decode(opened.streams.video[0]))


def test_each_seed_has_a_film_of_its_best_planned_episode(
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip('av')
    assert bench(*QUICK, *SEEDS, '--video', '--keep') == 0
    printed = capsys.readouterr().out
    for seed in range(2):
        gains = [gain(row) for row in read(Path('rows.csv')) if row.seed == seed]
        best = int(np.argmax(gains))
        assert f'rows-seed{seed}.mp4: the best planned episode of seed {seed}, {best}\n' in printed
        states = find_episode(Path('rows.runs', f'seed_{seed}'), str(best)).states
        assert frames(Path(f'rows-seed{seed}.mp4')) == len(states) == 13
    assert bench(*QUICK, *SEEDS, '--video') == 0  # nothing is run; drawn again, and the data go
    assert not Path('rows.runs').exists()
    Path('rows-seed1.mp4').unlink()
    assert bench(*QUICK, *SEEDS, '--video') == 0
    assert 'no film of seed 1: there is no rows.runs/seed_1' in capsys.readouterr().out
    assert frames(Path('rows-seed0.mp4')) == 13


def test_what_plans_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for recipe in ('random', 'sac'):
        assert bench(TASK, '--recipe', recipe, '--video') == 2
        assert f"the recipe '{recipe}' plans no episode" in capsys.readouterr().err
    assert not Path('benchmarks').exists()
