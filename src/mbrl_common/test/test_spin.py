"""When the rest of a node is served beside its hot path, by a clock of the test's own."""

from __future__ import annotations

import pytest

from mbrl_common import node
from mbrl_common.node import REST_PERIOD, spin

PERIOD = 0.01  # s, of beats
WORK = 0.004  # s, that what is served beside takes


class Loop:
    """Both a hot path that has a beat each 10 ms, and a message 2 ms before it, and the executor
    beside it; each moves the clock."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        rests: bool,
        early: float = 0.0,
        work: float = WORK,
    ) -> None:
        self.now, self.context, self.work = 0.0, self, work
        self._says_rest, self._early = rests, early
        self._step, self._rests = 0, False
        self.lateness: list[float] = []
        self.served: list[float] = []
        monkeypatch.setattr(node.time, 'monotonic', lambda: self.now)

    def ok(self) -> bool:
        return self._step < 400

    def spin_once(self, timeout: float = 0.0, *, timeout_sec: float | None = None) -> None:
        if timeout_sec is not None:  # the executor's
            self.served.append(self.now)
            self.now += self.work
            return
        beat, is_beat = self._step // 2 + 1, self._step % 2
        self._step += 1
        due = beat * PERIOD - (0.0 if is_beat else 0.002)
        due -= self._early * (beat % 2)
        self.now = max(self.now, due)
        if is_beat:
            self.lateness.append(self.now - due)
            self._rests = self._says_rest

    def take_rest(self) -> bool:
        rests, self._rests = self._rests, False
        return rests


@pytest.mark.parametrize('early', [0.0, 0.001])  # no clock is that even
def test_what_takes_a_while_begins_right_after_a_beat_and_delays_none(
    early: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(monkeypatch, rests=True, early=early)
    spin(loop, loop, lambda: True)  # type: ignore[arg-type]
    assert max(loop.lateness) == 0.0
    since = [now % PERIOD for now in loop.served[1:]]
    assert all(min(each, PERIOD - each) < 0.0011 for each in since)
    assert len(loop.served) > 0.9 * loop.now / REST_PERIOD  # and none is forgone


def test_a_loop_that_never_rests_keeps_nothing_waiting_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop(monkeypatch, rests=False)
    spin(loop, loop, lambda: True)  # type: ignore[arg-type]
    gaps = [after - before for before, after in zip(loop.served, loop.served[1:])]
    assert max(gaps) < 3 * REST_PERIOD


def test_after_what_takes_long_the_loop_has_its_messages_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop(monkeypatch, rests=True, work=2 * REST_PERIOD)
    spin(loop, loop, lambda: True)  # type: ignore[arg-type]
    assert len(loop.served) > 10
    pauses = [after - before - loop.work for before, after in zip(loop.served, loop.served[1:])]
    assert min(pauses) > REST_PERIOD / 2 - 1e-9
