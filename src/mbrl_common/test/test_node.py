"""``declare_settings`` and ``run_node`` with a small node, in its own process, over real DDS."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rcl_interfaces.msg import Parameter, ParameterDescriptor, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.node import Node

from mbrl_common.node import EXIT_WITH_PARENT, declare_settings, run_node
from mbrl_common.settings import SettingsError, setting
from mbrl_common.testing import NodeProcess, Probe, isolated_domain


@dataclasses.dataclass(frozen=True)
class Group:
    size: int = setting('how large', ge=1, le=10)
    weights: tuple[float, ...] = setting('of each term', (1.0, 2.0), ge=0.0, live=True)
    names: tuple[str, ...] = setting('of nothing, as it comes', ())


@dataclasses.dataclass(frozen=True)
class ExampleSettings:
    group: Group
    rate: float = setting('how fast [Hz]', 5.0, ge=0.5, le=100.0, live=True)
    floor: float = setting('below the rate [Hz]', 0.5, live=True)

    def __post_init__(self) -> None:
        if self.floor > self.rate:
            raise SettingsError(["'floor' must not be above 'rate'"])


class Example(Node):
    """Says what its settings are, and when they change."""

    def __init__(self) -> None:
        super().__init__('example', automatically_declare_parameters_from_overrides=True)
        self.say(declare_settings(self, ExampleSettings, self.say))

    def say(self, settings: ExampleSettings) -> None:
        self.get_logger().info(f'settings: {settings}')

    def shut_down(self) -> None:
        self.get_logger().info('shut down while the context is valid: ' + str(self.context.ok()))


Start = Callable[..., NodeProcess]


@pytest.fixture(scope='module')
def domain() -> Iterator[int]:
    with isolated_domain() as number:
        yield number


@pytest.fixture
def start(domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Starts the node of this file as if it were an installed executable of a package."""
    executable = tmp_path / 'lib' / 'example_package' / 'example'
    executable.parent.mkdir(parents=True)
    executable.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} "$@"\n')
    executable.chmod(0o755)
    monkeypatch.setattr('mbrl_common.testing.get_package_prefix', lambda _: str(tmp_path))

    def run(parameters: dict[str, Any] | None = None, **more: Any) -> NodeProcess:
        return NodeProcess('example_package', 'example', parameters=parameters, **more)

    return run


@pytest.fixture
def probe(domain: int) -> Iterator[Probe]:
    with Probe() as each:
        yield each


def double(value: float) -> ParameterValue:
    return ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=value)


def set_parameter(probe: Probe, name: str, value: ParameterValue) -> Any:
    request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
    return probe.call('example/set_parameters', SetParameters, request).results[0]


def test_parameters_of_all_types_become_settings(start):
    given = {'group': {'size': 3, 'weights': [1, 2], 'names': ['a']}, 'rate': 7}
    with start(given) as process:
        output = process.wait_for_output('settings:')
        expected = ExampleSettings(Group(3, (1.0, 2.0), ('a',)), rate=7.0)
        assert str(expected) in output


@pytest.mark.parametrize(
    ('given', 'complaint'),
    [
        ({'group.sise': 3, 'group.size': 3}, "unknown parameter 'group.sise'; did you mean"),
        ({'rate': 1.0}, "missing parameter 'group.size': an integer from 1 to 10 (how large)"),
        ({'group.size': 11}, "'group.size' is 11; it must be an integer from 1 to 10"),
        ({'group.size': 3, 'rate': 'x'}, "'rate' is 'x'; it must be a number from 0.5 to 100"),
        ({'group.size': 3, 'floor': 6.0}, "'floor' must not be above 'rate'"),
        ({'group.size': 3, 'group.names': []}, 'a parameter is an empty list'),
    ],
)
def test_bad_parameters_end_the_node_with_code_2_and_a_reason(start, given, complaint):
    with start(given) as process:
        assert process.wait() == 2
        assert complaint in process.output()
        assert 'Traceback' not in process.output()


def test_file_that_cannot_be_read_ends_the_node_with_code_2_and_its_name(start, tmp_path):
    file = tmp_path / 'broken.yaml'
    file.write_text('example: [1\n  b')
    with start(params_file=file) as process:
        assert process.wait() == 2
        assert str(file) in process.output()
        assert 'Traceback' not in process.output()


def test_live_parameter_is_changed_and_others_are_refused(start, probe):
    with start({'group': {'size': 3}}) as process:
        result = set_parameter(probe, 'rate', double(8.0))
        assert result.successful, result.reason
        process.wait_for_output('rate=8.0')
        weights = ParameterValue(
            type=ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=[3.0]
        )
        assert set_parameter(probe, 'group.weights', weights).successful
        process.wait_for_output('weights=(3.0,)')

        size = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=4)
        refusals = {
            'read-only': set_parameter(probe, 'group.size', size),
            'out of range': set_parameter(probe, 'rate', double(1000.0)),
            'contradiction': set_parameter(probe, 'floor', double(9.0)),
            'type': set_parameter(
                probe, 'rate', ParameterValue(type=ParameterType.PARAMETER_STRING, string_value='x')
            ),
            'unknown': set_parameter(probe, 'group.sise', size),
        }
        for why, refusal in refusals.items():
            assert not refusal.successful and refusal.reason, why
        assert refusals['contradiction'].reason == "'floor' must not be above 'rate'"

        assert set_parameter(probe, 'floor', double(7.0)).successful  # from the last good ones
        process.wait_for_output('rate=8.0, floor=7.0')
        request = GetParameters.Request(names=['rate', 'group.size'])
        values = probe.call('example/get_parameters', GetParameters, request).values
        assert (values[0].double_value, values[1].integer_value) == (8.0, 3)


def test_parameters_describe_themselves(start, probe):
    with start({'group': {'size': 3}}):
        request = DescribeParameters.Request(names=['group.size', 'rate'])
        response = probe.call('example/describe_parameters', DescribeParameters, request)
        size, rate = response.descriptors
        assert isinstance(size, ParameterDescriptor)
        assert (size.description, size.read_only) == ('how large', True)
        assert (size.integer_range[0].from_value, size.integer_range[0].to_value) == (1, 10)
        assert (rate.description, rate.read_only) == ('how fast [Hz]', False)
        assert rate.additional_constraints == 'a number from 0.5 to 100'
        assert rate.floating_point_range[0].to_value == 100.0


def test_a_node_whose_parent_has_ended_already_does_not_stay(start):
    node = start(env={EXIT_WITH_PARENT: '999999999'})  # more than the kernel gives
    assert node.wait(30.0) == 1
    assert 'the process that started this one has ended' in node.output()


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_shuts_the_node_down_before_its_context(start, number):
    with start({'group': {'size': 3}}) as process:
        process.wait_for_output('settings:')
        process.process.send_signal(number)
        assert process.wait(5.0) == 0
        assert 'shut down while the context is valid: True' in process.output()
        assert 'Traceback' not in process.output()


if __name__ == '__main__':
    run_node(Example)
