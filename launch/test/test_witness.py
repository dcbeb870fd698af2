"""What looks on while nodes are killed: it notices what it is there to notice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mbrl_bringup.testing_witness import Sent, Witness, limit_violations
from mbrl_dynamics.recorder import Recorder
from mbrl_dynamics.transition import Transition
from mbrl_msgs.msg import Command

PLAN, SAFE = Command.SOURCE_PLAN, Command.SOURCE_SAFE


def looking_on(*commands: tuple[float, float, int], states_until: float = 100.0) -> Witness:
    """One who has heard commands (time, action, source), and states until some time."""
    witness = Witness()
    witness.commands += [
        Sent(when, number, action, source, plan_id=number)
        for number, (when, action, source) in enumerate(commands)
    ]
    witness.states += [(when, when, 0.0) for when in np.arange(0.0, states_until, 0.05)]
    return witness


def test_commands_that_are_too_large_or_too_fast_are_noticed() -> None:
    rest = Sent(0.0, 1, 0.0)
    assert not limit_violations(rest, Sent(0.01, 2, 3.0))
    assert not limit_violations(None, Sent(0.01, 2, -3.0))
    for wrong in (3.01, -3.01, float('nan')):
        assert 'out of bounds' in limit_violations(rest, Sent(0.01, 2, wrong))[0]
    assert 'too fast' in limit_violations(Sent(0.0, 1, 3.0), Sent(0.01, 2, -0.1))[0]
    assert not limit_violations(Sent(0.0, 1, 3.0), Sent(0.01, 3, -0.1)), 'one was not heard'


def test_each_command_is_looked_at_once_after_the_one_before() -> None:
    witness = looking_on((1.0, 3.0, PLAN))
    assert not witness.new_violations()
    witness.commands.append(Sent(1.01, 1, -3.0))
    assert 'too fast' in witness.new_violations()[0]
    assert not witness.new_violations()
    witness.commands.append(Sent(9.0, 1, 3.0, SAFE))  # of another sender, after a rest
    assert not witness.new_violations(afresh=True)


def test_a_command_from_old_states_or_from_a_plan_that_is_over_is_noticed() -> None:
    assert not looking_on((1.5, 0.1, PLAN), states_until=1.0).new_violations()
    (text,) = looking_on((2.0, 0.1, PLAN), states_until=1.0).new_violations()
    assert 'newest state was 1.05 s old' in text
    assert not looking_on((2.0, 0.0, SAFE), states_until=1.0).new_violations()
    witness = looking_on((2.0, 0.1, PLAN), states_until=1.0)
    witness.state_sent(1.0, 1, 1.0, 0.0)
    witness.state_sent(2.1, 3, 2.1, 0.0)
    assert not witness.new_violations(), 'a state in between was not heard'
    witness = looking_on()
    witness.commands += [Sent(when, 1, 0.1, PLAN, 7) for when in (1.0, 1.8, 1.9)]
    assert witness.new_violations() == ['command: plan 7 was followed for 0.90 s']


def test_only_the_safe_command_will_do_without_a_planner_and_a_robot() -> None:
    for node, notice in (('planner', 0.8), ('sim_bridge', 0.5), ('mpc_controller', 0.0)):
        late = 10.0 + notice + 0.3
        for wrong in ((late, 0.1, PLAN), (late, 0.1, SAFE)):
            found = looking_on(wrong, (13.0, 0.0, SAFE)).of_absence(node, 10.0, 14.0)
            assert found == [f'1 commands that are not the safe one without {node}']
    soon = looking_on((10.5, 0.1, PLAN), (13.0, 0.0, SAFE))
    assert not soon.of_absence('planner', 10.0, 14.0)
    for commands in ([], [(10.5, 0.1, PLAN)]):
        (text,) = looking_on(*commands).of_absence('planner', 10.0, 14.0)
        assert text == 'the safe command was never sent without planner'
    assert not looking_on((12.0, 0.1, PLAN)).of_absence('dynamics', 10.0, 14.0)


def test_a_robot_that_moves_without_controller_is_noticed() -> None:
    witness = looking_on()
    assert not witness.of_absence('mpc_controller', 10.0, 14.0)
    witness.states.append((10.1, 10.1, 300.0))  # within the command timeout
    assert not witness.of_absence('mpc_controller', 10.0, 14.0)
    witness.states.append((12.0, 12.0, 300.0))
    (text,) = witness.of_absence('mpc_controller', 10.0, 14.0)
    assert text == '1 states of a robot that moves without controller'
    (text,) = looking_on(states_until=5.0).of_absence('mpc_controller', 10.0, 14.0)
    assert 'not seen' in text


def test_control_is_back_with_ten_planned_commands_in_a_row() -> None:
    planned = [(10.0 + n / 100, 0.0, PLAN) for n in range(10)]
    assert looking_on(*planned).back_after(9.0) == 10.0
    assert looking_on(*planned).back_after(10.005) is None, 'only nine are after it'
    broken = [*planned[:9], (10.09, 0.0, SAFE), *[(when + 1, a, s) for when, a, s in planned]]
    assert looking_on(*broken).back_after(9.0) == 11.0


def test_what_was_acknowledged_and_is_missing_on_disk_is_noticed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / 'data')
    state = np.zeros(4)
    for number in (0, 1, 3, 3):
        transition = Transition(
            *(number, number + 1, '/c', 5, number, 0, number),
            *(state, state[:1], state, 0.0, False, False),
        )
        assert recorder.write(transition)
    witness = Witness()
    witness.stored[5] = 4
    (unfinished, *_) = witness.of_storage(tmp_path)
    assert 'is not whole' in unfinished
    recorder.close()
    assert witness.of_storage(tmp_path) == [
        'session 5: transitions are stored twice',
        'session 5: 1 acknowledged ones are missing',
        'session 5: there are gaps',
    ]
