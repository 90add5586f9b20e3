"""What the docstring of :class:`datamodules.Sample` says of each key, as checks."""

from dataclasses import dataclass
from typing import Any

import torch

from datamodules import DepthDataModule, Sample


@dataclass(frozen=True)
class Key:
    """Shape before the grid, dtype, and the values that are allowed, of one key of a sample.

    Attributes:
        dtype: of the tensor.
        leading: sizes of the dimensions before height and width.
        lowest: smallest value; None for any.
        highest: largest value; None for any.
        is_input: whether it is on the network input's grid in evaluation too, instead of the truth's.
    """

    dtype: torch.dtype
    leading: tuple[int, ...] = ()
    lowest: float | None = 0
    highest: float | None = None
    is_input: bool = False


MAPS = {
    "image": Key(torch.float32, (3,), lowest=None, is_input=True),
    "superpixels": Key(torch.int64, is_input=True),
    "depth": Key(torch.float32, (1,)),
    "valid": Key(torch.bool, (1,)),
    "semantics": Key(torch.int64),
    "instances": Key(torch.int64),
    "edges": Key(torch.float32, (1,), highest=1),
    "occlusion": Key(torch.bool, (1,)),
    "region_support": Key(torch.float32, (1,)),
    "regions": Key(torch.int64),
    "planes": Key(torch.int64, highest=32),
}

#: Facts of a whole frame: shape and dtype.
FACTS = {
    "plane_parameters": ((32, 4), torch.float32),
    "plane_kinds": ((32,), torch.int64),
    "intrinsics": ((3, 3), torch.float32),
}

LABELS = {"scene": str, "frame": int, "index": int}


def check_sample(sample: Sample, data: DepthDataModule, *, training: bool) -> None:
    """Assert that a sample is what the contract says.

    Args:
        sample: of the data module.
        data: the data module.
        training: whether all maps share the image's grid.
    """
    assert sample.keys() == data.provides
    image_size = data.crop if training else data.input_size
    truth_size = image_size if training else data.reader.size
    for name, value in sample.items():
        if name in LABELS:
            assert type(value) is LABELS[name], name
        elif name in FACTS:
            assert (tuple(value.shape), value.dtype) == FACTS[name], name
        else:
            check_map(name, value, image_size if MAPS[name].is_input else truth_size)
    depth, valid = sample["depth"], sample["valid"]
    assert valid.any()
    assert torch.equal(depth > 0, valid)
    assert depth[valid].min() >= data.min_depth
    assert depth[valid].max() <= data.max_depth
    if "semantics" in sample:
        assert sample["semantics"].max() <= data.classes
    if "superpixels" in sample:
        assert sample["superpixels"].max() < data.superpixels.count(*image_size)
    assert (sample["intrinsics"] @ torch.tensor([0.0, 0.0, 1.0]))[2] > 0  # what lies ahead is seen


def check_map(name: str, map_: Any, size: tuple[int, int]) -> None:
    """Assert shape, dtype and range of a map."""
    key = MAPS[name]
    assert tuple(map_.shape) == (*key.leading, *size), name
    assert map_.dtype == key.dtype, name
    if key.dtype.is_floating_point:
        assert map_.isfinite().all(), name
    assert key.lowest is None or map_.min() >= key.lowest, name
    assert key.highest is None or map_.max() <= key.highest, name
