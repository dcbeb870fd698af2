"""``mbrl watch``: the verb."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbrl_bringup.interruption import check_interrupted

if TYPE_CHECKING:
    from mbrl_bringup.watch.intake import Sink
    from mbrl_bringup.watch.page import PageRecording
    from mbrl_bringup.watch.recording import Recording
    from mbrl_bringup.watch.rviz import RvizConfig
    from mbrl_bringup.watch.subscriber import Subscriber
    from mbrl_bringup.watch.viewer import Viewer

EXIT_FAILED = 1
EXIT_USAGE = 2
_NICE = 5
_TICK = 0.1  # [s]
_FLUSH_PERIOD = 2.0  # [s]
_SILENCE = 10.0  # [s]; both statuses come once a second
_PAGE = '.html'
MISSING = (
    'Rerun is not installed here; `make watch` installs it (170 MB), or, into the Python that runs '
    'mbrl: pip install -r requirements/watch.txt. `--save FILE.html` needs none'
)


def run(arguments: argparse.Namespace, terminal: Any) -> int:
    """Run the verb; returns the exit code."""
    from mbrl_bringup.watch.intake import SaveError
    from mbrl_dynamics.bag import BagError

    complaint = _complaint(arguments)
    if complaint:
        terminal.error(complaint)
        return EXIT_USAGE
    kind = _kind(arguments)
    if kind is None:
        terminal.error(MISSING)
        return EXIT_FAILED
    try:
        if arguments.bag is not None:
            return _of_bag(arguments, kind, terminal)
        return _of_graph(arguments, kind, terminal)
    except (SaveError, BagError, OSError) as error:
        terminal.error(str(error))
        return EXIT_FAILED


def _of_graph(arguments: argparse.Namespace, kind: str, terminal: Any) -> int:
    from mbrl_bringup.watch.subscriber import subscriber

    os.nice(_NICE)  # the loop comes first, also where there are few cores
    config = _config(arguments)
    with contextlib.ExitStack() as stack:
        graph = stack.enter_context(subscriber(arguments.namespace, arguments.robot, terminal.note))
        _wait_for(graph, arguments.timeout)
        shown = stack.enter_context(
            _Shown(arguments, kind, f'mbrl, {graph.where}', config, terminal)
        )
        terminal.step(f'Watching the graph in {graph.where}, until Ctrl-C')
        shown.describe()
        graph.listen(shown.sink)
        return _watch(graph, shown, arguments, terminal)


def _of_bag(arguments: argparse.Namespace, kind: str, terminal: Any) -> int:
    from mbrl_bringup.recorded import params_file_beside
    from mbrl_bringup.watch.bag import WatchedBag
    from mbrl_bringup.watch.intake import Place
    from mbrl_dynamics.bag import BagError

    bag = WatchedBag(arguments.bag, Place('/' + arguments.namespace.strip('/'), arguments.robot))
    config = _config(arguments, params_file_beside(bag.path))
    with _Shown(arguments, kind, f'mbrl, {bag.path}', config, terminal, from_bag=True) as shown:
        terminal.step(f'Reading {bag.path}')
        if not bag.has_markers:
            terminal.note('it has no markers: there are curves, and no scene')
        shown.describe()
        code = 0
        try:
            bag.play(shown.sink, terminal.note)
        except BagError as error:
            terminal.error(str(error))  # what was read of it is shown all the same
            code = EXIT_FAILED
        shown.flush()
        while shown.viewer is not None:  # until Ctrl-C
            check_interrupted()
            time.sleep(_TICK)
            if shown.viewer.ended() is not None:
                return _viewer_ended(shown, None, terminal) or code
    return code


class _Shown:
    """A recording in Rerun, a page, and a viewer, whichever are asked for."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        kind: str,
        name: str,
        config: RvizConfig,
        terminal: Any,
        from_bag: bool = False,
    ) -> None:
        """
        Args:
            arguments: of the verb.
            kind: of the viewer.
            name: for people: what is watched.
            config: what is shown at first, and from where.
            terminal: where to say things.
            from_bag: whether it came at other times than it is given at.

        Raises:
            SaveError: if a file cannot be written.
        """
        from mbrl_bringup.watch.intake import Sinks

        self._terminal = terminal
        self._file: Path | None = arguments.save
        page = self._file is not None and self._file.suffix == _PAGE
        self._page: PageRecording | None = None
        self._recording: Recording | None = None
        self.viewer: Viewer | None = None
        sinks: list[Sink] = []
        if page:
            from mbrl_bringup.watch.page import PageRecording

            assert self._file is not None
            self._page = PageRecording(name, self._file, config)
            sinks.append(self._page)
        if kind != 'none' or not page:
            from mbrl_bringup.watch.recording import Recording

            file = None if page else self._file
            self._recording = Recording(name, file, kind != 'none', config.view, from_bag)
            sinks.append(self._recording)
        self.sink: Sink = Sinks(sinks)
        if kind != 'none':
            from mbrl_bringup.watch.viewer import Viewer

            assert self._recording is not None
            try:
                self.viewer = Viewer(kind, self._recording.uri)
            except BaseException:
                if self._page is not None:
                    self._page.discard()
                raise

    def describe(self) -> None:
        """Say where it is to be seen."""
        if self.viewer is not None and self.viewer.address:
            self._terminal.note(f'in a browser: {self.viewer.address}')
        if self._file is not None:
            self._terminal.note(f'saved to {self._file}{" at the end" if self._page else ""}')

    def flush(self) -> None:
        """Have all of it in the file of Rerun.

        Raises:
            Lost: if it cannot be written.
        """
        if self._recording is not None:
            self._recording.flush()

    def __enter__(self) -> _Shown:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        from mbrl_bringup.watch.intake import Lost

        if self.viewer is not None:
            self.viewer.stop()
        if isinstance(error, Lost):
            self._terminal.error(str(error))
            os._exit(EXIT_FAILED)  # to close the recording, or to let go of it, would take for ever
        if self._recording is not None:
            self._recording.close()
        if self._page is not None:
            self._page.close()


def _kind(arguments: argparse.Namespace) -> str | None:
    """Of the viewer; None: Rerun is needed, and is not there."""
    there = all(importlib.util.find_spec(name) is not None for name in ('rerun', 'rerun_cli'))
    page = arguments.save is not None and arguments.save.suffix == _PAGE
    if not there:
        needed = not page or arguments.viewer in ('window', 'web')
        return None if needed else 'none'
    if arguments.viewer is None and page and arguments.bag is not None:
        return 'none'  # the page is what was asked for
    if arguments.viewer is not None:
        return str(arguments.viewer)
    from mbrl_bringup.watch.viewer import kind_for

    return kind_for(os.environ)


def _config(arguments: argparse.Namespace, params_file: Path | None = None) -> RvizConfig:
    """What is shown and from where: the task's, or else the general one."""
    from mbrl_bringup.tasks import params_file_of, rviz_config_of, share_folder
    from mbrl_bringup.watch.rviz import read

    if arguments.task is not None:
        params_file = params_file_of(arguments.task)
    if params_file is None:
        return read(share_folder() / 'rviz' / 'any.rviz')
    return read(rviz_config_of(params_file))


def _complaint(arguments: argparse.Namespace) -> str:
    """What is wrong with what was given, or nothing."""
    file = arguments.save
    if file is None:
        return '--viewer none needs --save' if arguments.viewer == 'none' else ''
    if file.suffix not in ('.rrd', _PAGE):
        return f'{file}: a file of Rerun ends in .rrd, a page in {_PAGE}'
    if file.exists():
        return f'{file} is there already; nothing is written over'
    if not file.parent.is_dir():
        return f'there is no folder {file.parent}'
    return ''


def _wait_for(graph: Subscriber, timeout: float) -> None:
    """Until somebody sends something that can be shown.

    Raises:
        GraphError: after ``timeout`` [s].
    """
    from mbrl_bringup.client import GraphError

    deadline = time.monotonic() + timeout
    while not graph.topics:
        check_interrupted()
        if time.monotonic() > deadline:
            raise GraphError(f'no graph in {graph.where}: nobody sends anything that can be shown')
        graph.spin(_TICK)
    graph.spin(_TICK)  # the others are a moment later


def _watch(graph: Subscriber, shown: _Shown, arguments: argparse.Namespace, terminal: Any) -> int:
    silent = False
    next_flush = time.monotonic() + _FLUSH_PERIOD
    while True:
        check_interrupted()
        graph.spin(_TICK)
        now = time.monotonic()
        if now >= next_flush:
            shown.flush()
            next_flush = now + _FLUSH_PERIOD
        if (now - graph.last_heard > _SILENCE) != silent:
            silent = not silent
            terminal.note(
                f'nothing has come for {_SILENCE:g} s; the graph may have ended. Watching on'
                if silent
                else 'there it is again'
            )
        if shown.viewer is not None and shown.viewer.ended() is not None:
            code = _viewer_ended(shown, arguments.save, terminal)
            if arguments.save is None:
                return code


def _viewer_ended(shown: _Shown, file: Path | None, terminal: Any) -> int:
    """Say how; returns the exit code, if there is nothing more to be done."""
    assert shown.viewer is not None
    code = shown.viewer.ended()
    ended = 'the viewer was closed'
    if code:
        ended = f'the viewer has ended ({code}): {shown.viewer.last_words()}'
        if not shown.viewer.address:
            ended += ' (`--viewer web` needs no display)'
    shown.viewer.stop()
    shown.viewer = None
    if file is not None:
        ended += f'; {file} goes on'
    (terminal.error if code else terminal.note)(ended)
    return EXIT_FAILED if code else 0
