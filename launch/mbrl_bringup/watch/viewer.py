"""Rerun's viewer, in a process of its own: a window, or a server of pages for a browser."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import rerun_cli

from mbrl_bringup.watch.recording import LOOPBACK, free_port
from mbrl_bringup.with_parent import end_with_this_process

_WEB_PORT = 9090


def kind_for(environment: Mapping[str, str]) -> str:
    """'window' where there is a display, otherwise 'web'."""
    shown = environment.get('DISPLAY') or environment.get('WAYLAND_DISPLAY')
    return 'window' if shown else 'web'


class Viewer:
    """The process; it ends with this one, at the latest."""

    def __init__(self, kind: str, uri: str) -> None:
        """
        Args:
            kind: 'window' or 'web'.
            uri: of the recording that it shows.
        """
        self.address = ''
        """To be opened in a browser, for 'web'."""
        if kind == 'web':
            port = free_port(_WEB_PORT)
            options = ['--serve-web', '--web-viewer-port', str(port), uri]
            self.address = f'http://{LOOPBACK}:{port}/?url={quote(uri, safe="")}'
        else:
            options = ['--connect', uri]
        # The program itself: of the script beside it, a signal would end the script alone.
        program = Path(rerun_cli.__file__).with_name('rerun')
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        self._process = subprocess.Popen(
            [str(program), '--bind', LOOPBACK, *options],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the command, which ends this one
            preexec_fn=end_with_this_process(),
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code once it has ended; below zero: the signal."""
        return self._process.poll()

    def last_words(self) -> str:
        """The last line that it printed."""
        self._output.seek(0)
        lines = self._output.read().decode(errors='replace').strip().splitlines()
        return lines[-1].strip() if lines else ''

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()
