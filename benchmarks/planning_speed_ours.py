"""Our side of ``planning_speed``: a process with a number of threads and a precision.

Reads one request per line (JSON) from standard input, and answers each with a line:

- ``{"what": "plan", "plan": name, "count": n}``: n plans in a row, each warm-started from the last;
- ``{"what": "check", "plan": name}``: mean return of doing nothing;
- ``{"what": "ceiling", "plan": name, "seconds": s}``: GFLOP/s of bare products of its shapes.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from planning_ceiling import ceiling
from planning_plans import PLANS, Plan

from mbrl_common.settings import SettingsError
from mbrl_dynamics.model import DynamicsModel
from mbrl_planner.objectives import make_objective
from mbrl_planner.planner import Planner, PlanRequest
from mbrl_planner.rollout import Rollout
from mbrl_planner.warm_start import WarmStart


class Ours:
    """Planners that are kept from request to request, with where the last plan stopped."""

    def __init__(self, threads: int, precision: str) -> None:
        self._threads = threads
        self._precision = precision
        self._planners: dict[str, Planner] = {}
        self._warm: dict[str, WarmStart | None] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """See the module."""
        plan = PLANS[request['plan']]
        if request['what'] == 'ceiling':
            return {'gflop_s': self._ceiling(plan, request['seconds'])}
        try:
            if request['what'] == 'check':
                return {'value': _return_of_nothing(plan)}
            return self._plan(plan, request['count'])
        except SettingsError as error:
            return {'missing': str(error)}

    def _ceiling(self, plan: Plan, seconds: float) -> float:
        before = torch.get_num_threads()  # the planner's own choice
        torch.set_num_threads(self._threads)
        try:
            return ceiling(plan.architecture.widths, plan.members, self._precision, seconds)
        finally:
            torch.set_num_threads(before)

    def _plan(self, plan: Plan, count: int) -> dict[str, Any]:
        if plan.name not in self._planners:
            self._planners[plan.name] = plan.planner(
                planner__threads=self._threads, planner__precision=self._precision
            )
            self._warm[plan.name] = None
        planner = self._planners[plan.name]
        state = np.zeros(plan.states)
        seconds = []
        for seed in range(count):
            request = PlanRequest(state=state, seed=seed, warm_start=self._warm[plan.name])
            began = time.perf_counter()
            result = planner.plan(request)
            seconds.append(time.perf_counter() - began)
            self._warm[plan.name] = result.warm_start.shifted(1)
        return {'seconds': seconds, 'gflop': result.model_steps * plan.flop_per_step / 1e9}


def _return_of_nothing(plan: Plan) -> float:
    settings = plan.settings()
    objective = make_objective(settings.objective, settings.task)
    rollout = Rollout(DynamicsModel.from_bytes(plan.model()), objective, settings.planner)
    with torch.inference_mode():
        rollout.begin(
            torch.zeros(1, plan.states), torch.zeros(1, 1), [torch.Generator().manual_seed(0)]
        )
        shape = (1, settings.optimizer.candidates, settings.planner.horizon, plan.actions)
        return float(rollout(torch.zeros(shape)).mean())


def main() -> None:
    """Answer until there are no more requests."""
    ours = Ours(int(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        print(json.dumps(ours.answer(json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
