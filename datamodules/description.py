"""What a run's record says of its data."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datamodules.base import DepthDataModule


def describe_data(data: "DepthDataModule") -> dict[str, Any]:
    """Return what a data set reads and how, its further test sets and variants included, as plain JSON.

    Args:
        data: the data set, set up where its variants are to be told.
    """
    parts = {"train": data.splits.train, "val": data.splits.val, "test": data.splits.test}
    return {
        "name": data.name,
        "frames": {part: len(indices) for part, indices in parts.items()},
        "scenes": {part: len({data.reader.scenes[i] for i in indices}) for part, indices in parts.items()},
        "root": str(data.folder),
        "store": data.store,
        "options": data.all_options,
        "depth_range": [data.min_depth, data.max_depth],
        "remarks": list(data.remarks),
        "synthetic": data.name.startswith("rooms"),
        "frame_size": list(data.frame_size),
        "provides": sorted(data.provides),
        "normalization": [list(values) for values in data.normalization],
        "input_size": list(data.input_size),
        "extra_tests": [further.describe() for further in data.extra_tests],
        "variants": [shown.describe_variant() for shown in data.variant_sets],
    }
