"""Steps that define a data set: applied to image and ground truth of every frame, in training and evaluation alike."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np
import torch

from datamodules.frames import Frame
from datamodules.pipeline.transforms import Size, crop, resize


class FrameStep(ABC):
    """A deterministic change of a frame; its `repr` holds every parameter, since caches are found by it.

    Attributes:
        changes_truth: whether size, camera or depth are others afterwards. Such steps say how one data set is prepared,
            and a configuration that takes another one leaves them out; others, of colours, are the method's.
    """

    changes_truth: ClassVar[bool] = False

    #: Keys of the maps that it adds.
    adds: frozenset[str] = frozenset()

    @abstractmethod
    def __call__(self, frame: Frame) -> Frame:
        """Return the changed frame."""

    def resized(self, size: Size) -> Size:
        """Return height and width of frames that were ``size``."""
        return size


@dataclass(frozen=True)
class ResizeFrame(FrameStep):
    """Resize image, truth and camera.

    Attributes:
        size: height and width.
        nearest: take the nearest pixel of the image too, as Semantic-MD does, instead of an antialiased mean.
    """

    size: Size
    nearest: bool = False
    changes_truth: ClassVar[bool] = True

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame at ``size``."""
        return resize(frame, *self.size, nearest=self.nearest)

    def resized(self, size: Size) -> Size:
        """Return this step's own ``size``, whatever the frames' size was."""
        return self.size


@dataclass(frozen=True)
class CenterCrop(FrameStep):
    """Keep the middle.

    Attributes:
        size: height and width.
    """

    size: Size
    changes_truth: ClassVar[bool] = True

    def __call__(self, frame: Frame) -> Frame:
        """Return the middle of the frame.

        Raises:
            ValueError: if the frame is smaller than ``size``.
        """
        height, width = frame.size
        if height < self.size[0] or width < self.size[1]:
            raise ValueError(
                f"`preprocess` CenterCrop: `size` {self.size} is larger than the frame, {frame.size}; resize before"
            )
        return crop(frame, (height - self.size[0]) // 2, (width - self.size[1]) // 2, *self.size)

    def resized(self, size: Size) -> Size:
        """Return this step's own ``size``, whatever the frames' size was."""
        return self.size


@dataclass(frozen=True)
class ClampDepth(FrameStep):
    """Bring depth beyond a limit to it, and keep it valid: Semantic-MD section 4.1, "clamped within 0-15 m".

    Attributes:
        max_depth: metres.
    """

    max_depth: float
    changes_truth: ClassVar[bool] = True

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame with larger depths set to ``max_depth``."""
        return replace(frame, maps={**frame.maps, "depth": frame.maps["depth"].clamp_max(self.max_depth)})


@dataclass(frozen=True)
class CLAHE(FrameStep):
    """Contrast limited adaptive histogram equalisation of lightness in Lab: guided MTI-Net section 3.

    Attributes:
        clip_limit: of OpenCV's CLAHE.
        tiles: rows and columns of histograms.
    """

    clip_limit: float = 2.0
    tiles: int = 8

    def __call__(self, frame: Frame) -> Frame:
        """Return the frame with its image equalised; depth is untouched."""
        lab = cv2.cvtColor(np.ascontiguousarray(frame.image.permute(1, 2, 0).numpy()), cv2.COLOR_RGB2LAB)
        lab[..., 0] = cv2.createCLAHE(self.clip_limit, (self.tiles, self.tiles)).apply(lab[..., 0])
        rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
        return replace(frame, image=torch.from_numpy(rgb).permute(2, 0, 1).contiguous())
