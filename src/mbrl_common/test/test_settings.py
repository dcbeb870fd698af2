from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import pytest

from mbrl_common.settings import SettingsError, build, describe, flatten, setting, to_flat


@dataclasses.dataclass(frozen=True)
class Inner:
    size: int = setting('how large', ge=1, le=10)
    names: tuple[str, ...] = setting('who', ('a', 'b'))


@dataclasses.dataclass(frozen=True)
class Outer:
    inner: Inner
    rate: float = setting('how fast [Hz]', 5.0, ge=0.5)
    kind: str = setting('which', 'slow', choices=('slow', 'fast'))
    on: bool = setting('whether', False, live=True)
    gains: tuple[float, ...] = setting('of each', (), ge=0.0)

    def __post_init__(self) -> None:
        if self.kind == 'fast' and self.rate < 1.0:
            raise SettingsError(["'rate' must be at least 1 if 'kind' is 'fast'"])


def problems_of(mapping) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        build(Outer, mapping)
    assert str(caught.value) == '\n'.join(caught.value.problems)
    return caught.value.problems


def test_nested_and_dotted_names_mean_the_same():
    expected = Outer(inner=Inner(size=3), rate=2.0)
    assert build(Outer, {'inner': {'size': 3}, 'rate': 2.0}) == expected
    assert build(Outer, {'inner.size': 3, 'rate': 2.0}) == expected


def test_defaults_fill_what_is_not_given():
    assert build(Outer, {'inner.size': 1}).inner.names == ('a', 'b')


def test_integers_are_numbers_and_lists_become_tuples():
    made = build(Outer, {'inner.size': 1, 'rate': 2, 'gains': [1, 2.5]})
    assert (made.rate, made.gains) == (2.0, (1.0, 2.5))
    assert all(type(value) is float for value in (made.rate, *made.gains))


@pytest.mark.parametrize(
    ('given', 'complaint'),
    [
        ({'inner.sise': 3}, "unknown parameter 'inner.sise'; did you mean 'inner.size'?"),
        ({'rate': 0.1}, "parameter 'rate' is 0.1; it must be a number of at least 0.5"),
        ({'rate': 'high'}, "parameter 'rate' is 'high'; it must be a number of at least 0.5"),
        ({'rate': True}, "parameter 'rate' is True; it must be a number of at least 0.5"),
        ({'rate': None}, "parameter 'rate' is None; it must be a number of at least 0.5"),
        ({'rate': math.nan}, "parameter 'rate' is nan; it must be a number of at least 0.5"),
        ({'inner.size': 11}, "parameter 'inner.size' is 11; it must be an integer from 1 to 10"),
        ({'inner.size': 2.0}, "parameter 'inner.size' is 2.0; it must be an integer from 1 to 10"),
        ({'kind': 'odd'}, "'kind' is 'odd'; it must be a text, one of 'slow', 'fast'"),
        ({'on': 1}, "parameter 'on' is 1; it must be true or false"),
        ({'gains': 1.0}, "parameter 'gains' is 1.0; it must be a list of numbers of at least 0"),
        ({'gains': [1.0, -1.0]}, "'gains' is [1.0, -1.0]; it must be a list of numbers"),
        ({'inner.names': 'ab'}, "parameter 'inner.names' is 'ab'; it must be a list of texts"),
        ({'kind': 'fast', 'rate': 0.5}, "'rate' must be at least 1 if 'kind' is 'fast'"),
    ],
)
def test_wrong_value_is_refused_with_what_would_be_right(given, complaint):
    (problem,) = problems_of({'inner.size': 1, **given})
    assert complaint in problem


def test_missing_value_is_named_with_its_meaning():
    assert problems_of({}) == [
        "missing parameter 'inner.size': an integer from 1 to 10 (how large)"
    ]


def test_everything_wrong_is_said_at_once():
    assert len(problems_of({'rate': -1.0, 'kind': 'x', 'extra': 1})) == 4


def test_complaints_say_where():
    with pytest.raises(SettingsError, match=r"^task\.yaml: missing parameter 'inner\.size'"):
        build(Outer, {}, where='task.yaml')


def test_flat_form_is_the_inverse():
    made = Outer(inner=Inner(size=4), kind='fast', gains=(1.0,))
    assert build(Outer, to_flat(made)) == made


def test_flatten_joins_names_with_dots():
    assert flatten({'a': {'b': {'c': 1}}, 'd.e': 2}) == {'a.b.c': 1, 'd.e': 2}


def test_describe_yields_every_leaf_in_order():
    leaves = list(describe(Outer))
    names = ['inner.size', 'inner.names', 'rate', 'kind', 'on', 'gains']
    assert [leaf.name for leaf in leaves] == names
    assert [leaf.name for leaf in leaves if leaf.required] == ['inner.size']
    assert [leaf.name for leaf in leaves if leaf.live] == ['on']


def test_a_field_that_is_no_setting_is_a_programming_error():
    @dataclasses.dataclass(frozen=True)
    class Broken:
        plain: int = 3

    with pytest.raises(TypeError, match=r'Broken\.plain is not a setting'):
        list(describe(Broken))


@dataclasses.dataclass(frozen=True)
class WithPresets:
    """A group, and presets for it."""

    inner: Inner
    preset: str = setting('recipe', 'none', choices=('none', 'large'))

    PRESETS: ClassVar = {'none': {}, 'large': {'inner.size': 9, 'inner.names': ['c']}}


def test_a_preset_changes_defaults_and_what_is_given_wins():
    assert build(WithPresets, {'inner.size': 1}).inner == Inner(1, ('a', 'b'))
    assert build(WithPresets, {'preset': 'large'}).inner == Inner(9, ('c',))
    assert build(WithPresets, {'preset': 'large', 'inner.size': 2}).inner == Inner(2, ('c',))
    with pytest.raises(SettingsError, match=r"'preset' is 'huge'.*'none', 'large'"):
        build(WithPresets, {'preset': 'huge', 'inner.size': 1})
