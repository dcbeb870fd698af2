"""The learner: takes transitions, says when to train, hands out jobs and takes their outcome.

It trains in no thread or process of its own: whoever owns it runs
:func:`mbrl_dynamics.training.fit` where it likes. So a run in one process and the node ``dynamics``
learn the same from the same data.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mbrl_dynamics.bag import BagError, bags
from mbrl_dynamics.bag_source import transitions_of
from mbrl_dynamics.dataset import Dataset
from mbrl_dynamics.evaluation_job import EvaluationJob, EvaluationOutcome, evaluation_job
from mbrl_dynamics.evaluation_job import run as run_evaluation
from mbrl_dynamics.model_store import ModelStore
from mbrl_dynamics.recorder import Recorder, announced
from mbrl_dynamics.ros_bag import find_bags
from mbrl_dynamics.schedule import updates_due
from mbrl_dynamics.sequences import Sequences
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.snapshot import Snapshot, decode
from mbrl_dynamics.training import Report, TrainingError, TrainingJob, TrainingOutcome, fit
from mbrl_dynamics.transition import Transition, check_transition
from mbrl_dynamics.transitions import Transitions, check_transitions

log = logging.getLogger(__name__)


class FolderError(ValueError):
    """A run folder cannot be used; the text says why, and what to do."""


@dataclasses.dataclass(frozen=True)
class Ack:
    """The answer to a transition.

    ``next_sequence``: all below it are stored. ``training_due``: wait for a training before going
    on, if in lockstep. ``stored``: it is in the dataset; false if the disk refused it.
    """

    next_sequence: int
    training_due: bool
    stored: bool


class Learner:
    """Dataset, models and training schedule of one run."""

    def __init__(
        self, settings: DynamicsSettings, folder: Path | None = None, resume: bool = True
    ) -> None:
        """Open a run folder, or begin one.

        Args:
            settings: of the dynamics core.
            folder: bags go to ``folder/data``, models to ``folder/models``; None: memory only.
            resume: go on with what the folder holds.

        Raises:
            FolderError: if the folder holds a run and ``resume`` is false, or another task's data.
            BagError: if one of ``settings.data.extra_bags`` cannot be read.
            OSError: if the folder cannot be used.
        """
        self.settings = settings
        task = settings.task
        self._architecture = settings.architecture()
        self._dataset = Dataset(task.state_dim, task.action_dim)
        self._sequences: dict[tuple[str, int], Sequences] = {}
        self._folder = folder
        self._recorder: Recorder | None = None
        self._models: ModelStore | None = None
        self._save_errors = 0
        self._training = False
        self._trained_size = 0
        self._last_version = 0
        self.snapshot: Snapshot | None = None
        self.keeps_evaluation = False
        """Whether the last training followed an episode, or a request: its evaluation is kept."""
        self._load_extra()
        if folder is not None:
            self._open(folder, resume)

    @property
    def dataset_size(self) -> int:
        """Transitions in the dataset."""
        return len(self._dataset)

    @property
    def episodes(self) -> int:
        """Episodes in the dataset."""
        return self._dataset.episodes

    @property
    def version(self) -> int:
        """Version of the model in use; 0: none yet."""
        return 0 if self.snapshot is None else self.snapshot.version

    @property
    def transitions_lost(self) -> int:
        """Gaps in the sequence numbers that will not be filled any more."""
        return sum(sequences.lost for sequences in self._sequences.values())

    @property
    def write_errors(self) -> int:
        """Transitions, bags and models that could not be written or read."""
        return self._save_errors + (self._recorder.errors if self._recorder is not None else 0)

    @property
    def updates_due(self) -> int | None:
        """Gradient updates of the training that is due now, 0 for as many as the epochs take; None
        if none is due."""
        return updates_due(
            self.settings.training,
            self.dataset_size,
            self._trained_size,
            self._dataset.episodes_ended_since(self._trained_size),
            self.snapshot is not None,
        )

    @property
    def training_due(self) -> bool:
        """Whether a training should begin now."""
        return self.updates_due is not None

    def add(self, transition: Transition) -> Ack:
        """Store a transition; one that is stored already is only acknowledged again.

        Raises:
            ValueError: if it cannot be learned from. It is then not stored, but its number is done
                with, or its sender would send it for ever.
        """
        sequences = self._of_sender(transition.robot, transition.session)
        task = self.settings.task
        try:
            check_transition(transition, task.state_dim, task.action_dim)
        except ValueError:
            if transition.sequence not in sequences:
                sequences.add(transition.sequence)
            raise
        if transition.sequence in sequences:
            sequences.repeated(transition.sequence)
            return Ack(sequences.next, self.training_due or self._training, True)
        try:
            self._dataset.reserve()
        except OSError as error:
            self._save_errors += 1
            log.error('transition %d not stored: no memory: %s', transition.sequence, error)
            sequences.refused(transition.sequence)
            return Ack(sequences.next, False, False)
        if self._recorder is not None and not self._recorder.write(transition):
            sequences.refused(transition.sequence)
            return Ack(sequences.next, False, False)
        self._dataset.add(transition)
        sequences.add(transition.sequence)
        return Ack(sequences.next, self.training_due, True)

    def next_sequence(self, robot: str, session: int) -> int:
        """All sequence numbers of a sender's session below it are done with."""
        sequences = self._sequences.get((robot, session))
        return 0 if sequences is None else sequences.next

    def job(self, from_scratch: bool = False) -> TrainingJob:
        """What to train now, on all data; to be handed back to :meth:`finish`.

        Args:
            from_scratch: begin with new random weights rather than with those of the last model.
        """
        settings = self.settings
        updates = self.updates_due
        ended = self._dataset.episodes_ended_since(self._trained_size) > 0
        self.keeps_evaluation = ended or updates is None
        if updates is None:
            updates = 0 if settings.training.epochs else settings.training.updates_after_episode
        from_scratch = from_scratch or settings.training.from_scratch
        self._trained_size = self.dataset_size
        self._training = True
        return TrainingJob(
            architecture=self._architecture,
            settings=settings.training,
            updates=updates,
            seed=settings.seed,
            version=self._last_version + 1,
            data=self._dataset.share(),
            initial=None if from_scratch else self._initial_weights(),
            elites=settings.model.elites,
            limits=settings.limits(),
            symmetries=settings.symmetries(),
        )

    def finish(self, job: TrainingJob, outcome: TrainingOutcome) -> Snapshot | None:
        """Take a job's outcome; returns the model in use from now on, the old one if it failed."""
        self._training = False
        if outcome.error is TrainingError.NONE:
            self.snapshot = outcome.snapshot
            self._last_version = job.version
            if self._models is not None and self.snapshot is not None:
                try:
                    self._models.save(self.snapshot)
                except OSError as error:
                    self._save_errors += 1
                    log.error('model %d not stored: %s', job.version, error)
        return self.snapshot

    def evaluation_job(
        self, horizon: int = 0, source: str = '', plots: bool = False, keep: bool = True
    ) -> EvaluationJob:
        """How to measure the model in use; there must be one.

        Args:
            horizon: steps ahead; 0: as the settings say.
            source: a bag, or a folder of bags, all of which counts as held-out; '': what is held
                out of the dataset.
            plots: whether pictures are wanted.
            keep: write it to the run folder, if there is one.
        """
        assert self.snapshot is not None
        folder = self._folder if keep else None
        data = self._dataset.share()
        return evaluation_job(self.settings, self.snapshot, data, folder, horizon, source, plots)

    def evaluate(self, horizon: int = 0, source: str = '', keep: bool = True) -> EvaluationOutcome:
        """Measure the model in use, in this process; see :meth:`evaluation_job`."""
        return run_evaluation(self.evaluation_job(horizon, source, keep=keep))

    def train(
        self,
        from_scratch: bool = False,
        report: Report | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> TrainingOutcome:
        """Train in this process, and take the outcome."""
        job = self.job(from_scratch)
        outcome = fit(job, report, cancelled)
        self.finish(job, outcome)
        return outcome

    def wait_for_disk(self) -> None:
        """Wait until the bags of the episodes that have ended are finished."""
        if self._recorder is not None:
            self._recorder.wait_for_disk()

    def close(self) -> None:
        """Finish the bags, and wait for that."""
        if self._recorder is not None:
            self._recorder.close()

    def _of_sender(self, robot: str, session: int) -> Sequences:
        return self._sequences.setdefault((robot, session), Sequences())

    def _initial_weights(self) -> bytes | None:
        """The last model, unless the settings ask for another architecture by now."""
        if self.snapshot is None:
            return None
        ensemble, _ = decode(self.snapshot.data)
        return self.snapshot.data if ensemble.weights.architecture == self._architecture else None

    def _load_extra(self) -> None:
        for name in self.settings.data.extra_bags:
            path = Path(name).expanduser()
            before = self.dataset_size
            try:
                for found in announced(find_bags(path)):
                    self._load(transitions_of(found, self.settings.task, self.settings.data), found)
            except (OSError, BagError) as error:
                raise BagError(f"'data.extra_bags': {error}") from error
            if self.dataset_size == before:
                raise BagError(f"'data.extra_bags': {path} has no transitions that are new")
            log.info('%s: %d transitions', path, self.dataset_size - before)

    def _open(self, folder: Path, resume: bool) -> None:
        data, models = folder / 'data', folder / 'models'
        if not resume and (bags(data) or models.is_dir() and any(models.iterdir())):
            raise FolderError(
                f"{folder} holds a run already; set 'data.resume', or choose another 'data.folder'"
            )
        self._recorder = Recorder(data)
        self._models = ModelStore(models, self.settings.data.keep_models)
        before = self.dataset_size
        for path, part in self._recorder.load():
            self._load(part, path)
        if self.dataset_size > before:
            log.info('%s: %d transitions', data, self.dataset_size - before)
        snapshot = self._models.newest()
        if snapshot is not None:
            found = decode(snapshot.data)[0].weights.architecture.encoding
            if found != self._architecture.encoding:
                raise FolderError(
                    f"{models} holds models of another task ({found}); choose another 'data.folder'"
                )
        self.snapshot = snapshot
        self._last_version = max(self._models.versions(), default=0)
        self._trained_size = (
            0 if snapshot is None else min(snapshot.dataset_size, len(self._dataset))
        )

    def _load(self, part: Transitions, source: Path) -> None:
        """Take what is not stored yet."""
        task = self.settings.task
        try:
            check_transitions(part, task.state_dim, task.action_dim)
        except ValueError as error:
            raise FolderError(f'{source} does not fit the task {task.name!r}: {error}') from error
        new = np.zeros(len(part), dtype=bool)
        for number, (robot, session) in enumerate(part.senders):
            places = np.flatnonzero(part.sender == number)
            new[places] = self._of_sender(robot, session).add_all(part.sequence[places])
        self._dataset.extend(part if new.all() else part[new])
