from __future__ import annotations

import numpy as np
import pytest

from mbrl_sim_bridge.imperfections import DelayLine, SensorNoise

PERIOD = 4_000_000  # [ns]


def delays(line: DelayLine[int], count: int = 5000, period: int = PERIOD) -> dict[int, float]:
    """What becomes of messages sent every period: number to delay [s]."""
    arrivals = {}
    for number in range(count):
        line.put(number * period, number)
        arrivals.update({item: due for due, item in line.take(number * period)})
    arrivals.update({item: due for due, item in line.take(2**62)})
    return {number: (due - number * period) * 1e-9 for number, due in arrivals.items()}


def test_nothing_is_changed_where_nothing_is_set():
    line: DelayLine[str] = DelayLine(0.0, 0.0, 0.0, seed=1)
    line.put(5, 'a')
    assert line.next_due_ns == 5
    assert line.take(4) == []
    assert line.take(5) == [(5, 'a')]
    assert line.next_due_ns is None
    values = tuple(np.array([0.1, -7.3]) for _ in range(3))
    for given, measured in zip(values, SensorNoise(0.0, 0.0, 0.0, seed=1).measure(*values)):
        assert measured.tolist() == given.tolist()


def test_delay_is_latency_and_a_uniform_jitter():
    found = np.array(list(delays(DelayLine(0.010, 0.004, 0.0, seed=3)).values()))
    assert len(found) == 5000
    assert found.min() >= 0.010 and found.max() <= 0.014
    # A uniform distribution on 4 ms: mean 2 ms, deviation 4 / sqrt(12) ms; five standard errors.
    assert found.mean() == pytest.approx(0.012, abs=5 * 0.004 / np.sqrt(12 * 5000))
    assert np.quantile(found, [0.25, 0.75]) == pytest.approx([0.011, 0.013], abs=2e-4)


def test_no_message_overtakes_another_even_where_jitter_is_longer_than_the_period():
    line: DelayLine[int] = DelayLine(0.001, 0.050, 0.1, seed=4)
    order = []
    for number in range(2000):
        line.put(number * PERIOD, number)
        order += [item for _, item in line.take(number * PERIOD)]
    order += [item for _, item in line.take(2**62)]
    assert order == sorted(order)
    assert len(order) == 2000 - line.lost


def test_messages_held_up_are_those_that_the_one_before_holds_up():
    free = delays(DelayLine(0.0, 0.050, 0.0, seed=5), period=10**9)
    held = delays(DelayLine(0.0, 0.050, 0.0, seed=5))
    due = np.maximum.accumulate([number * PERIOD * 1e-9 + free[number] for number in free])
    expected = due - np.arange(len(due)) * PERIOD * 1e-9
    assert [held[number] for number in free] == pytest.approx(expected.tolist(), abs=1e-8)


def test_share_of_losses_is_as_said_and_leaves_the_delays_of_the_others():
    all_of_them = delays(DelayLine(0.01, 0.003, 0.0, seed=6))
    line: DelayLine[int] = DelayLine(0.01, 0.003, 0.2, seed=6)
    some = delays(line)
    assert line.lost == 5000 - len(some)
    assert line.lost / 5000 == pytest.approx(0.2, abs=5 * np.sqrt(0.2 * 0.8 / 5000))
    assert all(all_of_them[number] == delay for number, delay in some.items())
    gone = np.array([number not in some for number in range(5000)])
    # Independent of one another: two in a row are as rare as chance has it.
    assert (gone[1:] & gone[:-1]).mean() == pytest.approx(0.04, abs=0.015)


def test_all_or_nothing_is_lost_at_the_ends_of_the_range():
    assert len(delays(DelayLine(0.0, 0.0, 0.0, seed=7))) == 5000
    assert len(delays(DelayLine(0.0, 0.0, 1.0, seed=7))) == 0


def test_fate_of_a_message_is_its_seeds_and_number_whenever_it_comes():
    fast, slow, other = (
        delays(DelayLine(0.0, 0.01, 0.3, seed=seed), 200, period)
        for seed, period in ((8, 10**8), (8, 10**9), (9, 10**8))
    )
    assert fast == pytest.approx(slow)
    assert fast != other


def test_what_is_on_its_way_can_be_forgotten():
    line: DelayLine[int] = DelayLine(0.01, 0.0, 0.0, seed=0)
    line.put(0, 1)
    line.clear()
    assert line.next_due_ns is None
    line.put(5, 2)
    assert line.take(2**62) == [(10_000_005, 2)]
    assert line.lost == 0


def test_noise_has_its_deviations_and_no_correlation():
    noise = SensorNoise(0.01, 0.2, 3.0, seed=2)
    truth = (np.array([1.0, 2.0]), np.array([-1.0, 0.0]), np.array([50.0, 0.0]))
    samples = np.array([np.concatenate(noise.measure(*truth)) for _ in range(4000)])
    errors = samples - np.concatenate(truth)
    deviations = np.repeat([0.01, 0.2, 3.0], 2)
    assert errors.std(axis=0) == pytest.approx(deviations, rel=0.05)
    assert (np.abs(errors.mean(axis=0)) < 5 * deviations / np.sqrt(4000)).all()
    assert np.abs(np.corrcoef(errors.T) - np.eye(6)).max() < 0.08
    assert np.abs([np.corrcoef(e[1:], e[:-1])[0, 1] for e in errors.T]).max() < 0.08


def test_noise_of_one_quantity_leaves_that_of_the_others():
    truth = (np.zeros(2), np.zeros(2), np.zeros(2))
    one, two = SensorNoise(0.1, 0.0, 0.0, seed=1), SensorNoise(0.1, 5.0, 2.0, seed=1)
    for _ in range(5):
        assert one.measure(*truth)[0].tolist() == two.measure(*truth)[0].tolist()
