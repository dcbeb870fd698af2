"""Duplicates, gaps and acknowledgement."""

from __future__ import annotations

import pickle
import random

import numpy as np

from mbrl_dynamics.sequences import Sequences


def test_numbers_in_order_are_acknowledged_one_by_one() -> None:
    sequences = Sequences()
    for number in range(5):
        assert number not in sequences
        sequences.add(number)
        assert sequences.next == number + 1
    assert 4 in sequences and 5 not in sequences
    assert sequences.lost == 0


def test_a_gap_holds_up_acknowledgement_until_it_is_filled() -> None:
    sequences = Sequences()
    for number in (0, 2, 3):
        sequences.add(number)
    assert sequences.next == 1
    sequences.add(1)
    assert sequences.next == 4
    assert sequences.lost == 0


def test_what_the_sender_does_not_have_any_more_is_lost_and_holds_up_nothing() -> None:
    sequences = Sequences()
    for number in (10, 11, 13):
        sequences.add(number)
    for number in (10, 11, 13):  # it sends again, and 10 is its oldest
        sequences.repeated(number)
    assert (sequences.next, sequences.lost) == (0, 0), 'more may have been sent, and not arrived'
    sequences.repeated(10)
    assert sequences.lost == 10
    assert sequences.next == 12
    sequences.add(12)
    assert sequences.next == 14
    assert sequences.lost == 10


def test_a_round_whose_beginning_did_not_arrive_gives_nothing_up() -> None:
    sequences = Sequences()
    for number in (5, 6, 7):  # what came before was sent while no one listened
        sequences.add(number)
    for number in (6, 7):  # nor did the beginning of the first round arrive
        sequences.repeated(number)
    for number in range(5):
        assert number not in sequences
        sequences.add(number)
    assert (sequences.next, sequences.lost) == (8, 0)


def test_a_round_in_which_the_missing_ones_come_and_are_refused_gives_nothing_up() -> None:
    sequences = Sequences()
    sequences.add(2)
    for _ in range(3):
        for number in (0, 1):
            sequences.refused(number)
        sequences.repeated(2)
    assert (sequences.next, sequences.lost) == (0, 0)
    for number in (3, 3):  # that newer ones are refused says nothing of what is missing
        sequences.repeated(2)
        sequences.refused(number)
    assert (sequences.next, sequences.lost) == (3, 2)


def test_any_order_of_arrival_ends_the_same() -> None:
    for seed in range(20):
        order = list(range(50))
        random.Random(seed).shuffle(order)
        sequences = Sequences()
        for number in order:
            sequences.add(number)
        assert sequences.next == 50
        assert sequences.lost == 0


def test_a_repeated_number_that_was_acknowledged_changes_nothing() -> None:
    sequences = Sequences()
    sequences.add(0)
    sequences.add(1)
    sequences.repeated(0)
    assert (sequences.next, sequences.lost) == (2, 0)


class Plain:
    """The same, as slow and as plain as it can be."""

    def __init__(self) -> None:
        self.next = 0
        self.lost = 0
        self.stored: set[int] = set()
        self.rounds: list[int] = []  # what came again while next stayed

    def add(self, sequence: int) -> bool:
        new = sequence >= self.next and sequence not in self.stored
        self.stored.add(sequence)
        self._advance()
        return new

    def repeated(self, sequence: int) -> None:
        if sequence < self.next:
            return
        if sequence not in self.rounds or sequence > min(self.rounds):
            self.rounds.append(sequence)
            return
        while self.next < sequence:
            self.lost += self.next not in self.stored
            self.next += 1
        self._advance()

    def _advance(self) -> None:
        while self.next in self.stored:
            self.next += 1
            self.rounds = []


def test_many_at_once_one_by_one_and_repeated_agree_with_a_plain_set() -> None:
    for seed in range(200):
        generator = random.Random(seed)
        ours, plain = Sequences(), Plain()
        for _ in range(30):
            action = generator.randrange(4)
            if action == 0:
                number = generator.randrange(60)
                assert (number in ours) != plain.add(number)
                ours.add(number)
            elif action == 1:
                number = generator.randrange(60)
                if number in ours:
                    ours.repeated(number)
                    plain.repeated(number)
            elif action == 2:
                begin = generator.randrange(60)
                numbers = list(range(begin, begin + generator.randrange(12)))
                new = ours.add_all(np.array(numbers, dtype=np.int64))
                assert new.tolist() == [plain.add(number) for number in numbers]
            else:
                numbers = [generator.randrange(60) for _ in range(generator.randrange(12))]
                new = ours.add_all(np.array(numbers, dtype=np.int64))
                assert new.tolist() == [plain.add(number) for number in numbers]
            assert (ours.next, ours.lost) == (plain.next, plain.lost)
            for number in range(80):
                assert (number in ours) == (number < plain.next or number in plain.stored)


def test_numbers_that_begin_late_take_no_memory_each() -> None:
    sequences = Sequences()
    assert sequences.add_all(np.arange(2**62, 2**62 + 1_000_000)).all()
    assert len(pickle.dumps(sequences)) < 300
    assert 2**62 + 999_999 in sequences and 2**62 + 1_000_000 not in sequences
    assert sequences.next == 0
    for _ in range(2):
        sequences.repeated(2**62)
    assert (sequences.next, sequences.lost) == (2**62 + 1_000_000, 2**62)
