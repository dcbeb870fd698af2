"""How a transition lies in a bag: the ``ros2msg`` schema, and its CDR encoding."""

from __future__ import annotations

import struct

import numpy as np

from mbrl_dynamics.transition import Transition

SCHEMA_NAME = 'mbrl_msgs/msg/Transition'
TOPIC = '/transition'

SCHEMA = """\
# One executed step of the robot: the unit of the dataset, and the record of every bag of the suite.
# Topic `transition`. Sequence numbers make gaps visible; TransitionAck says what was stored.

builtin_interfaces/Time stamp           # stamp of state [ROS time]
builtin_interfaces/Time next_stamp      # stamp of next_state [ROS time]
string robot                            # who made it: namespace and name of the controller
uint64 session                          # random number drawn when the controller started; sequence restarts with it
uint64 sequence                         # 0, 1, 2, ... within the session, without gaps
uint32 episode                          # number of the episode in the dataset, from 0
uint32 step                             # control steps since the episode began, from 0
float64[] state                         # shape [state_dim]; units as the task declares them
float64[] action                        # shape [action_dim]; as executed, after clamping; physical units
float64[] next_state                    # shape [state_dim]
float64 reward                          # the objective's reward of this step [-]
bool terminated                         # next_state ends the episode by the objective's termination
bool truncated                          # the episode ended here by its time limit; one that was cut off has no last transition

================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""  # noqa: E501

_LITTLE_ENDIAN = b'\x00\x01\x00\x00'


def encode_cdr(transition: Transition) -> bytes:
    """The transition as a CDR message (XCDR1, little endian), as DDS sends it."""
    out = bytearray()

    def put(code: str, *values: int | float | bool) -> None:
        out.extend(b'\0' * (-len(out) % struct.calcsize(code)))  # fields are aligned to their size
        out.extend(struct.pack(f'<{len(values)}{code}', *values))

    for stamp in (transition.stamp, transition.next_stamp):
        second, nanosecond = divmod(stamp, 1_000_000_000)
        put('i', second)
        put('I', nanosecond)
    name = transition.robot.encode() + b'\0'
    put('I', len(name))
    out.extend(name)
    put('Q', transition.session, transition.sequence)
    put('I', transition.episode, transition.step)
    for values in (transition.state, transition.action, transition.next_state):
        put('I', len(values))
        if len(values):
            put('d', *values)
    put('d', transition.reward)
    put('?', transition.terminated, transition.truncated)
    return _LITTLE_ENDIAN + bytes(out)


def from_message(message: object) -> Transition:
    """A transition from anything with the fields of ``mbrl_msgs/Transition``."""

    def stamp(name: str) -> int:
        time = getattr(message, name)
        return int(time.sec) * 1_000_000_000 + int(time.nanosec)

    def integer(name: str) -> int:
        return int(getattr(message, name))

    def vector(name: str) -> np.ndarray:
        return np.array(getattr(message, name), dtype=np.float64)

    return Transition(
        stamp=stamp('stamp'),
        next_stamp=stamp('next_stamp'),
        robot=str(message.robot),  # type: ignore[attr-defined]
        session=integer('session'),
        sequence=integer('sequence'),
        episode=integer('episode'),
        step=integer('step'),
        state=vector('state'),
        action=vector('action'),
        next_state=vector('next_state'),
        reward=float(message.reward),  # type: ignore[attr-defined]
        terminated=bool(message.terminated),  # type: ignore[attr-defined]
        truncated=bool(message.truncated),  # type: ignore[attr-defined]
    )
