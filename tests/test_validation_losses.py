"""The loss of validation: of every frame by itself, on the network's grid."""

import numpy as np
import pytest
import torch
from torch import distributed as dist

from datamodules.pipeline.transforms import resize_map
from lightning_modules.losses import SILogLoss
from lightning_modules.losses.reduction import masked_mean, sum_over_processes, this_process_alone
from lightning_modules.prediction import Prediction
from lightning_modules.training.validation_losses import mean_over_frames, on_input_grid


def batch(native=(8, 10), size=(8, 10), frames=3):
    rng = torch.Generator().manual_seed(0)
    shares = torch.tensor([0.2, 0.5, 0.9])[:frames, None, None, None]
    return {
        "image": torch.rand(frames, 3, *size, generator=rng),
        "depth": 1 + torch.rand(frames, 1, *native, generator=rng),
        "valid": torch.rand(frames, 1, *native, generator=rng) < shares,
        "semantics": torch.randint(0, 2**40, (frames, *native), generator=rng),
        "edges": (torch.rand(frames, 1, *native, generator=rng) < 0.05).float(),
        "intrinsics": torch.eye(3).expand(frames, 3, 3),
        "scene": ["a"] * frames,
    }  # fmt: skip


def silog(prediction, batch):
    return {"depth": SILogLoss()(prediction.depth, batch["depth"], batch["valid"])}


def test_it_is_the_mean_of_what_single_frames_cost():
    data = batch()
    prediction = Prediction(depth=1 + torch.rand(3, 1, 8, 10), segments=[torch.zeros(3, 8, 10)])
    mean = mean_over_frames(silog, prediction, data)["depth"]
    alone = [
        SILogLoss()(prediction.depth[i : i + 1], data["depth"][i : i + 1], data["valid"][i : i + 1]) for i in range(3)
    ]
    assert mean.item() == pytest.approx(np.mean([loss.item() for loss in alone]), rel=1e-6)
    whole = silog(prediction, data)["depth"]
    assert mean.item() != pytest.approx(whole.item(), rel=1e-3)  # a loss of the batch would depend on the batch


@pytest.mark.parametrize("size", [(4, 5), (16, 20), (5, 7)])
def test_truth_comes_to_the_images_grid_as_in_training(size):
    data = batch(size=size)
    made = on_input_grid(data)
    for key in ("depth", "valid", "semantics"):
        assert torch.equal(made[key], resize_map(data[key], size))
    assert torch.equal(made["intrinsics"], data["intrinsics"])
    assert made["scene"] == data["scene"]


def test_lines_stay_lines_where_they_shrink():
    data = batch(native=(12, 12), size=(4, 4))
    data["edges"].zero_()
    data["edges"][:, 0, :, 4] = 1  # one pixel wide, between the centres that remain
    made = on_input_grid(data)["edges"]
    assert torch.equal(made, torch.tensor([0.0, 1, 0, 0]).expand(3, 1, 4, 4))
    assert made.dtype == torch.float32


def test_nothing_is_copied_where_the_grids_are_one():
    data = batch()
    assert on_input_grid(data) is data


def test_no_other_process_is_waited_for(monkeypatch):
    """Processes validate different numbers of frames: a sum over all of them would wait forever."""
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_reduce", lambda values: values.mul_(2))
    with torch.no_grad():
        assert sum_over_processes(torch.ones(2)).tolist() == [2, 2]
        with this_process_alone():
            assert sum_over_processes(torch.ones(2)).tolist() == [1, 1]
        assert sum_over_processes(torch.ones(2)).tolist() == [2, 2]


def test_masked_mean():
    values = torch.tensor([1.0, 2, torch.nan, 4], requires_grad=True)
    mean = masked_mean(values, torch.tensor([1.0, 1, 0, 2]))
    mean.backward()
    assert mean.item() == pytest.approx(11 / 4)
    assert values.grad.tolist() == [0.25, 0.25, 0, 0.5]
    nothing = masked_mean(values, torch.zeros(4, dtype=torch.bool))
    assert nothing.item() == 0
