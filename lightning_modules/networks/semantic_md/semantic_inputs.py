"""Semantics as network input: the transformations T of Semantic-MD, section 3, equations 3 to 5.

A transformation turns a label map into channels that are put behind the image's three. All take the suite's ids, from
1, 0 for unlabelled pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_modules.backbones.timm_internals import InvertedResidual, SqueezeExcite

ContourMode = Literal["gradient", "opening"]
ClassOrder = Literal["overall", "counted", "semantic_md"]


class SemanticInput(nn.Module, ABC):
    """A label map as network input.

    Attributes:
        channels: number of channels that it adds to the input.
    """

    channels: int

    @abstractmethod
    def forward(self, labels: Tensor) -> Tensor:
        """Return channels (B, channels, H, W) float32 of labels (B, H, W) int64."""


def plain_ids(labels: Tensor) -> Tensor:
    """Return ids (B, 1, H, W) float32 of labels (B, H, W) as HyperSim's files have them: -1 for unlabelled pixels."""
    return labels.where(labels > 0, -1)[:, None].float()


class RawLabels(SemanticInput):
    """The label map itself: row `concat`, T(x) = x.

    Args:
        classes: the largest id.
        scaled: to [0, 1], unlabelled pixels 0, as in the authors' code; else the ids as they are, -1 for unlabelled
            pixels, as section 3 prints it.
    """

    channels = 1

    def __init__(self, classes: int = 40, scaled: bool = True):
        super().__init__()
        self.classes, self.scaled = classes, scaled

    def forward(self, labels: Tensor) -> Tensor:
        """Return (B, 1, H, W) float32 of labels (B, H, W)."""
        return labels[:, None].float() / self.classes if self.scaled else plain_ids(labels)


class OneHotClasses(SemanticInput):
    """A binary map per class, of the most frequent ones: rows `1hot-40`, `1hot-20` and `1hot-3`, equation 4.

    A pixel of another class, or of none, is zero in all of them. Which classes they are is counted over the data set
    and kept in the buffer ``ids``, so that a checkpoint means the same classes on any data.

    Args:
        classes: number of maps.
        order: by which classes are chosen: their frequency in the ``overall`` data set, as section 3 has it, or in the
            training part alone (``counted``), or the authors' hard-coded order for NYU40 (``semantic_md``).
        counted_frames: largest number of frames that are counted, evenly spread; None counts all.

    Raises:
        ValueError: if ``classes`` or ``counted_frames`` is not positive.
    """

    ids: Tensor

    def __init__(self, classes: int = 40, order: ClassOrder = "overall", counted_frames: int | None = 2000):
        super().__init__()
        if classes < 1:
            raise ValueError(f"OneHotClasses: `classes` must be positive, is {classes}")
        if counted_frames is not None and counted_frames < 1:
            raise ValueError(f"OneHotClasses: `counted_frames` must be positive or null, is {counted_frames}")
        self.channels = classes
        self.order, self.counted_frames = order, counted_frames
        self.register_buffer("ids", torch.full((classes,), -1))

    @property
    def is_chosen(self) -> bool:
        """Tell whether the classes of the maps have been chosen."""
        return bool((self.ids > 0).all())

    def choose(self, order: Sequence[int]) -> None:
        """Choose the classes of the maps: the first ids of an order.

        Args:
            order: ids of all classes of the data, the most frequent one first.

        Raises:
            ValueError: if there are fewer ids than channels.
        """
        if len(order) < self.channels:
            raise ValueError(
                f"`semantic_input` OneHotClasses: `classes` is {self.channels}, but the data have {len(order)} "
                f"classes; set it to {len(order)} or less"
            )
        self.ids.copy_(torch.tensor(order[: self.channels]))

    def forward(self, labels: Tensor) -> Tensor:
        """Return (B, classes, H, W) of labels (B, H, W), the most frequent class first.

        Raises:
            RuntimeError: if the classes were never chosen.
        """
        if not (torch.compiler.is_compiling() or self.is_chosen):
            raise RuntimeError("OneHotClasses: the classes are not chosen; train first, or load a checkpoint")
        return (labels[:, None] == self.ids[:, None, None]).float()


class SemanticConvolution(SemanticInput):
    """Channels that a small network learns to make of the ids: row `sem. conv.`, section 3, an MBConv block.

    The paper says no more than "an MBConv-block, expanding the output channels to 3"; the rest is as in the authors'
    code: a 3x3 convolution to ``width`` channels, the block, a 1x1 convolution to 3 channels, batch norm, sigmoid. It
    reads plain ids, -1 for unlabelled pixels.

    Args:
        width: channels of the block; None for the block alone, from the one channel of ids to 3, as it is printed.
        expansion: of the block; timm rounds its channels up to 8.
        drop_path: probability that training skips the block for an image; the block alone has no way around it.
    """

    channels = 3

    def __init__(self, width: int | None = 8, expansion: float = 6.0, drop_path: float = 0.2):
        super().__init__()
        self.stem: nn.Module = nn.Identity()
        if width is not None:
            self.stem = nn.Sequential(nn.Conv2d(1, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        inputs = width or 1
        # a quarter of the block's own channels are squeezed to, not of the expanded ones
        squeeze = partial(SqueezeExcite, rd_channels=max(1, inputs // 4))
        self.block: nn.Module = InvertedResidual(
            inputs,
            width or self.channels,
            exp_ratio=expansion,
            act_layer=nn.SiLU,
            se_layer=squeeze,  # type: ignore[arg-type]  # timm's own builder gives it a partial too
            drop_path_rate=drop_path,
        )
        self.head: nn.Module = nn.Identity()
        if width is not None:
            last = nn.Conv2d(width, self.channels, 1, bias=False)
            self.head = nn.Sequential(last, nn.BatchNorm2d(self.channels), nn.Sigmoid())

    def forward(self, labels: Tensor) -> Tensor:
        """Return (B, 3, H, W) of labels (B, H, W), in [0, 1] unless it is the block alone."""
        return self.head(self.block(self.stem(plain_ids(labels))))


class LabelContours(SemanticInput):
    """Borders of the label map: row `contour`, by erosion and dilation.

    Args:
        mode: ``gradient``, dilation minus erosion, 1 on both sides of a border, as the authors' code has it;
            ``opening`` is what equation 5 prints, D(E(x)), which gives ids, not borders.
        size: edge of the square structuring element.
        classes: the largest id.
        scaled: ids of an opening to [0, 1], unlabelled pixels 0; else as they are, -1 for unlabelled pixels.

    Raises:
        ValueError: if ``size`` is not odd and positive.
    """

    channels = 1

    def __init__(self, mode: ContourMode = "gradient", size: int = 3, classes: int = 40, scaled: bool = True):
        super().__init__()
        if size < 1 or size % 2 == 0:
            raise ValueError(f"LabelContours: `size` must be odd and positive, is {size}")
        self.mode, self.size = mode, size
        self.ids = RawLabels(classes, scaled)

    def forward(self, labels: Tensor) -> Tensor:
        """Return (B, 1, H, W) float32 of labels (B, H, W)."""
        ids = self.ids(labels)
        eroded = -self._dilate(-ids)
        if self.mode == "opening":
            return self._dilate(eroded)
        return (self._dilate(ids) != eroded).float()

    def _dilate(self, ids: Tensor) -> Tensor:
        return F.max_pool2d(ids, self.size, stride=1, padding=self.size // 2)
