"""The contract between data and methods: what one sample, and one batch, holds."""

from collections.abc import Sequence
from typing import Any, Required, TypedDict

import torch
from torch import Tensor
from torch.utils.data import default_collate


class Sample(TypedDict, total=False):
    """One frame, or (the same keys, stacked) one batch of frames.

    Only ``image``, ``depth``, ``valid``, ``intrinsics``, ``scene``, ``frame`` and ``index`` are always there. A data
    module names the others it ``provides``, a method names those it ``requires``, and a mismatch is an error at setup.

    In training all maps share the image's grid. In evaluation the truth (``depth``, ``valid``, ``semantics``,
    ``instances``, ``occlusion``, ``intrinsics``) keeps its native grid, which may differ from the network input's
    (``image``, ``superpixels``): the evaluation protocol resizes predictions, never the truth.

    Attributes:
        image: (3, H, W) float32 RGB, normalised with the backbone's mean and standard deviation.
        depth: (1, H, W) float32 planar z in metres; 0 where invalid.
        valid: (1, H, W) bool, true where depth is measured, finite and inside the data set's range.
        semantics: (H, W) int64 NYU40 ids 1..40 (or as the data set's ``classes`` says); 0 = none.
        instances: (H, W) int64, one id per physical object; 0 = none.
        edges: (1, H, W) float32 edges in {0, 1} as a target.
        occlusion: (1, H, W) bool occlusion boundary ground truth.
        superpixels: (H, W) int64 in 0..n-1, n fixed by the image size; an id may be empty.
        region_support: (1, H, W) float32 Region Support target, metres.
        regions: (H, W) int64 regions of stable depth, 0 = none.
        planes: (H, W) int64 planar faces, 0 = none.
        plane_parameters: (32, 4) float32 a, b, c, d of each plane a X + b Y + c Z + d = 0; NaN where unknown.
        plane_kinds: (32,) int64, 1 wall, 2 table, 3 floor, 0 none.
        intrinsics: (3, 3) float32 camera matrix of the ``depth`` grid, pixels, pixel centres at integers.
        scene: name of the scene.
        frame: number of the frame in its scene.
        index: number of the frame in its data set, 0-based.
        skipped: bad frames that were passed over to find this one (``on_bad_sample: skip``).
    """

    image: Required[Tensor]
    depth: Required[Tensor]
    valid: Required[Tensor]
    semantics: Tensor
    instances: Tensor
    edges: Tensor
    occlusion: Tensor
    superpixels: Tensor
    region_support: Tensor
    regions: Tensor
    planes: Tensor
    plane_parameters: Tensor
    plane_kinds: Tensor
    intrinsics: Required[Tensor]
    scene: Required[str | list[str]]
    frame: Required[int | Tensor]
    index: Required[int | Tensor]
    skipped: int | Tensor


def collate(samples: Sequence[Sample]) -> Sample:
    """Stack samples into a batch.

    Raises:
        ValueError: if two frames of the batch differ in size, naming both frames and the key.
    """
    first = samples[0]
    for other in samples[1:]:
        for key, value in first.items():
            shape = getattr(value, "shape", None)
            other_value: Any = other.get(key)
            if isinstance(value, torch.Tensor) and shape != other_value.shape:
                raise ValueError(
                    f"frames {first['index']} and {other['index']} cannot be stacked: "
                    f"`{key}` is {tuple(value.shape)} in one and {tuple(other_value.shape)} in the other; "
                    "set one size for all (`data.init_args.resize` and `crop` in training)"
                )
    return default_collate(list(samples))
