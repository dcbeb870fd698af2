"""The life of a node's process: checked parameters, one executor, and a clean end."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

import rclpy
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from mbrl_common.hot_path import HotPath
from mbrl_common.settings import Setting, SettingsError, build, describe, preset_defaults

T = TypeVar('T')

EXIT_BAD_PARAMETERS = 2
EXIT_WITH_PARENT = 'MBRL_EXIT_WITH_PARENT'
REST_PERIOD = 0.02  # s between looks at what is not on a node's hot path
_EARLIEST = 0.9 * REST_PERIOD  # a beat that comes a little early is a rest all the same
_PR_SET_PDEATHSIG = 1
_OWN = ('use_sim_time', 'start_type_description_service')


def declare_settings(node: Node, cls: type[T], on_change: Callable[[T], None] | None = None) -> T:
    """Declare a settings class as the node's parameters, and return the checked values.

    The node must have been made with ``automatically_declare_parameters_from_overrides=True``,
    so that what a parameter file gives and no one declared is seen, and refused.

    Args:
        node: the node.
        cls: settings class, see ``mbrl_common.settings``.
        on_change: called with the new settings after live ones were changed; others are read-only.

    Raises:
        SettingsError: with all that is wrong in the parameters given at start.
    """
    declared: Any = node.get_parameters_by_prefix('')  # rclpy's annotation is not what it returns
    given = {
        name: parameter.value
        for name, parameter in declared.items()
        if name not in _OWN and not name.startswith('qos_overrides.')
    }
    given = {name: list(v) if _is_array(v) else v for name, v in given.items()}
    settings = build(cls, given, where=f"node '{node.get_fully_qualified_name()}'")
    leaves = {leaf.name: leaf for leaf in describe(cls)}
    presets = preset_defaults(cls, given)
    for leaf in leaves.values():
        if leaf.name in given:
            node.set_descriptor(leaf.name, _descriptor(leaf))
        else:
            default = presets.get(leaf.name, leaf.default)
            default = list(default) if isinstance(default, tuple) else default
            if default == []:  # an empty list has no ROS type of its own
                node.declare_parameter(leaf.name, None, _descriptor(leaf))
            else:
                node.declare_parameter(leaf.name, default, _descriptor(leaf))
    current = dict(given)

    def check(parameters: list[Parameter]) -> SetParametersResult:
        changed = dict(current)
        for parameter in parameters:
            if parameter.name in _OWN or parameter.name.startswith('qos_overrides.'):
                continue
            found = leaves.get(parameter.name)
            if found is not None and not found.live:
                reason = f"parameter '{parameter.name}' cannot be changed while the node runs"
                return SetParametersResult(successful=False, reason=reason)
            value = parameter.value
            changed[parameter.name] = list(value) if _is_array(value) else value
        try:
            build(cls, changed)
        except SettingsError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def apply(parameters: list[Parameter]) -> None:
        for parameter in parameters:
            if parameter.name in leaves:
                value = parameter.value
                current[parameter.name] = list(value) if _is_array(value) else value
        if on_change is not None:
            on_change(build(cls, current))

    node.add_on_set_parameters_callback(check)
    node.add_post_set_parameters_callback(apply)
    return settings


def run_node(make: Callable[[], Any], args: list[str] | None = None) -> None:
    """Run one node in this process until SIGINT or SIGTERM, and leave with an exit code.

    Args:
        make: makes the node; may raise :class:`SettingsError`. If the node has a method
            ``shut_down()``, it is called before the node is destroyed, while it can still publish.
            If it has an attribute ``hot_path``, that is served first (``mbrl_common.hot_path``).
        args: command line, ROS arguments included.
    """
    _exit_with_parent()
    # Our own handlers: rclpy's would end the context before the node can send its last messages.
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except RuntimeError as error:  # a parameter file that cannot be read, a wrong --ros-args
        print(error, file=sys.stderr)
        sys.exit(EXIT_BAD_PARAMETERS)
    executor = SingleThreadedExecutor()
    node: Any = None
    hot_path: HotPath | None = None
    stopping = False

    def stop(_signal: int, _frame: Any) -> None:
        nonlocal stopping
        stopping = True
        executor.wake()
        if hot_path is not None:
            hot_path.wake()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    code = 0
    try:
        node = make()
        hot_path = getattr(node, 'hot_path', None)
        executor.add_node(node)
        gc.freeze()  # what was imported stays: no collection needs to look at it again
        spin(executor, hot_path, lambda: not stopping)
    except SettingsError as error:
        logger = rclpy.logging.get_logger('parameters')
        for problem in error.problems:
            logger.fatal(problem)
        code = EXIT_BAD_PARAMETERS
    except ValueError as error:
        if 'PARAMETER_NOT_SET' not in str(error):
            raise
        rclpy.logging.get_logger('parameters').fatal(
            'a parameter is an empty list; ROS cannot tell the type of that: leave it out'
        )
        code = EXIT_BAD_PARAMETERS
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if node is not None:
            if hasattr(node, 'shut_down'):
                node.shut_down()
            if hot_path is not None:
                hot_path.destroy()
            node.destroy_node()
        rclpy.try_shutdown()
    if code:
        sys.exit(code)


def spin(
    executor: SingleThreadedExecutor, hot_path: HotPath | None, going_on: Callable[[], bool]
) -> None:
    """Serve a node's hot path, if it has one, and the rest of it, while ``going_on()``."""
    look_after = 0.0
    while going_on() and executor.context.ok():
        if hot_path is None:
            executor.spin_once(timeout_sec=0.5)
            continue
        hot_path.spin_once(REST_PERIOD)
        # A rest is over with the next message: what takes a while begins when the loop has nothing
        # to do for long, and not just before its next beat.
        rests, now = hot_path.take_rest(), time.monotonic()
        if now >= look_after and (rests or now >= look_after + REST_PERIOD):
            executor.spin_once(timeout_sec=0)
            look_after = max(now + _EARLIEST, time.monotonic() + REST_PERIOD / 2)


def _descriptor(leaf: Setting) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        name=leaf.name,
        description=leaf.description,
        additional_constraints=leaf.expectation(),
        read_only=not leaf.live,
        dynamic_typing=True,  # 1 is a fine number for 1.0; the check is ours, with a better message
    )
    low, high = leaf.ge, leaf.le
    if low is not None and high is not None:
        if leaf.type is int:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        elif leaf.type is float:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
    return descriptor


def _is_array(value: Any) -> bool:
    return hasattr(value, '__len__') and not isinstance(value, (str, bytes))


def _exit_with_parent() -> None:
    """End with the process that started us, if it asks for that: no orphans after its SIGKILL.

    It asks by its process id, so that one that ended while we were starting is noticed, too; 1
    says that we are not told.
    """
    parent = int(os.environ.get(EXIT_WITH_PARENT) or 0)
    if not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent not in (1, os.getppid()):
        sys.exit('error: the process that started this one has ended')
