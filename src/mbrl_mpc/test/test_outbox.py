"""Nothing is forgotten before it is acknowledged."""

import numpy as np

from mbrl_dynamics.transition import Transition
from mbrl_mpc.outbox import Outbox


def transition(sequence: int) -> Transition:
    zero = np.zeros(1)
    return Transition(0, 1, 'r', 1, sequence, 0, sequence, zero, zero, zero, 0.0, False, False)


def test_acknowledged_transitions_are_forgotten_and_others_kept():
    outbox = Outbox()
    for sequence in range(5):
        outbox.put(transition(sequence), now=0.0)
    outbox.acknowledge(3)
    assert len(outbox) == 2
    outbox.acknowledge(2)  # an old acknowledgement takes nothing away
    assert len(outbox) == 2


def test_only_overdue_transitions_are_sent_again_oldest_first_and_not_at_every_call():
    outbox = Outbox()
    for sequence in range(5):
        outbox.put(transition(sequence), now=float(sequence))
    assert outbox.overdue(now=1.0, timeout=2.0) == []
    assert [t.sequence for t in outbox.overdue(2.0, 2.0, at_most=3)] == [0, 1, 2]
    assert outbox.overdue(3.0, 2.0) == []
    assert [t.sequence for t in outbox.overdue(4.5, 2.0)] == [0, 1, 2, 3, 4]


def test_beyond_its_capacity_the_oldest_are_given_up_and_counted():
    outbox = Outbox(capacity=3)
    for sequence in range(5):
        outbox.put(transition(sequence), now=0.0)
    assert (len(outbox), outbox.lost) == (3, 2)
    assert outbox.overdue(9.0, 1.0)[0].sequence == 2
