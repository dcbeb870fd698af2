"""Whether somebody who answers a service has come to the graph, as after a crash."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.node import Node

UNTIL_SEEN = 0.3  # s; a server that is seen may not have seen its client, whose answer is then lost


class ServiceWatch:
    """Counts the servers of a service. One that was killed is counted until the graph has noticed,
    which may take longer than its successor takes to come: so a new one is seen by the count."""

    def __init__(
        self, node: Node, service: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            node: looks at the graph.
            service: its name, resolved.
            clock: monotonic time [s].
        """
        self._node = node
        self._service = service
        self._clock = clock
        self._servers = 0
        self._came_at: float | None = None

    def note(self) -> None:
        """Those who are there now have been asked."""
        self._servers = self._node.count_services(self._service)

    def heard(self) -> None:
        """One has answered: it need not be told of."""
        self._came_at = None

    def look(self, ready: bool = True) -> bool:
        """Whether one has come, and may be asked; true once for each. To be called often.

        Args:
            ready: whether a client can reach it: the graph may show it sooner.
        """
        servers = self._node.count_services(self._service)
        if servers > self._servers:
            self._came_at = self._clock()
        self._servers = servers
        if self._came_at is None or not ready or self._clock() - self._came_at < UNTIL_SEEN:
            return False
        self._came_at = None
        return True
