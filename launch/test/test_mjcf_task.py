"""The README's task of a robot that is not ours, from its MJCF file: numbers alone, no Python."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from mbrl_bringup.learn import learn
from mbrl_sim_bridge.environments.cartpole_pets import gymnasium_asset

README = Path(__file__).parent.parent / 'README.md'


def test_the_readmes_robot_is_learned_from_its_file(tmp_path: Path) -> None:
    robot = tmp_path / 'swimmer.xml'
    shutil.copy(gymnasium_asset('swimmer.xml'), robot)
    (text,) = re.findall(r'```yaml\n(# swimmer_mjcf.yaml.*?)```', README.read_text(), re.DOTALL)
    assert text.count('/tmp/robots/swimmer.xml') == 1
    task = tmp_path / 'swimmer_mjcf.yaml'
    task.write_text(text.replace('/tmp/robots/swimmer.xml', str(robot)))
    small = {
        'dynamics': {'training.updates_after_episode': 20, 'training.min_transitions': 5},
        'planner': {'planner.horizon': 5, 'optimizer.candidates': 16},
    }
    explored, planned = learn(
        task, episodes=2, exploration_episodes=1, max_steps=10, overrides=small
    )
    assert not planned.record.explore and planned.record.model_version == 1
    for episode in (explored, planned):
        first, last = episode.transitions[0], episode.transitions[-1]
        assert abs(first.state).min() > 0.0, 'the reset has noise'
        way = last.next_state[1] - first.state[1]
        control = sum((each.action**2).sum() for each in episode.transitions)
        assert abs(episode.record.episode_return - (way / 0.04 - 0.001 * control)) < 1e-9
