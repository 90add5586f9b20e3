"""What an image goes through before a network sees it: the same as the test frames of the run."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datamodules import DepthDataModule
from datamodules.frames import Frame
from datamodules.pipeline.preprocess import CenterCrop, FrameStep, ResizeFrame
from datamodules.pipeline.transforms import RGB, Finish, resize_image, resize_map
from experiments.config.error import ConfigError
from lightning_modules import DepthModule

Size = tuple[int, int]

#: How much an image may be stretched to sides that a network takes.
MOST_STRETCHED = 1.3


@dataclass(frozen=True)
class InputView:
    """From an image of any size to what the network reads.

    Where the run squeezes its test frames to one size (``eval_size``), so is every image. Else an image keeps its own
    aspect ratio and has about as many pixels as a test frame, each side rounded to what the network can take.

    Attributes:
        size: height and width at which the network saw the run's test frames, before a ``CenterCrop``: of an image of
            one's own nothing is cut off.
        squeezed: whether all images are brought to that very size.
        multiple: pixels, of which each side is a multiple.
        nearest: resize by the nearest pixel, as the run's ``ResizeFrame`` does.
        before: steps that change colours, before the image is resized.
        after: steps that change colours, after it.
        finish: superpixels and normalisation.
    """

    size: Size
    squeezed: bool
    multiple: int
    nearest: bool
    before: tuple[FrameStep, ...]
    after: tuple[FrameStep, ...]
    finish: Finish

    @classmethod
    def of_run(
        cls, method: DepthModule, data: DepthDataModule, record: Mapping[str, Any], chosen: Size | None = None
    ) -> "InputView":
        """Return the view that a run's configuration describes; no file of the data set is opened.

        Args:
            method: the run's, for normalisation and the sizes it takes.
            data: the run's data as configured.
            record: content of its ``environment.json``, for runs that leave frames at their native size.
            chosen: height and width that all images are brought to instead.

        Raises:
            ConfigError: if the run does not say at what size its network works.
        """
        steps = list(data.preprocess)
        resizings = [place for place, step in enumerate(steps) if isinstance(step, ResizeFrame)]
        last: Any = steps[resizings[-1]] if resizings else None
        first = resizings[0] if resizings else len(steps)
        colors = [(place, step) for place, step in enumerate(steps) if not isinstance(step, ResizeFrame | CenterCrop)]
        recorded = record.get("data", {}).get("input_size")
        size = chosen or data.eval_size or data.resize or (last.size if last else recorded)
        if not size:
            raise ConfigError(
                "the run's frames have their native size, which it has not recorded (`input_size` in environment.json);"
                " say at what size the network shall see images: `--size HEIGHT WIDTH`"
            )
        mean, std = method.normalization if data.mean is None or data.std is None else (data.mean, data.std)
        backbone = getattr(method.network, "backbone", None)
        multiples = (getattr(backbone, "input_multiple", 1), data.superpixels.size if data.superpixels else 1)
        return cls(
            size=(int(size[0]), int(size[1])),
            squeezed=(chosen or data.eval_size) is not None,
            multiple=math.lcm(*multiples),
            nearest=last is not None and data.eval_size is None and data.resize is None and last.nearest,
            before=tuple(step for place, step in colors if place < first),
            after=tuple(step for place, step in colors if place > first),
            finish=Finish(_rgb(mean), _rgb(std), data.superpixels),
        )

    def fit(self, size: Size) -> Size:
        """Return height and width at which the network sees an image.

        Args:
            size: height and width of the image.

        Raises:
            ValueError: for an image so narrow that it would be stretched out of shape.
        """
        if self.squeezed:
            return self.size
        zoom = math.sqrt(math.prod(self.size) / math.prod(size))
        exact = size[0] * zoom, size[1] * zoom
        if all(abs(side - own) < 1 for side, own in zip(exact, self.size, strict=True)):
            return self.size
        fitted = [max(1, round(side / self.multiple)) * self.multiple for side in exact]
        stretched = (fitted[0] / exact[0]) / (fitted[1] / exact[1])
        if max(stretched, 1 / stretched) > MOST_STRETCHED:
            raise ValueError(
                f"{size[0]}x{size[1]} pixels are too narrow: the network would see {fitted[0]}x{fitted[1]}, another "
                "shape; crop the image, or choose a larger `--size HEIGHT WIDTH`"
            )
        return fitted[0], fitted[1]

    def show(self, image: Tensor, size: Size) -> dict[str, Tensor]:
        """Return a batch of one image, as the method reads it.

        Args:
            image: (3, H, W) uint8 RGB.
            size: height and width at which the network sees it.

        Raises:
            ValueError: if superpixels cannot be made at that size.
        """
        for step in self.before:
            image = recolor(image, step)
        if tuple(image.shape[-2:]) != size:
            image = resize_map(image, size) if self.nearest else resize_image(image, size)
        for step in self.after:
            image = recolor(image, step)
        frame = frame_of(image)
        sample = self.finish(frame, image, frame)
        return {key: sample[key][None] for key in ("image", "superpixels") if key in sample}


def frame_of(image: Tensor) -> Frame:
    """Return a frame of an image (3, H, W) uint8 alone, about whose depth and camera nothing is known."""
    unknown = torch.zeros(1, *image.shape[-2:])
    return Frame(image=image, maps={"depth": unknown}, intrinsics=torch.eye(3), scene="", frame=0, index=0)


def recolor(image: Tensor, step: FrameStep) -> Tensor:
    """Return an image (3, H, W) uint8 after a step of the run's ``preprocess`` that leaves its size alone."""
    return step(frame_of(image)).image


def _rgb(values: Any) -> RGB:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
