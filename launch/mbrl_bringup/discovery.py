"""Who can reach a graph: this machine alone, unless more is asked for.

ROS's own way, the discovery range ``LOCALHOST``, limits who is looked for. With Fast DDS the
sockets are still open to all: another machine that names this one as its peer joins. So with Fast
DDS 2 a profile binds them to the loopback address. It replaces what ROS sets up for ``LOCALHOST``,
and has nodes announce themselves more often, so that one that is started again is soon known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

RANGE = 'ROS_AUTOMATIC_DISCOVERY_RANGE'
PROFILES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
LOOPBACK = Path(__file__).with_name('this_machine.xml')
# Whoever has set one of these has chosen others to talk to, or other sockets.
_CHOICES = (*PROFILES, 'ROS_STATIC_PEERS', 'ROS_DISCOVERY_SERVER', 'ROS_LOCALHOST_ONLY')


def reach(network: bool, environment: Mapping[str, str], profile: bool) -> dict[str, str]:
    """What every process of a graph must have in its environment.

    Args:
        network: whether the graph was asked to be seen in the local network.
        environment: the user's; a range that it sets holds where nothing was asked for.
        profile: whether the middleware takes :data:`LOOPBACK`; see :func:`takes_profile`.
    """
    if network:
        return {RANGE: 'SUBNET'}
    if environment.get(RANGE):
        return {}
    if profile and not any(environment.get(name) for name in _CHOICES):
        return {RANGE: 'SYSTEM_DEFAULT', **dict.fromkeys(PROFILES, str(LOOPBACK))}
    return {RANGE: 'LOCALHOST'}


def takes_profile() -> bool:
    """Whether the middleware in use is Fast DDS 2; the profile would leave others wide open."""
    import rclpy
    from ament_index_python.packages import get_search_paths

    # Not by the index of packages: the wheels do not list it. From version 3 on it is 'fastdds'.
    found = any((Path(prefix) / 'share' / 'fastrtps').is_dir() for prefix in get_search_paths())
    return found and rclpy.get_rmw_implementation_identifier() == 'rmw_fastrtps_cpp'
