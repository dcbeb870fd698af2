"""One frozen dataclass is at once the configuration of a core and the parameters of a node.

A core declares a frozen dataclass whose fields are made with :func:`setting` (a description, a
range, choices) or are dataclasses of the same kind (groups). :func:`build` makes an instance of it
from a mapping, nested or with dotted names, and refuses whatever is unknown, missing, of another
type or out of range: all of it at once, each with what would be right. ``mbrl_common.node``
declares the same fields as ROS parameters. This module needs no ROS.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar('T')
_KEY = 'mbrl_setting'


class SettingsError(ValueError):
    """One or more settings are wrong; the text has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__('\n'.join(problems))
        self.problems = list(problems)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One leaf of a settings class: its dotted name and all that is known about it."""

    name: str
    type: type  # bool, int, float, str, or list of one of them, as list[float]
    required: bool
    default: Any
    description: str
    ge: float | None = None
    le: float | None = None
    choices: tuple[Any, ...] | None = None
    live: bool = False  # may be changed while the node runs

    def expectation(self) -> str:
        """What would be right, in words."""
        words = _TYPE_WORDS[self.type]
        if self.choices is not None:
            words += ', one of ' + ', '.join(repr(choice) for choice in self.choices)
        if self.ge is not None and self.le is not None:
            words += f' from {self.ge:.10g} to {self.le:.10g}'
        elif self.ge is not None:
            words += f' of at least {self.ge:.10g}'
        elif self.le is not None:
            words += f' of at most {self.le:.10g}'
        return words

    def check(self, value: Any) -> Any:
        """Return ``value`` in the setting's type, or raise :class:`SettingsError`."""
        origin = typing.get_origin(self.type)
        if origin is tuple:
            item = typing.get_args(self.type)[0]
            if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
                raise self._error(value)
            return tuple(self._check_one(item, entry, value) for entry in value)
        return self._check_one(self.type, value, value)

    def _check_one(self, kind: Any, value: Any, whole: Any) -> Any:
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind:
            raise self._error(whole)
        if kind is float and math.isnan(value):
            raise self._error(whole)
        if self.choices is not None and value not in self.choices:
            raise self._error(whole)
        if self.ge is not None and value < self.ge or self.le is not None and value > self.le:
            raise self._error(whole)
        return value

    def _error(self, value: Any) -> SettingsError:
        return SettingsError(
            [f"parameter '{self.name}' is {value!r}; it must be {self.expectation()}"]
        )


_TYPE_WORDS: dict[Any, str] = {
    bool: 'true or false',
    int: 'an integer',
    float: 'a number',
    str: 'a text',
    tuple[int, ...]: 'a list of integers',
    tuple[float, ...]: 'a list of numbers',
    tuple[str, ...]: 'a list of texts',
}


def setting(
    description: str,
    default: Any = dataclasses.MISSING,
    *,
    ge: float | None = None,
    le: float | None = None,
    choices: Sequence[Any] | None = None,
    live: bool = False,
) -> Any:
    """Declare a field of a settings class; without ``default`` it must be given.

    Args:
        description: what it is, with its unit; becomes the ROS parameter's description.
        default: its value when nothing is said.
        ge, le: inclusive bounds, of each entry where the field is a list.
        choices: the allowed values.
        live: it may be changed while the node runs.
    """
    metadata = {
        _KEY: {
            'description': description,
            'ge': ge,
            'le': le,
            'choices': None if choices is None else tuple(choices),
            'live': live,
        }
    }
    return dataclasses.field(default=default, metadata=metadata)


def describe(cls: type, prefix: str = '') -> Iterator[Setting]:
    """Yield every leaf of a settings class, groups first to last, with dotted names."""
    hints = typing.get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from describe(typing.cast(type, kind), f'{prefix}{field.name}.')
            continue
        if kind not in _TYPE_WORDS or _KEY not in field.metadata:
            raise TypeError(f'{cls.__name__}.{field.name} is not a setting')
        required = field.default is dataclasses.MISSING
        yield Setting(
            name=prefix + field.name,
            type=kind,
            required=required,
            default=None if required else field.default,
            **field.metadata[_KEY],
        )


def flatten(mapping: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Turn nested mappings into one with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f'{prefix}{key}'
        if isinstance(value, Mapping):
            flat.update(flatten(value, name + '.'))
        else:
            flat[name] = value
    return flat


def build(cls: type[T], mapping: Mapping[str, Any], where: str = '') -> T:
    """Make an instance of a settings class.

    Args:
        cls: a frozen dataclass of settings and groups.
        mapping: nested, or with dotted names, or both.
        where: put in front of every complaint, e.g. the file and the node.

    Raises:
        SettingsError: with a line for everything unknown, missing, mistyped or out of range.
    """
    given = flatten(mapping)
    known = {leaf.name: leaf for leaf in describe(cls)}
    problems: list[str] = []
    defaults = preset_defaults(cls, given)
    for name in given.keys() - known.keys():
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean '{close[0]}'?" if close else ''
        problems.append(f"unknown parameter '{name}'{hint}")
    values: dict[str, Any] = {}
    for name, leaf in known.items():
        if name in given or name in defaults:
            try:
                values[name] = leaf.check(given[name] if name in given else defaults[name])
            except SettingsError as error:
                problems += error.problems
        elif leaf.required:
            meaning = f'{leaf.expectation()} ({leaf.description})'
            problems.append(f"missing parameter '{name}': {meaning}")
        else:
            values[name] = leaf.default
    if not problems:
        try:
            return _assemble(cls, values, '')
        except SettingsError as error:  # from a __post_init__ that compares several settings
            problems += error.problems
    raise SettingsError([f'{where}: {p}' if where else p for p in sorted(problems)])


def preset_defaults(cls: type, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Defaults that the preset chosen in ``given``, dotted names to values, puts for others.

    A settings class offers presets by a class variable ``PRESETS``, from name to dotted names to
    values, beside a setting ``preset`` that chooses one.
    """
    presets: Mapping[str, Mapping[str, Any]] = getattr(cls, 'PRESETS', {})
    chosen = given.get('preset')
    return presets.get(chosen, {}) if isinstance(chosen, str) else {}


def to_flat(instance: Any, prefix: str = '') -> dict[str, Any]:
    """The inverse of :func:`build`: dotted names to values."""
    flat: dict[str, Any] = {}
    for field in dataclasses.fields(instance):
        value = getattr(instance, field.name)
        if dataclasses.is_dataclass(value):
            flat.update(to_flat(value, f'{prefix}{field.name}.'))
        else:
            flat[prefix + field.name] = value
    return flat


def _assemble(cls: type[T], values: Mapping[str, Any], prefix: str) -> T:
    hints = typing.get_type_hints(cls)
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        kind = hints[field.name]
        name = prefix + field.name
        is_group = dataclasses.is_dataclass(kind) and not isinstance(kind, types.UnionType)
        arguments[field.name] = _assemble(kind, values, name + '.') if is_group else values[name]
    return cls(**arguments)
