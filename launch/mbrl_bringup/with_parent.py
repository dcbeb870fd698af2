"""Child processes that end when the one that started them does, whatever ended it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def end_with_this_process() -> Callable[[], None]:
    """For ``preexec_fn`` of a ``subprocess.Popen``: SIGTERM when this process has ended."""
    parent = os.getpid()

    def end_with_parent() -> None:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it was over before the line above
            os._exit(1)

    return end_with_parent
