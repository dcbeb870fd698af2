"""A plan laid out in time: which action is in force when, and what it is expected to do."""

from __future__ import annotations

import dataclasses

import numpy as np

from mbrl_planner.planner import PlanResult, WarmStart


@dataclasses.dataclass(frozen=True)
class PlanTrack:
    """A plan whose first action takes effect at ``start`` [ns], its steps ``step`` [ns] long.

    An action holds until the next one, as the planner evaluated it.
    """

    plan: PlanResult
    plan_id: int
    start: int
    step: int

    @property
    def end(self) -> int:
        """When its last action ceases to hold [ns]."""
        return self.start + len(self.plan.actions) * self.step

    def action_at(self, time: int) -> np.ndarray | None:
        """The action [A] in force at ``time`` [ns]; None before the start and from the end on."""
        if not self.start <= time < self.end:
            return None
        action: np.ndarray = self.plan.actions[(time - self.start) // self.step]
        return action

    def change_at(self, time: int) -> tuple[np.ndarray, np.ndarray] | None:
        """The change of the state [S] that is expected of the step at ``time`` [ns], and the
        spread [S] of the state after it; None where the plan has no step."""
        if not self.start <= time < self.end:
            return None
        index = (time - self.start) // self.step
        mean = self.plan.state_mean
        return mean[index + 1] - mean[index], self.plan.state_std[index + 1]

    def warm_start_at(self, time: int) -> WarmStart:
        """Where a plan may start that takes effect at ``time`` [ns], not before this one."""
        return self.plan.warm_start.shifted(max(0, time - self.start) // self.step)
