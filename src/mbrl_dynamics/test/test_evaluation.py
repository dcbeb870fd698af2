"""An evaluation on disk."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbrl_dynamics.ensemble import Architecture
from mbrl_dynamics.evaluate import evaluate
from mbrl_dynamics.evaluation import LEVELS, About, Evaluation, load, save
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.training import TrainingJob, fit
from mbrl_dynamics.transitions import Transitions


@pytest.fixture
def evaluation(
    architecture: Architecture, cartpole: Any, make_job: Callable[..., TrainingJob]
) -> Evaluation:
    arrays = cartpole.random_data(1)
    snapshot = fit(make_job(architecture, arrays, 50)).snapshot
    assert snapshot is not None
    about = About(3, 'a bag', ('x.position', 'y.position', 'x.velocity', 'y.velocity'))
    data = Transitions.from_arrays(*arrays)[:12]
    return evaluate(DynamicsModel.from_bytes(snapshot.data), data, horizon=20, about=about)


def assert_same(ours: Any, theirs: Any) -> None:
    for field in dataclasses.fields(ours):
        one, other = getattr(ours, field.name), getattr(theirs, field.name)
        if dataclasses.is_dataclass(one):
            assert_same(one, other)
        else:
            np.testing.assert_array_equal(one, other, err_msg=field.name)
            assert type(one) is type(other), field.name


def test_it_is_read_back_as_it_was(evaluation: Evaluation, tmp_path: Path) -> None:
    save(evaluation, tmp_path / 'new' / 'folder')
    assert_same(load(tmp_path / 'new' / 'folder'), evaluation)


def test_the_summary_is_plain_json_without_the_samples(
    evaluation: Evaluation, tmp_path: Path
) -> None:
    save(evaluation, tmp_path)

    def refuse(text: str) -> None:
        raise AssertionError(f'{text} is no JSON')

    text = (tmp_path / 'evaluation.json').read_text()
    summary = json.loads(text, parse_constant=refuse)
    assert summary['levels'] == LEVELS.tolist()
    assert summary['about'] == {
        'model_version': 3,
        'source': 'a bag',
        'state': ['x.position', 'y.position', 'x.velocity', 'y.velocity'],
        'angles': [],
        'period': None,
    }
    assert summary['one_step']['transitions'] == 12
    assert summary['one_step']['error'] == evaluation.one_step.error.tolist()
    assert summary['open_loop']['windows'] == [*range(12, 0, -1), *[0] * 8]
    assert summary['open_loop']['error'][12:] == [[None] * 4] * 8
    assert not {'change', 'transform'} & summary['one_step'].keys()
    assert len(text) < 40_000


def test_what_is_sent_has_the_numbers_and_no_samples(evaluation: Evaluation) -> None:
    sent = evaluation.without_samples()
    assert sent.one_step.change.size == sent.open_loop.truth.size == 0
    np.testing.assert_array_equal(sent.open_loop.error, evaluation.open_loop.error)
    assert sent.describe() == evaluation.describe()


def test_what_is_no_evaluation_is_refused(evaluation: Evaluation, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r'evaluation\.npz'):
        load(tmp_path)
    save(evaluation, tmp_path)
    content = (tmp_path / 'evaluation.npz').read_bytes()
    np.savez(tmp_path / 'evaluation.npz', other=np.zeros(3))
    with pytest.raises(ValueError, match=r'evaluation\.npz is no evaluation'):
        load(tmp_path)
    (tmp_path / 'evaluation.npz').write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'evaluation\.npz is no evaluation'):
        load(tmp_path)


def test_the_sentence_says_what_is_known(evaluation: Evaluation) -> None:
    text = evaluation.describe()
    assert text.startswith('model version 3: ') and 'after 12 steps' in text
    blind = dataclasses.replace(
        evaluation,
        one_step=dataclasses.replace(
            evaluation.one_step, coverage=np.full_like(evaluation.one_step.coverage, math.nan)
        ),
    )
    assert '90 %' in text and '90 %' not in blind.describe()
