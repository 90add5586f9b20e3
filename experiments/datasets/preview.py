"""`segdepth data preview`: a contact sheet of a data set, to see that images, depth and labels are what they should."""

from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.segmentation import mark_boundaries

from callbacks.pictures.colors import id_color
from callbacks.pictures.lettering import put_heading
from datamodules import DepthDataModule, GridSuperpixels, SeedsSuperpixels, Superpixels
from datamodules.files import printable, written_atomically
from datamodules.frames import Frame
from datamodules.splits import spread
from experiments.config.compose import ConfigError

#: Width of a picture and height of what is written above a row of them, inches, and pixels an inch.
CELL_WIDTH, CAPTION_HEIGHT, DPI = 4.8, 0.65, 100

#: Grey of pixels without depth and without label.
NOTHING = (0.6, 0.6, 0.6)


def preview(
    module: DepthDataModule,
    frames: int = 6,
    output: Path = Path("preview.png"),
    part: Literal["train", "val", "test"] = "train",
) -> None:
    """Draw frames, evenly spread over a part, one a row.

    Args:
        module: the data set.
        frames: how many.
        output: PNG file to write.
        part: of the data set.

    Raises:
        ConfigError: if the part has no frames, or none are asked for.
    """
    positions = getattr(module.splits, part)
    if not len(positions) or frames < 1:
        have = ", ".join(f"{name} {len(indices)}" for name, indices in vars(module.splits).items())
        raise ConfigError(f"{module.name}: no frames to show: `--frames {frames}` of `--part {part}` ({have})")
    chosen = spread(positions, frames)
    sheet = draw_sheet(module, chosen)
    with written_atomically(output, "choose another `--output`, or make room") as file:
        sheet.savefig(file, format="png")
    print(f"{module.name}: {len(chosen)} of {len(positions):,} {part} frames in {printable(output)}")


def draw_sheet(module: DepthDataModule, positions: list[int]) -> Figure:
    """Return the sheet: a row a frame, image first, then every map that the frames have."""
    rows = [(frame := module.reader.read(position), drawable_maps(frame)) for position in positions]
    sizes = [frame.size for frame, _ in rows]
    row_height = CELL_WIDTH * max(height / width for height, width in sizes) + CAPTION_HEIGHT
    columns = 2 + len(rows[0][1])
    figure = Figure(figsize=(columns * CELL_WIDTH, len(rows) * row_height), dpi=DPI, layout="constrained")
    for strip, (frame, maps) in zip(figure.subfigures(len(rows), 1, squeeze=False).flat, rows, strict=True):
        put_heading(strip, caption(frame), x=0.005, ha="left", fontsize=11, fontweight="bold")
        cells = iter(strip.subplots(1, columns))
        image = frame.image.permute(1, 2, 0).numpy()
        draw(next(cells), "image", image)
        for key, values in maps.items():
            draw_map(next(cells), key, values)
        ids = (
            frame.maps["superpixels"].numpy()
            if "superpixels" in frame.maps
            else fitting_superpixels(module, *frame.size)(image)
        )
        draw(next(cells), f"{len(np.unique(ids))} superpixels", outlined(image, ids))
    return figure


def fitting_superpixels(module: DepthDataModule, height: int, width: int) -> Superpixels:
    """Return the configured superpixels, or else SEEDS, or else a grid: the first that fits frames of this size."""
    for superpixels in filter(None, (module.superpixels, SeedsSuperpixels())):
        try:
            superpixels.check(height, width)
        except ValueError:
            continue
        return superpixels
    return GridSuperpixels()


def drawable_maps(frame: Frame) -> dict[str, NDArray]:
    """Return maps (H, W) of a frame that a picture can show, depth first; superpixels are drawn over the image."""
    maps = {key: np.atleast_2d(values.squeeze().numpy()) for key, values in frame.maps.items() if key != "superpixels"}
    return {key: values for key, values in maps.items() if values.shape == frame.size}


def caption(frame: Frame) -> str:
    """Return scene, numbers and range of depth."""
    depth = frame.maps["depth"]
    depth = depth[depth > 0]
    span = f"{float(depth.min()):.2f}..{float(depth.max()):.2f} m" if len(depth) else "none valid"
    return f"{frame.scene}, frame {frame.frame} (index {frame.index}), depth {span}"


def draw_map(axes: Axes, key: str, values: NDArray) -> None:
    """Draw metres with a colour bar, ids in distinct colours, or marks in white, as the dtype tells."""
    if np.issubdtype(values.dtype, np.floating):
        colors = matplotlib.colormaps["Spectral"].with_extremes(bad=NOTHING)  # near is warm, as in all pictures
        shown = axes.imshow(np.ma.masked_equal(values, 0), cmap=colors, interpolation="nearest")
        invalid = f", {100 * float((values == 0).mean()):.0f} % invalid (grey)" if (values == 0).any() else ""
        unit = " m" if key == "depth" else ""
        axes.figure.colorbar(shown, ax=axes, shrink=0.85, pad=0.01, format=f"%.2f{unit}")
        draw_frame(axes, f"{key}{invalid}")
    elif values.dtype == bool:
        draw(axes, f"{key}, {100 * values.mean():.1f} % of pixels", values[..., None] * np.ones(3))
    else:
        draw(axes, f"{key}, {len(np.unique(values[values > 0]))} ids", id_colors(values))


def id_colors(ids: NDArray) -> NDArray[np.float64]:
    """Return colours (H, W, 3) of ids (H, W): an id has the same colour in every frame, 0 is grey."""
    known, positions = np.unique(ids, return_inverse=True)
    return np.array([NOTHING if id_ == 0 else id_color(int(id_)) for id_ in known])[positions.reshape(ids.shape)]


def draw(axes: Axes, title: str, picture: NDArray) -> None:
    """Draw a picture (H, W, 3)."""
    axes.imshow(picture, interpolation="nearest" if max(picture.shape) <= CELL_WIDTH * DPI else None)
    draw_frame(axes, title)


def outlined(image: NDArray, ids: NDArray) -> NDArray:
    """Return an image with thin yellow borders between ids, enlarged first if it is small."""
    factor = max(1, round(CELL_WIDTH * DPI / image.shape[1]))
    large_image, large_ids = (values.repeat(factor, axis=0).repeat(factor, axis=1) for values in (image, ids))
    return mark_boundaries(large_image, large_ids, color=(1, 1, 0), mode="inner")


def draw_frame(axes: Axes, title: str) -> None:
    """Draw a title, and no ticks."""
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()
