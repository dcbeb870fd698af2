"""The action ``~/run_episodes``: what it is refused for, its feedback, and its result."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.node import Node
from rclpy.task import Future

from mbrl_mpc.conversions import goal_from_message, summary_message
from mbrl_mpc.ports import End
from mbrl_mpc.series import EpisodesGoal, Summary
from mbrl_msgs.action import RunEpisodes

FEEDBACK_PERIOD = 0.2  # s; feedback is for people, and every message costs control time


class EpisodesAction:
    """The server of the action; one goal at a time."""

    def __init__(
        self,
        node: Node,
        max_steps: int,
        refusal: Callable[[], tuple[int, str]],
        begin: Callable[[EpisodesGoal], None],
    ) -> None:
        """
        Args:
            node: the server's node.
            max_steps: the task's, which a goal may not exceed.
            refusal: why no episodes may run now: an error code of the action, and a text; code 0:
                they may.
            begin: called with a goal that was taken; it ends by :meth:`finish`.
        """
        self._node = node
        self._max_steps = max_steps
        self._refusal = refusal
        self._begin = begin
        self._handle: Any = None
        self._finished: Future | None = None
        self._result = RunEpisodes.Result()
        self._feedback_due = 0.0
        self._server = ActionServer(
            node,
            RunEpisodes,
            '~/run_episodes',
            execute_callback=self._execute,
            goal_callback=lambda _: GoalResponse.ACCEPT,  # refusals carry a code: in the result
            # The next tick does it: the goal must be CANCELING before its result is set.
            cancel_callback=lambda _: CancelResponse.ACCEPT,
            result_timeout=900,
        )

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel the goal in progress."""
        return bool(self._handle.is_cancel_requested)

    async def _execute(self, handle: Any) -> RunEpisodes.Result:
        refused = RunEpisodes.Result()
        try:
            goal = goal_from_message(handle.request, self._max_steps)
        except ValueError as error:
            refused.error_code, refused.error_msg = refused.INVALID_GOAL, str(error)
        else:
            refused.error_code, refused.error_msg = self._refusal()
        if refused.error_code:
            self._node.get_logger().error(f'refused: run_episodes: {refused.error_msg}')
            handle.abort()
            return refused
        self._handle = handle
        self._finished = Future(executor=self._node.executor)
        self._result = RunEpisodes.Result()
        self._begin(goal)
        await self._finished
        result = self._result
        if handle.is_cancel_requested:
            handle.canceled()
        elif result.error_code == result.NONE:
            handle.succeed()
        else:
            handle.abort()
        return result

    def progress(self, summary: Summary, ended: bool) -> None:
        """Feedback: at each episode's end, and now and then."""
        now = time.monotonic()
        if not ended and now < self._feedback_due:
            return
        self._feedback_due = now + FEEDBACK_PERIOD
        message = summary_message(summary)
        if ended:
            self._result.episodes.append(message)
        self._handle.publish_feedback(RunEpisodes.Feedback(current=message, episode_ended=ended))

    def finish(self, end: End, text: str, target_reached: bool) -> None:
        """The goal in progress is over."""
        self._result.error_code = int(end)
        self._result.error_msg = text
        self._result.target_reached = target_reached
        if self._finished is not None:
            self._finished.set_result(None)
