import math

import pytest
import torch

from lightning_modules.training.schedules import Schedule


def rates(schedule, steps, base=1.0):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    scheduler = schedule.build(optimizer, steps)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def test_constant():
    assert rates(Schedule(), 5) == [1.0] * 5


def test_poly_is_the_power_of_what_is_left():
    assert rates(Schedule("poly", power=0.9), 10) == pytest.approx([(1 - i / 10) ** 0.9 for i in range(10)])


def test_cosine_with_warmup():
    seen = rates(Schedule("cosine", warmup=0.2), 10)
    assert seen[0] == pytest.approx(1 / 3)
    assert seen[1] == pytest.approx(2 / 3)
    assert seen[2:] == pytest.approx([0.5 * (1 + math.cos(math.pi * i / 8)) for i in range(8)])


def test_warmup_is_a_share():
    with pytest.raises(ValueError, match="share of all steps"):
        Schedule(warmup=5).build(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), 10)
