"""From a frame to a sample: geometry on image, maps and camera alike, then colour, superpixels, normalisation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

from datamodules.frames import Frame
from datamodules.pipeline.sample_maps import DerivedMap
from datamodules.pipeline.superpixels import Superpixels
from datamodules.sample import Sample

Size = tuple[int, int]
RGB = tuple[float, float, float]

#: Maps of a frame that grow and shrink with its depth.
DEPTH_MAPS = ("depth", "region_support")


def resize(frame: Frame, height: int, width: int, *, nearest: bool = False) -> Frame:
    """Return a frame resized: the image antialiased (or by ``nearest`` pixel), maps by nearest pixel, camera scaled.

    Sparse depth keeps its points, see :func:`resize_points`.
    """
    if frame.size == (height, width):
        return frame
    scale_y, scale_x = height / frame.size[0], width / frame.size[1]
    # Pixel centres lie at integers, so (c + 1/2) scales, not c.
    scaling = torch.tensor([[scale_x, 0, (scale_x - 1) / 2], [0, scale_y, (scale_y - 1) / 2], [0, 0, 1]])
    size = (height, width)
    maps = {key: resize_map(map_, size) for key, map_ in frame.maps.items()}
    if frame.sparse:
        maps["depth"] = resize_points(frame.maps["depth"], size)
    return replace(
        frame,
        image=resize_map(frame.image, size) if nearest else resize_image(frame.image, size),
        maps=maps,
        intrinsics=scaling @ frame.intrinsics,
        pixel_map=scaling @ frame.pixel_map,
    )


def resize_image(image: Tensor, size: Size) -> Tensor:
    """Return an image (3, H, W) resized bilinearly to (height, width), antialiased where it shrinks."""
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    return F.resize(image, list(size), antialias=True)


def resize_map(map_: Tensor, size: Size) -> Tensor:
    """Return maps (..., H, W) of any dtype resized to (height, width), each pixel from the nearest pixel centre."""
    if tuple(map_.shape[-2:]) == tuple(size):
        return map_
    # As float64, which holds every int64 id that occurs, and with a channel, which `resize` asks for.
    channels = map_.double().reshape(-1, *map_.shape[-2:])
    resized = F.resize(channels, list(size), interpolation=v2.InterpolationMode.NEAREST_EXACT)
    return resized.reshape(*map_.shape[:-2], *size).to(map_.dtype)


def resize_points(depth: Tensor, size: Size) -> Tensor:
    """Return sparse depth (1, H, W) at another size (h, w): each measured pixel in the one pixel that it falls into.

    None is lost to pixels left out between, none becomes a patch, none is mixed with others. Of several that fall into
    one pixel the nearest to the camera stays, which hides the others.
    """
    (height, width), (rows, columns) = depth.shape[-2:], size
    _, y, x = depth.nonzero(as_tuple=True)
    row = ((y + 0.5) * (rows / height)).long().clamp_max(rows - 1)
    column = ((x + 0.5) * (columns / width)).long().clamp_max(columns - 1)
    nearest = depth.new_full((rows * columns,), torch.inf)
    nearest.scatter_reduce_(0, row * columns + column, depth[0, y, x], "amin")
    return nearest.where(nearest.isfinite(), 0.0).reshape(1, rows, columns)


def crop(frame: Frame, top: int, left: int, height: int, width: int) -> Frame:
    """Return the window of a frame whose upper left pixel is (top, left), its principal point shifted accordingly."""
    shift = torch.tensor([[1.0, 0.0, -left], [0.0, 1.0, -top], [0.0, 0.0, 1.0]])
    window = (top, left, height, width)
    return replace(
        frame,
        image=F.crop(frame.image, *window),
        maps={key: F.crop(map_, *window) for key, map_ in frame.maps.items()},
        intrinsics=shift @ frame.intrinsics,
        pixel_map=shift @ frame.pixel_map,
    )


def flip(frame: Frame) -> Frame:
    """Return a frame mirrored left to right: the mirrored scene (X to -X), seen by the mirrored camera."""
    mirror = torch.tensor([[-1.0, 0.0, frame.size[1] - 1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    return replace(
        frame,
        image=F.horizontal_flip(frame.image),
        maps={key: F.horizontal_flip(map_) for key, map_ in frame.maps.items()},
        intrinsics=mirror @ frame.intrinsics @ torch.diag(torch.tensor([-1.0, 1.0, 1.0])),
        pixel_map=mirror @ frame.pixel_map,
    )


def bring_nearer(frame: Frame, factor: float) -> Frame:
    """Return a frame with its depth and its focal length divided by a factor; every pixel stays where it is.

    Focal length over depth, the pixels per metre of a surface, is unchanged.
    """
    return replace(
        frame,
        maps={key: map_ / factor if key in DEPTH_MAPS else map_ for key, map_ in frame.maps.items()},
        intrinsics=frame.intrinsics @ torch.diag(torch.tensor([1.0, 1.0, factor])) / factor,
    )


@dataclass(frozen=True)
class Finish:
    """The last steps of every sample: superpixels of the network input itself, derived maps, normalisation.

    Attributes:
        mean: of RGB in [0, 1].
        std: of RGB in [0, 1].
        superpixels: how to make them; None for samples without.
        derived: maps made of the finished ones.
        whole_size: height and width at which superpixels of whole frames were made; None for each frame's own.
    """

    mean: RGB
    std: RGB
    superpixels: Superpixels | None = None
    derived: Sequence[DerivedMap] = ()
    whole_size: Size | None = None

    def __call__(self, frame: Frame, image: Tensor, whole: Frame) -> Sample:
        """Return the sample of a view of a frame.

        Args:
            frame: the view.
            image: (3, h, w) uint8 RGB, the network input.
            whole: the whole frame, at the size of the superpixels that the view may bring along.
        """
        maps = {**frame.maps, "valid": frame.maps["depth"] > 0}
        ids = maps.pop("superpixels", None)
        if self.superpixels is not None:
            maps["superpixels"] = self._superpixels(self.superpixels, frame, image, ids, whole)
        for derived in self.derived:
            source = frame.image if derived.needs == "image" else frame.maps[derived.needs]
            maps[derived.key] = derived.make(source)
        normalised = F.normalize(F.to_dtype(image, torch.float32, scale=True), list(self.mean), list(self.std))
        labels = {"scene": frame.scene, "frame": frame.frame, "index": frame.index}
        return cast(Sample, {"image": normalised, **maps, **frame.facts, "intrinsics": frame.intrinsics, **labels})

    def _superpixels(
        self, algorithm: Superpixels, frame: Frame, image: Tensor, ids: Tensor | None, whole: Frame
    ) -> Tensor:
        """Return those of the whole frame where the view has them in its own pixels, else make them of the image."""
        shown = tuple(image.shape[-2:])
        height, width = self.whole_size or whole.size
        made_at = height, width  # a list, where a YAML says it
        if ids is not None and shown == frame.size and whole.size == made_at:
            return algorithm.of_view(ids, frame.pixel_map @ whole.pixel_map.inverse(), whole.size)
        if ids is not None and shown == made_at and frame.size == whole.size:  # in evaluation maps keep their grid
            return resize_map(ids, made_at)
        return torch.from_numpy(algorithm(image.permute(1, 2, 0).numpy()))


@dataclass(frozen=True)
class TrainTransform:
    """Resize, random crop, random flip, colour jitter (SHED section 4.1: 384x384 crops of 640x480 frames).

    Randomness comes from torch's CPU generator.

    Attributes:
        finish: the last steps.
        crop: height and width of the crop.
        resize: height and width of the frame before the crop; None leaves it.
        hflip: probability of a flip.
        color_jitter: of the RGB image; None for none.
        window: top, left, bottom and right edge of the area that crops are drawn from; None for the whole frame.
        nearer: depth is divided by it, see :func:`bring_nearer`.
    """

    finish: Finish
    crop: Size
    resize: Size | None = None
    hflip: float = 0.5
    color_jitter: v2.ColorJitter | None = None
    window: tuple[int, int, int, int] | None = None
    nearer: float = 1.0

    def __call__(self, frame: Frame) -> Sample:
        """Return a random view of a frame; all maps have the image's height and width.

        Raises:
            ValueError: if the frame is smaller than the crop, which among frames of several sizes some may be.
        """
        whole = frame
        if self.resize is not None:
            frame = resize(frame, *self.resize)
            whole = whole if self.finish.whole_size is None else frame
        top, left, bottom, right = self.window or (0, 0, *frame.size)
        if bottom - top < self.crop[0] or right - left < self.crop[1]:
            raise ValueError(
                f"{frame.scene}, frame {frame.frame}: is {frame.size[0]}x{frame.size[1]} pixels, smaller than the "
                f"training crop of {self.crop[0]}x{self.crop[1]}; set a smaller `data.init_args.crop`, or `resize`"
            )
        top += int(torch.randint(bottom - top - self.crop[0] + 1, ()))
        left += int(torch.randint(right - left - self.crop[1] + 1, ()))
        frame = crop(frame, top, left, *self.crop)
        if self.nearer != 1:
            frame = bring_nearer(frame, self.nearer)
        if torch.rand(()) < self.hflip:
            frame = flip(frame)
        image = frame.image if self.color_jitter is None else self.color_jitter(frame.image)
        return self.finish(frame, image, whole)


@dataclass(frozen=True)
class EvalTransform:
    """The whole frame, resized for the network; the truth and its camera keep their native grid.

    Attributes:
        finish: the last steps.
        size: height and width of the network input; None leaves the native size.
        corruption: of the frame, first; None for none.
    """

    finish: Finish
    size: Size | None = None
    corruption: Callable[[Frame], Frame] | None = None

    def __call__(self, frame: Frame) -> Sample:
        """Return the sample that is evaluated: the image at ``size``, maps and camera at the frame's own size."""
        if self.corruption is not None:
            frame = self.corruption(frame)
        image = frame.image if self.size is None else resize_image(frame.image, self.size)
        return self.finish(frame, image, frame)
