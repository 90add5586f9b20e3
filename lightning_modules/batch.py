"""What a method is given: a batch of frames, as data modules make it."""

from typing import Required, TypedDict

from torch import Tensor


class Batch(TypedDict, total=False):
    """B samples of a data module, stacked; the keys are those of :class:`datamodules.sample.Sample`, as a test checks.

    ``image``, ``depth``, ``valid``, ``intrinsics``, ``scene``, ``frame`` and ``index`` are always there. A method names
    what else it reads (``requires``, ``learns_from``), and a data module what else it provides; a mismatch is an error
    before training. In training all maps share the image's grid. In evaluation the truth keeps its native grid, which
    may differ from the grid of ``image`` and ``superpixels``: predictions are resized, never the truth.

    Attributes:
        image: (B, 3, H, W) float32 RGB, normalised with the method's mean and standard deviation.
        depth: (B, 1, H, W) float32 planar z in metres; 0 where invalid.
        valid: (B, 1, H, W) bool, true where depth is measured, finite and inside the data set's range.
        semantics: (B, H, W) int64 class ids from 1, as many as the data set's ``classes``; 0 = none.
        instances: (B, H, W) int64, one id per physical object; 0 = none.
        edges: (B, 1, H, W) float32 edges in {0, 1}, as a target.
        occlusion: (B, 1, H, W) bool, annotated occlusion boundaries.
        superpixels: (B, H, W) int64 in 0..n-1, n fixed by the image size; an id may be empty.
        region_support: (B, 1, H, W) float32, the target of Region Support Network, metres; 0 = none.
        regions: (B, H, W) int64 regions of stable depth; 0 = none.
        planes: (B, H, W) int64 planar faces; 0 = none.
        plane_parameters: (B, 32, 4) float32, a, b, c, d of each plane a X + b Y + c Z + d = 0; NaN where unknown.
        plane_kinds: (B, 32) int64; 1 wall, 2 table, 3 floor, 0 none.
        intrinsics: (B, 3, 3) float32 camera matrices of the ``depth`` grid, pixels, pixel centres at integers.
        scene: names of the scenes.
        frame: (B,) int64, number of each frame in its scene.
        index: (B,) int64, number of each frame in its data set, 0-based.
        skipped: (B,) int64, bad frames that were passed over to find each (``on_bad_sample: skip``).
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
    scene: Required[list[str]]
    frame: Required[Tensor]
    index: Required[Tensor]
    skipped: Tensor
