"""Read a ROS 2 parameter file without ROS: for ``mbrl`` and for runs in one process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from mbrl_common.settings import SettingsError, build, flatten

T = TypeVar('T')


def node_parameters(path: Path, node: str) -> dict[str, Any]:
    """Parameters that a parameter file gives to a node, with dotted names.

    Sections ``/**``, ``/**/<node>``, ``<node>`` and ``/<node>`` apply, later ones winning, as rcl
    does for a node in any namespace.

    Raises:
        SettingsError: if the file cannot be read, is no YAML, or has no such form.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise SettingsError([f'{path}: cannot be read as YAML: {error}']) from error
    if not isinstance(document, Mapping):
        raise SettingsError([f'{path}: must map node names to ros__parameters'])
    parameters: dict[str, Any] = {}
    for section in ('/**', f'/**/{node}', node, f'/{node}'):
        body = document.get(section)
        if body is None:
            continue
        if not isinstance(body, Mapping) or not isinstance(body.get('ros__parameters'), Mapping):
            raise SettingsError([f"{path}: section '{section}' must have 'ros__parameters'"])
        parameters.update(flatten(body['ros__parameters']))
    return parameters


def node_settings(
    path: Path, node: str, cls: type[T], overrides: Mapping[str, Any] | None = None
) -> T:
    """Settings of a node from a parameter file, checked.

    Args:
        path: the parameter file.
        node: name of the node.
        cls: its settings class.
        overrides: dotted names to values that win over the file.

    Raises:
        SettingsError: naming the file, the node and everything that is wrong.
    """
    parameters = node_parameters(path, node) | dict(overrides or {})
    return build(cls, parameters, where=f"{path}, node '{node}'")
