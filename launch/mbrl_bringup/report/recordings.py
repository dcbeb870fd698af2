"""What bags have: transitions, episodes made of them, and what the controller said of itself."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from mbrl_bringup.episodes import EpisodeRow
from mbrl_bringup.report.run import Run, Say
from mbrl_bringup.scoring import scorer
from mbrl_bringup.status_log import StatusRow
from mbrl_common.settings import SettingsError
from mbrl_dynamics.bag import BagError
from mbrl_dynamics.bag_collection import collect, episodes_of
from mbrl_dynamics.bag_source import recorded_transitions, transitions_of
from mbrl_dynamics.ros_bag import RosBag, find_bags
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.transitions import Transitions, check_transitions

STATUS = 'mbrl_msgs/msg/ControllerStatus'


def read_bags(
    run: Run,
    place: Path,
    settings: DynamicsSettings | None,
    params_file: Path | None,
    say: Say,
) -> None:
    """Take in the bags at a place; those that cannot be read are problems of the run.

    Args:
        run: gets ``transitions``, and ``status`` if it has none.
        place: a bag, or a folder with some.
        settings: of the dynamics node: the task, and how a robot's own bags are read; None: only
            bags of transitions can be.
        params_file: what scores transitions that nobody has; None: nothing does.
        say: what is being done.
    """
    unscored: list[Path] = []
    unfinished: list[str] = []

    def read(path: Path) -> Transitions:
        try:
            found = _transitions(path, settings)
            if not RosBag(path).finished:
                unfinished.append(path.name)
        except (BagError, OSError) as error:
            run.problems.append(str(error))
            return Transitions.empty(0, 0)
        if len(found) and np.isnan(found.reward).any():
            if params_file is None:
                unscored.append(path)
                return found
            return scorer(params_file)(found)
        return found

    def on_bag(path: Path) -> None:
        say(f'reading {path.name}')

    try:
        found, duplicates = collect([place], read, on_bag)
    except SettingsError as error:
        run.problems.append(str(error))
        return
    except (BagError, OSError) as error:
        if not run.problems:
            run.notes.append(str(error))
        return
    run.transitions = found
    if duplicates:
        run.notes.append(f'{duplicates} transitions are there more than once; each counts once')
    if unscored:
        run.notes.append(
            f'{len(unscored)} bags have no rewards: give --task or --params-file, whose objective '
            'then scores them'
        )
    if unfinished:
        run.notes.append(
            f'{", ".join(unfinished)}: not finished; it is being recorded, or was cut off'
        )


def read_status(run: Run, place: Path, say: Say) -> None:
    """Take in what the controller said of itself, if someone recorded that beside the rest."""
    for path in find_bags(place):
        try:
            bag = RosBag(path)
            topics = [topic.name for topic in bag.topics_of([STATUS])]
            if len(topics) > 1:
                run.notes.append(
                    f'{path.name} has the status of several controllers; {topics[0]} is shown'
                )
            if topics:
                say(f'reading the status in {path.name}')
                run.status += [StatusRow.from_message(m.message) for m in bag.messages(topics[:1])]
        except (BagError, OSError) as error:
            if str(error) not in run.problems:
                run.problems.append(str(error))


def _transitions(path: Path, settings: DynamicsSettings | None) -> Transitions:
    if settings is None:
        try:
            return recorded_transitions(RosBag(path))
        except BagError as error:
            hint = "; for a robot's own bags, give --task or --params-file"
            raise BagError(f'{error}{hint if "no transitions" in str(error) else ""}') from error
    task = settings.task
    found = transitions_of(path, task, settings.data)
    try:
        check_transitions(found, task.state_dim, task.action_dim)
    except ValueError as error:
        raise BagError(f'{path}: {error}') from error
    return found


def episode_rows(transitions: Transitions) -> list[EpisodeRow]:
    """A row for each episode; what bags do not have is NaN or 0."""
    rows = []
    total = 0
    for places in episodes_of(transitions):
        total += len(places)
        last = places[-1]
        rows.append(
            EpisodeRow(
                episode=int(transitions.episode[places[0]]),
                kind='recorded',
                steps=len(places),
                total_steps=total,
                episode_return=float(transitions.reward[places].sum()),
                terminated=bool(transitions.terminated[last]),
                truncated=bool(transitions.truncated[last]),
                model_version=0,
                model_error=math.nan,
                holdout_error=math.nan,
                plan_time_p50=math.nan,
                plan_time_p95=math.nan,
                model_steps_per_action=0,
                training_time=math.nan,
                wall_time=math.nan,
            )
        )
    return rows


def episode_of(transitions: Transitions, episode: int) -> Transitions | None:
    """The first one of this number, in order; None: there is none."""
    for places in episodes_of(transitions):
        if int(transitions.episode[places[0]]) == episode:
            return transitions[places]
    return None
