"""What a trained method makes of one image."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.inference.cameras import Camera


@dataclass(frozen=True)
class DepthPrediction:
    """Depth, segments and classes of one image, all at the image's own size (H, W).

    Attributes:
        image: (H, W, 3) uint8 RGB, the right way up.
        depth: (H, W) float32 metres, NaN where the method predicts none; None of a method that segments only.
        segments: (H, W) int64 label maps, fine to coarse; level 0 are the superpixels. Empty for other methods.
        classes: (H, W) int64 ids from 1, the likeliest class of every pixel; None for other methods.
        class_names: name of each class, id ``i`` at ``i - 1``; empty where there are no ``classes``.
        edges: (H, W) float32 probability of an edge; None for other methods.
        camera: that the image was taken with, as far as it is known, see ``camera.source``.
        factor: what the network's depth was multiplied with, see :class:`~.cameras.TrainingCamera`.
        scale_note: what holds for the metres, in one sentence.
        radial: whether depth is the distance to the optical centre instead of planar z.
        shown: height and width at which the network saw the image.
    """

    image: NDArray[np.uint8]
    depth: NDArray[np.float32] | None
    segments: tuple[NDArray[np.int64], ...]
    classes: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    edges: NDArray[np.float32] | None
    camera: Camera
    factor: float
    scale_note: str
    radial: bool
    shown: tuple[int, int]
