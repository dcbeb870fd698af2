"""The learner as its owners see it: what it stores, when it trains, what it finds again."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mbrl_dynamics.bag import BagError, EpisodeBag, read_folder
from mbrl_dynamics.learner import FolderError, Learner
from mbrl_dynamics.settings import DynamicsSettings
from mbrl_dynamics.training import TrainingError, TrainingJob, TrainingOutcome
from mbrl_dynamics.transition import Transition

Make = Callable[..., Transition]
Settings = Callable[..., DynamicsSettings]


def assert_same_job(ours: TrainingJob, theirs: TrainingJob) -> None:
    for field in dataclasses.fields(TrainingJob):
        our, their = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name == 'data':  # each lies in its own dataset
            our, their = vars(our.load()), vars(their.load())
        np.testing.assert_equal(our, their)


def test_a_training_is_due_at_the_episodes_end_and_then_every_so_many_steps(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings(training__every_steps=8))
    due = []
    for number in range(45):
        if learner.add(make_transition(number)).training_due:
            due.append((number, learner.job().updates))
            learner.finish(learner.job(), TrainingOutcome(TrainingError.DIVERGED, ''))
    assert due == [(19, 40), (39, 40)]  # no model yet, so none within an episode
    learner.train()
    due = []
    for number in range(45, 85):
        if learner.add(make_transition(number)).training_due:
            due.append((number, learner.updates_due))
            assert learner.train().error is TrainingError.NONE
    assert due == [(52, 20), (59, 40), (67, 20), (75, 20), (79, 40)]
    assert learner.version == 6


def test_versions_count_successes_and_a_failure_keeps_the_old_model(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings())
    for number in range(20):
        learner.add(make_transition(number))
    assert learner.version == 0 and learner.snapshot is None
    learner.train()
    first = learner.snapshot
    assert learner.version == 1
    assert learner.train(cancelled=lambda: True).error is TrainingError.CANCELLED
    assert learner.snapshot is first
    learner.train()
    assert learner.version == 2


def test_going_on_uses_the_last_weights_and_from_scratch_does_not(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings())
    for number in range(20):
        learner.add(make_transition(number))
    assert learner.job().initial is None
    learner.train()
    assert learner.snapshot is not None
    assert learner.job().initial == learner.snapshot.data
    assert learner.job(from_scratch=True).initial is None


def test_a_repeated_transition_is_acknowledged_and_stored_once(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = Learner(make_settings(), tmp_path)
    for number in (0, 1, 1, 0, 2):
        ack = learner.add(make_transition(number))
        assert ack.stored
    assert ack.next_sequence == 3
    assert learner.dataset_size == 3
    assert len(read_folder(tmp_path / 'data')) == 3


def test_sessions_and_robots_count_their_own_sequences(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings())
    assert learner.add(make_transition(0)).next_sequence == 1
    assert learner.add(make_transition(0, session=5)).next_sequence == 1
    assert learner.add(make_transition(0, robot='other')).next_sequence == 1
    assert learner.dataset_size == 3


def test_a_repeated_transition_says_that_its_training_is_still_to_be_waited_for(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings())
    for number in range(20):
        ack = learner.add(make_transition(number))
    assert ack.training_due
    job = learner.job()
    assert learner.add(make_transition(19)).training_due
    learner.finish(job, TrainingOutcome(TrainingError.CANCELLED, ''))
    assert not learner.add(make_transition(19)).training_due


def test_a_malformed_transition_is_refused_and_not_waited_for(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = Learner(make_settings(), tmp_path)
    learner.add(make_transition(0))
    with pytest.raises(ValueError, match=r'state\[0\] is nan'):
        learner.add(make_transition(1, state=np.full(4, np.nan)))
    assert learner.add(make_transition(2)).next_sequence == 3
    assert learner.dataset_size == 2
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == [0, 2]


def test_a_full_disk_is_counted_and_the_transition_is_taken_when_it_comes_again(
    make_settings: Settings,
    make_transition: Make,
    tmp_path: Path,
    small_disk: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    learner = Learner(make_settings(), tmp_path)
    learner.add(make_transition(0))
    small_disk((tmp_path / 'data' / 'episode_00000.mcap').stat().st_size + 10)
    with caplog.at_level(logging.WARNING):
        for number in (1, 2, 1):
            ack = learner.add(make_transition(number))
            assert not ack.stored and ack.next_sequence == 1 and not ack.training_due
    assert learner.write_errors == 3 and learner.dataset_size == 1
    assert len(caplog.records) == 1 and 'File too large' in caplog.text
    small_disk(-1)
    assert learner.add(make_transition(1)).next_sequence == 2
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == [0, 1]


def test_what_a_full_disk_refuses_again_and_again_is_not_lost(
    make_settings: Settings,
    make_transition: Make,
    tmp_path: Path,
    small_disk: Callable[[int], None],
) -> None:
    learner = Learner(make_settings(), tmp_path)
    sent = [make_transition(sequence) for sequence in range(4)]
    learner.add(sent[0])
    bag = tmp_path / 'data' / 'episode_00000.mcap'
    small_disk(bag.stat().st_size + 10)
    assert not learner.add(sent[1]).stored
    small_disk(-1)  # there is room for some, and then none again
    assert learner.add(sent[2]).stored
    small_disk(bag.stat().st_size + 10)
    for _ in range(3):  # rounds of all that is not acknowledged
        assert not learner.add(sent[1]).stored
        assert learner.add(sent[2]).stored
        assert not learner.add(sent[3]).stored
    assert learner.transitions_lost == 0
    small_disk(-1)
    assert [learner.add(sent[number]).next_sequence for number in (1, 3)] == [3, 4]
    assert learner.dataset_size == 4


def test_without_memory_a_transition_is_neither_stored_nor_acknowledged(
    make_settings: Settings,
    make_transition: Make,
    tmp_path: Path,
    small_disk: Callable[[int], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    learner = Learner(make_settings(), tmp_path)
    small_disk(100_000)  # enough for a bag, and not for the table in memory
    assert not learner.add(make_transition(0)).stored
    assert learner.write_errors == 1 and 'transition 0 not stored: no memory' in caplog.text
    small_disk(-1)
    assert learner.add(make_transition(0)).next_sequence == 1
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == [0]


def test_a_new_start_takes_what_is_new_of_each_sender_and_nothing_twice(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    before = Learner(make_settings(), tmp_path)
    for number in range(30):
        before.add(make_transition(number))
        before.add(make_transition(number, robot='other', session=number // 10))
    before.wait_for_disk()
    copied = EpisodeBag(tmp_path / 'data', 77)  # as if a file had been copied into it
    for number in (29, 31, 31, 5, 32):
        copied.write(make_transition(number))
    after = Learner(make_settings(), tmp_path)
    assert after.dataset_size == 62
    assert after.next_sequence('/mpc_controller', make_transition(0).session) == 30
    assert after.add(make_transition(30)).next_sequence == 33
    assert [after.next_sequence('other', each) for each in range(4)] == [10, 0, 0, 0]
    for expected in (0, 20):  # the second time it is known that nothing below will come
        ack = after.add(make_transition(10, robot='other', session=1))
        assert ack.next_sequence == expected


def test_bags_from_elsewhere_need_no_reward(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    bag = EpisodeBag(tmp_path, 0)
    for number in range(20):
        bag.write(make_transition(number, reward=float('nan')))
    learner = Learner(make_settings(data__extra_bags=[str(bag.path)]))
    assert learner.dataset_size == 20
    with pytest.raises(ValueError, match='reward is nan'):
        learner.add(make_transition(20, reward=float('nan')))
    bag.write(make_transition(20, reward=float('inf')))
    with pytest.raises(FolderError, match=r'episode_00000\.mcap does not fit.*reward is inf'):
        Learner(make_settings(data__extra_bags=[str(bag.path)]))


def test_a_run_goes_on_where_it_was_even_from_a_crash(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    settings = make_settings(training__every_steps=8)
    alone = Learner(settings)
    before = Learner(settings, tmp_path)
    for number in range(25):
        for learner in (alone, before):
            if learner.add(make_transition(number)).training_due:
                learner.train()
    before.wait_for_disk()
    after = Learner(settings, tmp_path)  # the one before was never closed
    assert after.dataset_size == 25 and after.episodes == 2
    assert after.snapshot == before.snapshot is not None
    assert not after.training_due
    assert after.add(make_transition(24)).next_sequence == 25
    for number in range(25, 30):
        ours, theirs = (each.add(make_transition(number)) for each in (after, alone))
        assert ours == theirs
    assert_same_job(after.job(), alone.job())
    after.close()
    assert [t.sequence for t in read_folder(tmp_path / 'data')] == list(range(30))


def test_a_training_that_a_crash_took_is_due_again(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    before = Learner(make_settings(), tmp_path)
    for number in range(20):
        before.add(make_transition(number))
    expected = before.job()
    before.wait_for_disk()
    after = Learner(make_settings(), tmp_path)
    assert after.training_due
    assert_same_job(after.job(), expected)


def test_a_folder_in_use_is_not_begun_anew(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    Learner(make_settings(), tmp_path, resume=False).add(make_transition(0))
    with pytest.raises(FolderError, match='holds a run already'):
        Learner(make_settings(), tmp_path, resume=False)


def test_a_folder_of_another_task_is_refused(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = Learner(make_settings(), tmp_path)
    for number in range(20):
        learner.add(make_transition(number))
    learner.train()
    learner.wait_for_disk()
    other = {'task__state': ['a.position', 'b.position'], 'task__angles': []}
    settings = make_settings(**other)
    with pytest.raises(FolderError, match=r'does not fit the task.*state has shape \(4,\)'):
        Learner(settings, tmp_path)
    for bag in (tmp_path / 'data').iterdir():
        bag.unlink()
    with pytest.raises(FolderError, match='models of another task'):
        Learner(settings, tmp_path)


def test_a_bad_bag_and_a_bad_model_are_passed_over_and_counted(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = Learner(make_settings(), tmp_path)
    for number in range(40):
        if learner.add(make_transition(number)).training_due:
            learner.train()
    learner.wait_for_disk()
    bag = tmp_path / 'data' / 'episode_00000.mcap'
    bag.write_bytes(b'\x89MCAP0\r\n' + b'\xff' * 500 + b'\x89MCAP0\r\n')
    (tmp_path / 'models' / 'model_00002.safetensors').write_bytes(b'bad')
    after = Learner(make_settings(), tmp_path)
    assert after.dataset_size == 20
    assert (tmp_path / 'data' / 'episode_00000.mcap.damaged').exists()
    assert after.version == 1
    after.train()
    assert after.version == 3


def test_another_architecture_begins_with_new_weights(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    learner = Learner(make_settings(), tmp_path)
    for number in range(20):
        learner.add(make_transition(number))
    learner.train()
    learner.wait_for_disk()
    wider = Learner(make_settings(model__hidden=[24]), tmp_path)
    assert wider.version == 1
    assert wider.job().initial is None
    assert wider.train().error is TrainingError.NONE


def test_bags_recorded_elsewhere_are_learned_from_and_stay_as_they_are(
    make_settings: Settings, make_transition: Make, tmp_path: Path
) -> None:
    bag = EpisodeBag(tmp_path, 0)
    for number in range(20):
        bag.write(make_transition(number, robot='teleoperation'))
    content = bag.path.read_bytes()
    for extra in (str(tmp_path), str(bag.path)):
        learner = Learner(make_settings(data__extra_bags=[extra]), tmp_path / Path(extra).stem)
        assert learner.dataset_size == 20
        assert learner.training_due
        assert learner.add(make_transition(0)).next_sequence == 1
    assert bag.path.read_bytes() == content
    with pytest.raises(BagError, match='extra_bags'):
        Learner(make_settings(data__extra_bags=[str(tmp_path / 'missing.mcap')]))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(BagError, match='no transitions'):
        Learner(make_settings(data__extra_bags=[str(tmp_path / 'empty')]))


def test_gaps_that_were_never_filled_are_counted(
    make_settings: Settings, make_transition: Make
) -> None:
    learner = Learner(make_settings())
    for number in (3, 4, 3, 4):
        ack = learner.add(make_transition(number))
    assert ack.next_sequence == 0 and learner.transitions_lost == 0
    ack = learner.add(make_transition(3))  # it is the oldest that there is
    assert ack.next_sequence == 5
    assert learner.transitions_lost == 3
