"""THE description of the graph: which nodes, with which parameters, in which namespace.

Plain Python, no ROS. The launch files turn it into ``launch_ros`` actions (``launch_graph``),
``mbrl up`` into supervised processes (``supervision``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

SHARED = ('planner/plan', 'transition', 'transition_ack', 'training_status')
"""What the controllers of several robots have in common: one planner, one dataset."""
LOG_LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')


@dataclasses.dataclass(frozen=True)
class GraphOptions:
    """What can be chosen when a graph is brought up; ``None`` leaves it to the parameter file."""

    params_file: Path
    namespace: str = ''
    seed: int | None = None
    run_folder: Path | None = None
    """Where the dynamics node keeps its bags and models."""
    log_level: str = 'info'
    autostart: bool | None = None
    """Whether the controller configures and activates itself."""
    real_time: bool = False
    """Simulation and controller by the clock, as with a robot, instead of in lockstep."""
    robots: int = 1
    """With more than one, each is in a namespace of its own within ``namespace``, ``robot0`` and
    so on; one planner and one dataset serve all of them."""

    @property
    def places(self) -> list[str]:
        """Where the robots are, within the namespace."""
        return [f'robot{n}' for n in range(self.robots)] if self.robots > 1 else ['']


@dataclasses.dataclass(frozen=True)
class NodeDescription:
    """One node, in a process of its own."""

    package: str
    executable: str
    name: str
    namespace: str
    place: str
    """The part of the namespace that is its robot's; empty: it is not one robot's among many."""
    parameter_files: tuple[Path, ...]
    parameters: Mapping[str, Any]
    """Dotted names to values; they win over the files."""
    services: tuple[str, ...]
    """What it offers once it is up, relative to the graph's namespace; actions by their name."""
    log_level: str = 'info'
    remappings: tuple[tuple[str, str], ...] = ()
    lifecycle: bool = False

    def ros_arguments(self, folder: Path) -> list[str]:
        """The node's command line, as ROS takes it.

        Args:
            folder: where the parameters that win over the files are written to.
        """
        arguments = ['--ros-args', '-r', f'__node:={self.name}']
        if self.namespace:
            arguments += ['-r', f'__ns:=/{self.namespace}']
        for source, target in self.remappings:
            arguments += ['-r', f'{source}:={target}']
        for path in self.parameter_files:
            arguments += ['--params-file', str(path)]
        if self.parameters:
            # Not -p: a section with the node's name in a file wins over that.
            overrides = folder / f'{self.label}.yaml'
            section = {f'/**/{self.name}': {'ros__parameters': dict(self.parameters)}}
            overrides.write_text(yaml.safe_dump(section))
            arguments += ['--params-file', str(overrides)]
        return [*arguments, '--enclave', self.enclave, '--log-level', self.log_level]

    @property
    def path(self) -> str:
        """Its name, relative to the graph's namespace."""
        return _join(self.place, self.name)

    @property
    def label(self) -> str:
        """The same, fit for the name of a file."""
        return self.path.replace('/', '_')

    @property
    def enclave(self) -> str:
        """Where its keys and permissions are in a keystore of SROS 2, if one is in use."""
        return '/' + _join(self.namespace, self.name)


def describe_simulation(options: GraphOptions) -> list[NodeDescription]:
    """The robots' place, taken by MuJoCo."""
    return [
        _node(
            options,
            'mbrl_sim_bridge',
            'sim_bridge',
            services=('sim_bridge/reset',),
            parameters={'sim.seed': options.seed, 'sim.real_time': options.real_time or None},
            place=place,
            # Simulations in lockstep have a time each.
            remappings=(('/clock', 'clock'),) if place else (),
        )
        for place in options.places
    ]


def describe_control(options: GraphOptions) -> list[NodeDescription]:
    """Everything but the robot."""
    folder = None if options.run_folder is None else str(options.run_folder)
    shared = tuple((name, '/' + _join(options.namespace.strip('/'), name)) for name in SHARED)
    return [
        _node(
            options,
            'mbrl_dynamics',
            'dynamics',
            services=('dynamics/retrain', 'dynamics/train'),
            parameters={'seed': options.seed, 'data.folder': folder},
        ),
        _node(options, 'mbrl_planner', 'planner', services=('planner/plan',)),
    ] + [
        _node(
            options,
            'mbrl_mpc',
            'mpc_controller',
            services=(
                'mpc_controller/replan',
                'mpc_controller/set_goal',
                'mpc_controller/run_episodes',
            ),
            parameters={
                'autostart': options.autostart,
                'realtime.enabled': options.real_time or None,
            },
            lifecycle=True,
            place=place,
            remappings=shared if place else (),
        )
        for place in options.places
    ]


def describe_graph(options: GraphOptions) -> list[NodeDescription]:
    """The whole graph with simulated robots."""
    return describe_simulation(options) + describe_control(options)


def _node(
    options: GraphOptions,
    package: str,
    name: str,
    services: tuple[str, ...],
    parameters: Mapping[str, Any] | None = None,
    lifecycle: bool = False,
    place: str = '',
    remappings: tuple[tuple[str, str], ...] = (),
) -> NodeDescription:
    given = {key: value for key, value in (parameters or {}).items() if value is not None}
    return NodeDescription(
        package=package,
        executable=name,
        name=name,
        namespace=_join(options.namespace.strip('/'), place),
        place=place,
        parameter_files=(options.params_file,),
        parameters=given,
        services=tuple(_join(place, service) for service in services),
        log_level=options.log_level,
        remappings=remappings,
        lifecycle=lifecycle,
    )


def _join(*parts: str) -> str:
    return '/'.join(part for part in parts if part)
