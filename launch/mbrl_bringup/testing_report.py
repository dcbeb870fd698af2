"""For tests of ``mbrl report``: run folders of real, tiny runs, and pages as a reader has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from mbrl_bringup import cli
from mbrl_bringup.display import Terminal
from mbrl_bringup.episodes import EpisodeLog, EpisodeRow
from mbrl_bringup.learn import Episode, learn
from mbrl_bringup.report import verb
from mbrl_bringup.run_folder import RunFolder
from mbrl_bringup.status_log import StatusLog
from mbrl_bringup.tasks import params_file_of

TASK = 'cartpole_swingup'
STEPS = 60
_VOID = {'meta', 'img', 'br', 'hr', 'link', 'input'}


def report(*arguments: object) -> int:
    """``mbrl report`` in this process, without its signal handlers; returns the exit code."""
    given = cli.make_parser().parse_args(['report', *map(str, arguments)])
    return verb.run(given, Terminal())


def write_parameters(path: Path, changes: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
    """The cart-pole's parameters, so small that an episode takes a moment.

    Args:
        path: of the new file.
        changes: by node, further parameters with dotted names.
    """
    document = yaml.safe_load(params_file_of(TASK).read_text())
    small: dict[str, dict[str, Any]] = {
        'dynamics': {
            'model.members': 2,
            'model.hidden': [16],
            'training.updates_after_episode': 30,
            'training.updates_within_episode': 10,
            'evaluation.horizon': 5,
        },
        'planner': {'planner.horizon': 5, 'optimizer.candidates': 16, 'optimizer.iterations': 1},
    }
    for source in (small, changes or {}):
        for node, parameters in source.items():
            section = document[f'/**/{node}']['ros__parameters']
            for name, value in parameters.items():
                *groups, last = name.split('.')
                place = section
                for group in groups:
                    place = place.setdefault(group, {})
                place[last] = value
    document['/**']['ros__parameters']['task']['max_steps'] = STEPS
    path.write_text(yaml.safe_dump(document))
    return path


def make_run(
    path: Path,
    seed: int = 0,
    episodes: int = 3,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Episode]:
    """A run folder as ``mbrl up --learn`` leaves it, but for logs, pictures and the status.

    Returns:
        What was learned, as ``learn`` gives it.
    """
    folder = RunFolder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    params_file = write_parameters(path.parent / f'{path.name}.yaml', changes)
    folder.create(TASK, params_file, seed)
    done = learn(params_file, seed=seed, episodes=episodes, folder=folder.path)
    log = EpisodeLog(folder.episodes)
    for episode in done:
        log.append(row_of(episode))
    return done


def row_of(episode: Episode) -> EpisodeRow:
    """The row that a trial of the graph would have had."""
    record = episode.record
    return EpisodeRow(
        episode=record.episode,
        kind='random' if record.explore else 'planned',
        steps=record.steps,
        total_steps=episode.total_steps,
        episode_return=record.episode_return,
        terminated=record.terminated,
        truncated=record.truncated,
        model_version=record.model_version,
        model_error=record.model_error,
        holdout_error=episode.holdout_error,
        plan_time_p50=record.plan_time(50),
        plan_time_p95=record.plan_time(95),
        model_steps_per_action=record.model_steps,
        training_time=episode.training_time,
        wall_time=episode.wall_time,
    )


def write_status(folder: Path, messages: Sequence[Mapping[str, Any]]) -> None:
    """``status.csv`` of messages of a controller, each with the fields that are given."""
    log = StatusLog(folder / 'status.csv', folder / 'trainings.csv', print)
    for fields in messages:
        stamp = SimpleNamespace(sec=1, nanosec=0)
        log.controller(SimpleNamespace(**{'stamp': stamp, 'state': 2, 'text': '', **fields}))


@dataclasses.dataclass
class Element:
    """An element of a page; ``text`` is all that stands within."""

    tag: str
    attributes: dict[str, str]
    text: str = ''

    @property
    def words(self) -> str:
        """Its text with single spaces."""
        return ' '.join(self.text.split())


class PageReader(HTMLParser):
    """A page, read; elements that are not closed properly are an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(html)
        self.close()
        assert not self._open, f'never closed: {self._open[-1].tag}'

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """One begins."""
        element = Element(tag, {name: value or '' for name, value in attrs})
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        """One ends; it must be the last that began."""
        assert self._open and self._open.pop().tag == tag, f'{tag} is closed where it is not open'

    def handle_data(self, data: str) -> None:
        """Text belongs to all that are open."""
        for element in self._open:
            element.text += data

    def all(self, tag: str) -> list[Element]:
        """The elements of a kind, in order."""
        return [element for element in self.elements if element.tag == tag]

    def drawings(self) -> list[str]:
        """What each drawing is called."""
        return [each.attributes['aria-label'] for each in self.all('svg')]

    def tables(self) -> list[list[list[str]]]:
        """The words of each cell of each row of each table, heads included."""
        found: list[list[list[str]]] = []
        for element in self.elements:
            if element.tag == 'table':
                found.append([])
            elif element.tag == 'tr':
                found[-1].append([])
            elif element.tag in ('th', 'td'):
                found[-1][-1].append(element.words)
        return found

    def values(self) -> list[float]:
        """The exact numbers behind those that are shown."""
        return [float(each.attributes['value']) for each in self.all('data')]


def fetched(page: PageReader) -> list[str]:
    """What a browser would get from elsewhere to show a page."""
    found = []
    for element in page.elements:
        for name, value in element.attributes.items():
            inside = value.startswith(('data:', '#'))
            if name in ('src', 'href', 'xlink:href', 'srcset', 'data', 'poster') and not inside:
                found.append(value)
            if 'url(' in value and 'url(#' not in value:
                found.append(value)
    for style in page.all('style'):
        found += [text for text in ('url(', '@import', 'http') if text in style.text]
    return found + [each.tag for each in page.elements if each.tag in ('script', 'link', 'iframe')]
