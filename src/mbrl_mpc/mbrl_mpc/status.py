"""What the controller tells about itself, as messages."""

from __future__ import annotations

import math

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from mbrl_common.messages import to_field
from mbrl_mpc.conversions import finite_or
from mbrl_mpc.outbox import Outbox
from mbrl_mpc.pilot import Pilot
from mbrl_mpc.realtime import RealtimeSession
from mbrl_mpc.session import Session
from mbrl_mpc.telemetry import Telemetry
from mbrl_msgs.msg import ControllerStatus

_NAMES = {
    ControllerStatus.INACTIVE: 'inactive',
    ControllerStatus.READY: 'ready',
    ControllerStatus.RUNNING: 'running an episode',
    ControllerStatus.WAITING_FOR_MODEL: 'waiting for a model',
    ControllerStatus.WAITING_FOR_STATE: 'waiting for a state',
    ControllerStatus.WAITING_FOR_PLANNER: 'waiting for the planner',
}
AnySession = Session | RealtimeSession


def status_message(
    stamp: Time,
    active: bool,
    session: AnySession | None,
    pilot: Pilot,
    telemetry: Telemetry,
    outbox: Outbox,
    holdout_error: float,
) -> ControllerStatus:
    """The state of the controller as it is now."""
    record = pilot.record
    status = ControllerStatus(
        stamp=stamp,
        state=_state_for_people(active, session),
        episode=record.episode,
        step=record.steps,
        episode_return=record.episode_return,
        goal=to_field(pilot.goal),
        model_version=record.model_version,
        control_rate=telemetry.control_rate,
        real_time_factor=telemetry.real_time_factor,
        plan_time_p50=telemetry.plan_time(50),
        plan_time_p95=telemetry.plan_time(95),
        state_age=telemetry.state_age,
        plan_age=telemetry.plan_age,
        mode=pilot.mode.text,
        clamped_actions=pilot.guard.clamped,
        refused_states=telemetry.refused_states,
        unacknowledged=len(outbox),
        transitions_lost=outbox.lost,
        model_error=record.model_error,
        surprise=pilot.foresight.error / holdout_error if holdout_error > 0 else math.nan,
        predicted_return=pilot.foresight.predicted_return,
        received_return=pilot.foresight.received_return,
        text=telemetry.text,
    )
    if session is not None:
        status.late_plans = session.late_plans
    if isinstance(session, RealtimeSession):
        status.late_steps, status.steps_lost = session.late_steps, session.steps_lost
    return status


def _state_for_people(active: bool, session: AnySession | None) -> int:
    if not active:
        return int(ControllerStatus.INACTIVE)
    if session is None:
        return int(ControllerStatus.READY)
    if session.waiting_for_model:
        return int(ControllerStatus.WAITING_FOR_MODEL)
    if session.waiting_for_state:  # without which the planner is not even asked
        return int(ControllerStatus.WAITING_FOR_STATE)
    if session.waiting_for_planner:
        return int(ControllerStatus.WAITING_FOR_PLANNER)
    return int(ControllerStatus.RUNNING)


def diagnostics(status: ControllerStatus, name: str, task: str) -> DiagnosticArray:
    """The same for ``/diagnostics``.

    Args:
        status: as published.
        name: of the node.
        task: its name.
    """
    waits = status.state in (status.WAITING_FOR_STATE, status.WAITING_FOR_PLANNER)
    waits = waits or status.transitions_lost > 0
    values = {
        'mode': status.mode,
        'control rate [Hz]': status.control_rate,
        'real time factor': round(status.real_time_factor, 3),  # nan: not known yet
        'plan time p50 [ms]': finite_or(status.plan_time_p50 * 1e3, 0.0),
        'plan time p95 [ms]': finite_or(status.plan_time_p95 * 1e3, 0.0),
        'clamped actions': status.clamped_actions,
        'refused states': status.refused_states,
        'state age [ms]': finite_or(status.state_age * 1e3, 0.0),
        'plan age [ms]': finite_or(status.plan_age * 1e3, 0.0),
        'one-step error over the held-out one': finite_or(status.surprise, 0.0),
        'predicted return': finite_or(status.predicted_return, 0.0),
        'received return': finite_or(status.received_return, 0.0),
        'late plans': status.late_plans,
        'late control steps': status.late_steps,
        'control steps without a transition': status.steps_lost,
        'unacknowledged transitions': status.unacknowledged,
        'lost transitions': status.transitions_lost,
        'last message': status.text,
    }
    array = DiagnosticArray()
    array.header.stamp = status.stamp
    array.status = [
        DiagnosticStatus(
            level=DiagnosticStatus.WARN if waits else DiagnosticStatus.OK,
            name=name,
            message=_NAMES[status.state],
            hardware_id=task,
            values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
        )
    ]
    return array
