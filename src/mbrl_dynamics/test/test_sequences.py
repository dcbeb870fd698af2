"""Duplicates, gaps and acknowledgement."""

from __future__ import annotations

import random

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
    assert sequences.next == 0
    sequences.repeated(10)  # it sends again, and this is its oldest
    assert sequences.lost == 10
    assert sequences.next == 12
    sequences.add(12)
    assert sequences.next == 14
    assert sequences.lost == 10


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
