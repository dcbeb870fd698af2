"""The models of a run, and how good the newest is: as it was measured, or measured now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbrl_bringup.report.run import ModelVersion, Run, Say
from mbrl_bringup.status_log import TrainingRow
from mbrl_dynamics.evaluate import NothingHeldOutError, evaluate
from mbrl_dynamics.evaluation import NUMBERS, About, Evaluation, load
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.model_store import versions_in
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.snapshot import Snapshot, SnapshotError, decode
from mbrl_dynamics.training_data import held_out_of

_EVALUATION = re.compile(r'model_(\d{5,})')


def read_models(
    run: Run,
    folder: Path,
    settings: DynamicsSettings | None,
    given: Path | None,
    say: Say,
) -> None:
    """Take in ``models/`` and ``evaluation/``, and measure the newest model if nobody has.

    Args:
        run: gets ``models`` and ``evaluation``.
        folder: of the run.
        settings: of its dynamics node; None: what was held out is not known.
        given: a model from elsewhere, where there is none; None: none is given.
        say: what is being done.
    """
    snapshots = _snapshots(run, folder / 'models')
    evaluations = _evaluations(run, folder / 'evaluation')
    run.models = _versions(run.trainings, snapshots, evaluations)
    newest = snapshots[-1] if snapshots else None
    foreign = newest is None and given is not None
    if newest is None and given is not None:
        newest = decode(given.read_bytes())[1]
    if newest is None:
        run.evaluation = evaluations[-1] if evaluations else None
        if run.evaluation is None:
            run.notes.append('there is no model, so there is none to measure')
        return
    if not foreign and evaluations and evaluations[-1].about.model_version == newest.version:
        run.evaluation = evaluations[-1]
        return
    say(f'measuring model {newest.version}')
    run.evaluation = _measure(run, newest, settings, foreign)
    if run.evaluation is not None and not foreign:
        run.models = _versions(run.trainings, snapshots, [*evaluations, run.evaluation])


def _snapshots(run: Run, folder: Path) -> list[Snapshot]:
    """Of the models that are still there, oldest first."""
    found = []
    for path in versions_in(folder).values() if folder.is_dir() else ():
        try:
            found.append(decode(path.read_bytes())[1])
        except (SnapshotError, OSError) as error:
            run.problems.append(f'{path}: {error}')
    return found


def _evaluations(run: Run, folder: Path) -> list[Evaluation]:
    """What was measured on held-out data while the run went on, oldest first."""
    found = []
    for path in _named(folder):
        if not (path / NUMBERS).exists():
            continue  # it is being written
        try:
            found.append(load(path))
        except (ValueError, OSError) as error:
            run.problems.append(str(error))
    return found


def _named(folder: Path) -> list[Path]:
    """Of evaluations, oldest first."""
    if not folder.is_dir():
        return []
    matches = [(path, _EVALUATION.fullmatch(path.name)) for path in folder.iterdir()]
    return [path for _, path in sorted((int(m[1]), path) for path, m in matches if m is not None)]


def _versions(
    trainings: Sequence[TrainingRow],
    snapshots: Sequence[Snapshot],
    evaluations: Sequence[Evaluation],
) -> list[ModelVersion]:
    """Every model that anything is known of, by version."""
    found: dict[int, ModelVersion] = {}
    for snapshot in snapshots:
        found[snapshot.version] = ModelVersion(
            snapshot.version, snapshot.dataset_size, snapshot.holdout_error
        )
    for training in trainings:
        if not training.failed and training.model_version:
            known = found.get(training.model_version)
            found[training.model_version] = ModelVersion(
                training.model_version,
                training.dataset_size if known is None else known.dataset_size,
                training.holdout_error,
                training.training_time,
            )
    for evaluation in evaluations:
        version, many = evaluation.about.model_version, evaluation.open_loop
        before = found.get(version, ModelVersion(version, 0))
        found[version] = ModelVersion(
            version,
            before.dataset_size,
            evaluation.one_step.relative_error
            if np.isnan(before.holdout_error)
            else before.holdout_error,
            before.training_time,
            many.longest,
            float(many.relative_error[many.longest - 1]) if many.longest else float('nan'),
            evaluation.coverage_90,
        )
    return [found[version] for version in sorted(found)]


def _measure(
    run: Run, snapshot: Snapshot, settings: DynamicsSettings | None, foreign: bool
) -> Evaluation | None:
    """As ``mbrl evaluate`` does; None, and a note, if that cannot be done."""
    data = run.transitions
    if data is None or not len(data):
        run.notes.append(f'model {snapshot.version} is not measured: there are no transitions')
        return None
    if settings is None and not foreign:
        run.notes.append(
            f'model {snapshot.version} is not measured: what was held out from its training is '
            'said by a parameter file, and none could be read; give --task or --params-file'
        )
        return None
    model = DynamicsModel.from_bytes(snapshot.data)
    encoding = decode(snapshot.data)[0].weights.architecture.encoding
    widths = (data.state.shape[1], data.action.shape[1])
    if (encoding.state_dim, encoding.action_dim) != widths:
        run.problems.append(
            f'model {snapshot.version} is not measured: it takes {encoding.state_dim} entries of '
            f'state and {encoding.action_dim} of action; the transitions have {widths[0]} and '
            f'{widths[1]}'
        )
        return None
    about = About(
        model_version=snapshot.version,
        source=run.name if foreign else '',
        state=run.state,
        angles=() if settings is None else settings.task.angles,
        period=run.period,
    )
    extra: dict[str, Any] = {'seed': run.seed or 0}
    if settings is not None:
        extra |= {
            'horizon': settings.evaluation.horizon,
            'particles': settings.evaluation.particles,
            'windows': settings.evaluation.windows,
        }
    mask = None if foreign or settings is None else held_out_of(data, settings.training)
    try:
        return evaluate(model, data, mask, about=about, **extra)
    except NothingHeldOutError as error:
        run.notes.append(f'model {snapshot.version} is not measured: {error}')
        return None
