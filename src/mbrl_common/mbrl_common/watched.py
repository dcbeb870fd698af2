"""Work that is done for whoever watches, and not at all while nobody does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

LOOK_PERIOD = 1.0  # [s], between looks for a subscriber where there is none


class WatchedTimer:
    """Calls back at a rate while some publisher has a subscriber; without one, it looks for one
    once a second."""

    def __init__(
        self,
        node: Node,
        publishers: Sequence[Any],
        rate: float,
        callback: Callable[[], None],
        on_change: Callable[[bool], None] = lambda watched: None,
    ) -> None:
        """
        Args:
            node: whose executor calls back; not the hot path.
            publishers: whose subscribers count.
            rate: of calls [Hz], by the steady clock.
            callback: does the work. Its errors are logged and end nothing: a node that commands a
                robot must not fail for a picture.
            on_change: likewise; told when somebody begins to watch (True), and when nobody does
                any more.
        """
        self._log = node.get_logger()
        self._publishers = list(publishers)
        self._period = round(1e9 / rate)
        self._callback, self._on_change = callback, on_change
        self._watched = False
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(LOOK_PERIOD, self._on_timer, clock=steady)

    def _on_timer(self) -> None:
        watched = any(publisher.get_subscription_count() for publisher in self._publishers)
        changed, self._watched = watched != self._watched, watched
        if changed:
            self._timer.timer_period_ns = self._period if watched else round(1e9 * LOOK_PERIOD)
            self._timer.reset()
        try:
            if changed:
                self._on_change(watched)
            if watched:
                self._callback()
        except Exception as error:
            self._log.error(
                f'nothing is drawn: {type(error).__name__}: {error}', throttle_duration_sec=5.0
            )
