"""How far a graph is seen: on this machine alone, unless more is asked for."""

from __future__ import annotations

from collections.abc import Mapping

VARIABLE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
"""What every process of a graph reads, and hands on to those that it starts."""


def discovery_range(network: bool, environment: Mapping[str, str]) -> str:
    """The value for :data:`VARIABLE`.

    Args:
        network: whether the graph was asked to be seen in the local network.
        environment: the user's; what it says holds where nothing was asked for.
    """
    return 'SUBNET' if network else environment.get(VARIABLE) or 'LOCALHOST'
