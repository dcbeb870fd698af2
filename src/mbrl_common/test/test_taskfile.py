from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from mbrl_common.settings import SettingsError, setting
from mbrl_common.taskfile import node_parameters, node_settings


@dataclasses.dataclass(frozen=True)
class Group:
    size: int = setting('how large', ge=1)
    rate: float = setting('how fast', 1.0)


@dataclasses.dataclass(frozen=True)
class Root:
    group: Group


FILE = """
/**:
  ros__parameters:
    group: {size: 1, rate: 1.0}
/**/planner:
  ros__parameters:
    group: {size: 2}
planner:
  ros__parameters:
    group.size: 3
dynamics:
  ros__parameters:
    group: {size: 9}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'task.yaml'
    path.write_text(FILE)
    return path


def test_later_sections_win_and_other_nodes_do_not_count(file):
    assert node_parameters(file, 'planner') == {'group.size': 3, 'group.rate': 1.0}
    assert node_parameters(file, 'unmentioned') == {'group.size': 1, 'group.rate': 1.0}


def test_overrides_win_over_the_file(file):
    assert node_settings(file, 'planner', Root, {'group.size': 7}) == Root(Group(7, 1.0))


def test_complaint_names_file_node_and_parameter(file):
    with pytest.raises(SettingsError) as caught:
        node_settings(file, 'planner', Root, {'group.size': 0})
    assert str(caught.value).startswith(f"{file}, node 'planner': parameter 'group.size' is 0")


@pytest.mark.parametrize(
    ('text', 'complaint'),
    [
        ('a: [1', 'cannot be read as YAML'),
        ('- 1', 'must map node names to ros__parameters'),
        ('', 'must map node names to ros__parameters'),
        ('planner: {group: {size: 1}}', "section 'planner' must have 'ros__parameters'"),
        ('planner: 3', "section 'planner' must have 'ros__parameters'"),
    ],
)
def test_file_of_another_form_is_refused(tmp_path, text, complaint):
    path = tmp_path / 'task.yaml'
    path.write_text(text)
    with pytest.raises(SettingsError, match=complaint):
        node_parameters(path, 'planner')


def test_absent_file_is_refused(tmp_path):
    with pytest.raises(SettingsError, match='No such file'):
        node_parameters(tmp_path / 'absent.yaml', 'planner')
