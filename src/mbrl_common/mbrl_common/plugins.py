"""Parts by name: whatever installed package names one in a group of entry points is found.

A name may carry an argument behind a colon: ``mjcf:/opt/robot.xml`` is the part ``mjcf``, called
with ``/opt/robot.xml``.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mbrl_common.settings import SettingsError


def plugin_names(group: str) -> list[str]:
    """Names of all that is installed in a group."""
    return sorted({point.name for point in entry_points(group=group)})


def find_plugin(group: str, name: str, parameter: str) -> EntryPoint:
    """The one of that name, not loaded yet.

    Args:
        group: of entry points.
        name: that is looked for.
        parameter: that says the name; for the text of an error.

    Raises:
        SettingsError: there is none, with the names that there are, or several packages claim it.
    """
    part = name.partition(':')[0]
    found = {point.value: point for point in entry_points(group=group, name=part)}
    if not found:
        known = plugin_names(group)
        close = difflib.get_close_matches(part, known, n=1)
        hint = f' (did you mean {close[0]!r}?)' if close else ''
        raise SettingsError(
            [
                f'parameter {parameter!r} is {name!r}; it must be one of '
                f'{", ".join(map(repr, known)) or "(none is installed)"}{hint}'
            ]
        )
    if len(found) > 1:
        raise SettingsError(
            [f'parameter {parameter!r}: {name!r} is claimed by several: {", ".join(sorted(found))}']
        )
    return next(iter(found.values()))


def make_plugin(group: str, name: str, parameter: str, *arguments: Any) -> Any:
    """What the one of that name returns when it is called with the arguments, and at last with the
    text behind the colon of its name, if there is a colon.

    Raises:
        SettingsError: as ``find_plugin``, or it cannot be loaded or called.
    """
    _, colon, text = name.partition(':')
    last = (text,) if colon else ()
    return use_plugin(group, name, parameter, lambda part: part(*arguments, *last))


def use_plugin(group: str, name: str, parameter: str, use: Callable[[Any], Any]) -> Any:
    """What a function returns that is called with the one of that name.

    Raises:
        SettingsError: as ``find_plugin``, or it cannot be loaded, or the function fails.
    """
    point = find_plugin(group, name, parameter)
    try:
        return use(point.load())
    except Exception as error:  # a third party's code: whatever it raises, say whose it is
        raise SettingsError(
            [f'parameter {parameter!r}: {name!r} ({point.value}): {error}']
        ) from error
