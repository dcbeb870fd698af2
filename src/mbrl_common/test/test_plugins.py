from __future__ import annotations

import importlib
import sys

import pytest

from mbrl_common.plugins import find_plugin, make_plugin, plugin_names
from mbrl_common.settings import SettingsError

GROUP = 'mbrl_common.parts_for_a_test'


@pytest.fixture(autouse=True)
def packages(tmp_path, monkeypatch):
    """Two installed packages, of which both claim a name."""
    for package, points in {
        'parts_a': 'twice = parts_a:twice\nbroken = parts_a:broken\nshared = parts_a:twice\n'
        'named = parts_a:named\n',
        'parts_b': 'shared = parts_b:absent\ngone = parts_b_gone:x\n',
    }.items():
        (tmp_path / f'{package}.py').write_text(
            'def twice(x):\n    return 2 * x\n\n\ndef broken(x):\n    raise OSError("no device")\n'
            '\n\ndef named(x, text):\n    return x, text\n'
        )
        info = tmp_path / f'{package}-1.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {package}\nVersion: 1\n')
        (info / 'entry_points.txt').write_text(f'[{GROUP}]\n{points}')
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    for package in ('parts_a', 'parts_b'):
        sys.modules.pop(package, None)


def test_a_part_is_found_and_made():
    assert plugin_names(GROUP) == ['broken', 'gone', 'named', 'shared', 'twice']
    assert find_plugin(GROUP, 'twice', 'x.name').value == 'parts_a:twice'
    assert make_plugin(GROUP, 'twice', 'x.name', 21) == 42


def test_what_is_behind_a_colon_goes_to_the_part():
    assert find_plugin(GROUP, 'named:/a:b', 'x.name').value == 'parts_a:named'
    assert make_plugin(GROUP, 'named:/a:b', 'x.name', 1) == (1, '/a:b')
    with pytest.raises(SettingsError, match=r"'twice:2' \(parts_a:twice\): .*takes 1 positional"):
        make_plugin(GROUP, 'twice:2', 'x.name', 21)


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('twise', r"'x.name' is 'twise'; it must be one of .*'twice' \(did you mean 'twice'\?\)"),
        ('shared', r"'shared' is claimed by several: parts_a:twice, parts_b:absent"),
        ('gone', r"'gone' \(parts_b_gone:x\): No module named 'parts_b_gone'"),
        ('broken', r"'x.name': 'broken' \(parts_a:broken\): no device"),
    ],
)
def test_what_cannot_be_made_is_named(name, text):
    with pytest.raises(SettingsError, match=text):
        make_plugin(GROUP, name, 'x.name', 21)


def test_a_group_that_nobody_is_in_is_said_to_be_empty():
    with pytest.raises(SettingsError, match=r'must be one of \(none is installed\)'):
        find_plugin(GROUP + '_not', 'twice', 'x.name')
