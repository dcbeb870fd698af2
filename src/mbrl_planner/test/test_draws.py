from __future__ import annotations

import pytest
import torch

from mbrl_planner.draws import normal, uniform


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@pytest.mark.parametrize('draw', [normal, uniform])
def test_a_problem_draws_the_same_in_company_and_alone(draw):
    together = draw((5, 2), generators(1, 2, 3), torch.float64)
    assert together.dtype == torch.float64
    for numbers, seed in zip(together, (1, 2, 3), strict=True):
        assert torch.equal(numbers, draw((5, 2), generators(seed), torch.float64)[0])
    assert not torch.equal(together[0], together[1])


def test_moments_and_ranges_are_as_asked():
    drawn = normal((200_000,), generators(0), torch.float32)
    assert float(drawn.mean()) == pytest.approx(0.0, abs=0.01)
    assert float(drawn.std()) == pytest.approx(1.0, abs=0.01)
    drawn = uniform((200_000,), generators(0), torch.float32, -1.0, 3.0)
    assert float(drawn.min()) == pytest.approx(-1.0, abs=1e-3)
    assert float(drawn.max()) == pytest.approx(3.0, abs=1e-3)
    assert float(drawn.mean()) == pytest.approx(1.0, abs=0.02)
