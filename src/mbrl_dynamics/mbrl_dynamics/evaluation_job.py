"""An evaluation as something that another process can do: what to measure, and what came of it."""

from __future__ import annotations

import dataclasses
import enum
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mbrl_common.task import TaskSettings
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.bag_source import transitions_of
from mbrl_dynamics.evaluate import NothingHeldOutError, evaluate
from mbrl_dynamics.evaluation import SUMMARY, About, Evaluation, save
from mbrl_dynamics.model import DynamicsModel
from mbrl_dynamics.ros_bag import find_bags
from mbrl_dynamics.settings import (
    DataSettings,
    DynamicsSettings,
    EvaluationSettings,
    TrainingSettings,
)
from mbrl_dynamics.snapshot import Snapshot
from mbrl_dynamics.training import DataSource
from mbrl_dynamics.training_data import held_out_of
from mbrl_dynamics.transitions import Transitions, check_transitions

_FOLDER = re.compile(r'model_\d{5,}.*')


class EvaluationError(enum.IntEnum):
    """How an evaluation ended; the numbers are those of ``mbrl_msgs/srv/Evaluate``."""

    NONE = 0
    NO_MODEL = 1
    NO_DATA = 2
    INVALID_SOURCE = 3
    INVALID_REQUEST = 4
    BUSY = 5
    INTERNAL_ERROR = 6


@dataclasses.dataclass(frozen=True)
class RecordedElsewhere:
    """Transitions in a bag, or a folder of bags; every bag's episodes are its own."""

    path: Path
    task: TaskSettings
    settings: DataSettings

    def load(self) -> Transitions:
        """The transitions.

        Raises:
            BagError: if there are none that fit the task.
            OSError: if they cannot be read.
        """
        parts, episodes = [], 0
        for bag in find_bags(self.path):
            part = transitions_of(bag, self.task, self.settings)
            try:
                check_transitions(part, self.task.state_dim, self.task.action_dim)
            except ValueError as error:
                raise BagError(
                    f'{bag} does not fit the task {self.task.name!r}: {error}'
                ) from error
            if len(part):
                parts.append(dataclasses.replace(part, episode=part.episode + episodes))
                episodes = int(parts[-1].episode.max()) + 1
        if not parts:
            raise BagError(f'{self.path} has no transitions')
        return Transitions.concatenate(parts)


@dataclasses.dataclass(frozen=True)
class EvaluationJob:
    """All that an evaluation depends on.

    Attributes:
        model: bytes of its snapshot.
        data: transitions.
        training: settings that say which of them were held out; None: all were.
        settings: of the evaluation.
        seed: of what the particles draw.
        about: what this is; the model's version is filled in.
        folder: where to write it; None: nowhere.
        plots: whether whoever runs this is to draw pictures.
    """

    model: bytes
    data: DataSource
    training: TrainingSettings | None
    settings: EvaluationSettings
    seed: int
    about: About
    folder: Path | None = None
    plots: bool = False


def evaluation_job(
    settings: DynamicsSettings,
    snapshot: Snapshot,
    dataset: DataSource,
    run_folder: Path | None = None,
    horizon: int = 0,
    source: str = '',
    plots: bool = False,
) -> EvaluationJob:
    """How to measure a model.

    Args:
        settings: of the dynamics core.
        snapshot: the model.
        dataset: what it was trained on, and what was held out.
        run_folder: it is written to a folder in ``evaluation/`` there; None: nowhere.
        horizon: steps ahead; 0: as the settings say.
        source: a bag, or a folder of bags, all of which counts as held-out; '': the dataset's
            held-out data.
        plots: whether pictures are wanted.
    """
    task, evaluation = settings.task, settings.evaluation
    if horizon:
        evaluation = dataclasses.replace(evaluation, horizon=horizon)
    name = f'model_{snapshot.version:05d}'
    path = Path(source).expanduser()
    if source:
        dataset = RecordedElsewhere(path, task, settings.data)
        name += '_' + re.sub(r'\W+', '_', path.stem)
    return EvaluationJob(
        model=snapshot.data,
        data=dataset,
        training=None if source else settings.training,
        settings=evaluation,
        seed=settings.seed,
        about=About(
            source=source, state=task.state, angles=task.angles, period=task.control_period
        ),
        folder=None if run_folder is None else run_folder / 'evaluation' / name,
        plots=plots,
    )


@dataclasses.dataclass(frozen=True)
class EvaluationOutcome:
    """What came of it: ``evaluation`` (without samples) if ``error`` is NONE.

    ``folder`` is where it was written, '' if nowhere; ``message`` says what went wrong, in writing
    alone if ``error`` is NONE.
    """

    error: EvaluationError
    message: str = ''
    evaluation: Evaluation | None = None
    folder: str = ''


def run(job: EvaluationJob, interrupted: Callable[[], bool] | None = None) -> EvaluationOutcome:
    """Measure, and write it down.

    Args:
        job: what to do.
        interrupted: asked all the time; true gives it up.

    Raises:
        InterruptedEvaluationError: if ``interrupted`` said so.
    """
    model = DynamicsModel.from_bytes(job.model)
    try:
        data = job.data.load()
    except (BagError, OSError) as error:
        return EvaluationOutcome(EvaluationError.INVALID_SOURCE, str(error))
    mask = np.ones(len(data), bool) if job.training is None else held_out_of(data, job.training)
    about = dataclasses.replace(job.about, model_version=model.snapshot.version)
    settings = job.settings
    try:
        evaluation = evaluate(
            model,
            data,
            mask,
            horizon=settings.horizon,
            particles=settings.particles,
            windows=settings.windows,
            seed=job.seed,
            about=about,
            interrupted=interrupted,
        )
    except NothingHeldOutError as error:
        return EvaluationOutcome(EvaluationError.NO_DATA, str(error))
    folder, message = '', ''
    if job.folder is not None:
        try:
            save(evaluation, job.folder)
            _keep_newest(job.folder.parent, settings.keep)
            folder = str(job.folder)
        except OSError as error:
            message = f'the evaluation could not be written: {error}'
    return EvaluationOutcome(EvaluationError.NONE, message, evaluation.without_samples(), folder)


def _keep_newest(folder: Path, count: int) -> None:
    """Remove older evaluations; nothing else that lies there is touched."""
    found = [path for path in folder.iterdir() if _FOLDER.fullmatch(path.name) and path.is_dir()]
    summaries = [path / SUMMARY for path in found if (path / SUMMARY).is_file()]
    summaries.sort(key=lambda path: path.stat().st_mtime_ns)
    for summary in summaries[:-count]:
        shutil.rmtree(summary.parent, ignore_errors=True)
