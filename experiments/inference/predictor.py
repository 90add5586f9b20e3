"""A trained method, ready for images: `load` it from a run's folder, and it can `infer`."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from datamodules.pipeline.transforms import resize_map
from experiments.config.error import ConfigError
from experiments.inference.cameras import Camera, Size, TrainingCamera, of_angle
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.exif import exif_camera
from experiments.inference.input_view import InputView
from experiments.inference.released_model import ReleasedModel, is_released
from experiments.inference.rgb_images import rgb_tensors
from experiments.inference.run_choice import name_weights, open_trained
from experiments.inference.scale import Scale
from experiments.inference.tiles import Tile, blend, split
from lightning_modules import DepthModule
from lightning_modules.prediction import Prediction


@dataclass(frozen=True)
class Shown:
    """An image, ready for the network.

    Attributes:
        image: (3, H, W) uint8 RGB.
        size: height and width at which the network sees it.
        batch: what the method reads, of one image.
        tiles: windows that the network sees, too.
        tile_batches: what it reads of each.
        camera: of the image; None where nothing is known of it.
    """

    image: Tensor
    size: Size
    batch: dict[str, Tensor]
    tiles: list[Tile]
    tile_batches: list[dict[str, Tensor]]
    camera: Camera | None


class Predictor:
    """A trained method on images of any size. :func:`load` makes it of a run.

    :meth:`infer` is :meth:`show`, :meth:`forward` and :meth:`restore`, one after the other; programs that have many
    images run the first and the last in other threads.

    Args:
        method: with its weights.
        view: what images go through before the network sees them.
        scale: what is known of the metres that it predicts.
        class_names: name of each class that the data label.
        radial: whether it predicts the distance to the camera instead of z.
        device: torch's name of where to run it; ``auto`` takes a GPU if there is one.
        precision: as of Lightning's trainer, that of the run.
        source: names the weights, for records.

    Attributes:
        method: on its device, in evaluation mode.

    Raises:
        ConfigError: if the method reads ground truth, which images of one's own do not have, or there is no such
            device.
    """

    def __init__(
        self,
        method: DepthModule,
        view: InputView,
        *,
        scale: Scale | None = None,
        class_names: tuple[str, ...] = (),
        radial: bool = False,
        device: str = "auto",
        precision: str = "32-true",
        source: str = "",
    ):
        if method.oracle_in_use:
            raise ConfigError(
                f"{type(method).__name__} as configured reads true {method.oracle_in_use}, which a photo does not have;"
                " name a run of a method that reads the image alone"
            )
        self.device = choose_device(device)
        self.method = method.to(self.device).eval()
        self.view, self.scale = view, scale or Scale()
        self.class_names, self.radial, self.precision, self.source = class_names, radial, precision, source

    @property
    def training_camera(self) -> TrainingCamera | None:
        """Return the focal length that metres were learned with; None where the run recorded none."""
        return self.scale.training

    def infer(
        self, image: Any, *, camera: Camera | None = None, fov: float | None = None, tiles: int = 1
    ) -> DepthPrediction | list[DepthPrediction]:
        """Return depth, segments and classes of an image, at the image's own size.

        Args:
            image: see :func:`~experiments.inference.rgb_images.rgb_tensors`: NumPy (H, W, 3), Pillow, or a tensor
                (3, H, W) or (B, 3, H, W).
            camera: of the image; by its focal length depth is rescaled. None takes what a Pillow image's EXIF says.
            fov: degrees that the image shows across its width, in the place of a camera.
            tiles: cut a large image into this many tiles along each side.

        Returns:
            The prediction; of a tensor (B, 3, H, W) a list of them.

        Raises:
            TypeError: if it is no image.
            ValueError: if it is one that the network cannot take, or the angle makes no sense.
        """
        return infer_with(self, image, camera, fov, tiles)

    def show(self, image: Tensor, *, camera: Camera | None = None, tiles: int = 1) -> Shown:
        """Return an image (3, H, W) uint8 as the network reads it; raises as :meth:`infer` does."""
        native = (image.shape[-2], image.shape[-1])
        size = self.view.fit(native)
        windows = split(native, tiles)
        seen = [self.view.show(window.cut(image), size) for window in windows]
        return Shown(image, size, self.view.show(image, size), windows, seen, camera)

    @torch.inference_mode()
    def forward(self, shown: Shown) -> list[Prediction]:
        """Return what the method predicts for the image and each of its tiles, as it predicts it, on its device.

        Raises:
            ValueError: if the network cannot take images of that size, in one line.
        """
        return [self._predict(batch, shown.size) for batch in (shown.batch, *shown.tile_batches)]

    def _predict(self, batch: dict[str, Tensor], size: Size) -> Prediction:
        moved: Any = {key: value.to(self.device) for key, value in batch.items()}
        try:
            with autocast(self.device, self.precision):
                return cast(Prediction, self.method(moved))
        except (RuntimeError, ValueError, AssertionError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise ValueError(f"no memory is left at {size[0]}x{size[1]}; choose a smaller `--size`") from error
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{type(self.method).__name__} cannot take an image at {size[0]}x{size[1]} ({reason}); choose another "
                "`--size HEIGHT WIDTH`"
            ) from error

    @torch.inference_mode()
    def restore(self, shown: Shown, predictions: list[Prediction]) -> DepthPrediction:
        """Return predictions at the image's own size, as the run's evaluation resizes them, in metres of its camera."""
        whole, native = predictions[0], (shown.image.shape[-2], shown.image.shape[-1])
        depth = self._depth(whole, native)
        if depth is not None and shown.tiles:
            sizes = [(tile.height, tile.width) for tile in shown.tiles]
            parts = [self._depth(part, size) for part, size in zip(predictions[1:], sizes, strict=True)]
            depth = blend(depth, shown.tiles, cast(list[Tensor], parts))
        factor, note = self.scale.judge(shown.camera, native, shown.size)
        classes, edges = whole.semantics, whole.edges
        return DepthPrediction(
            image=shown.image.permute(1, 2, 0).numpy(),
            depth=None if depth is None else (depth[0] * factor).numpy(),
            segments=tuple(resize_map(level[0].cpu(), native).numpy() for level in whole.segments),
            classes=None if classes is None else self._classes(classes, native),
            class_names=self.class_names if classes is not None else (),
            edges=None if edges is None else _enlarged(edges.sigmoid(), native)[0].numpy(),
            camera=shown.camera or self.scale.assumed_camera(native, shown.size),
            factor=factor,
            scale_note=note if depth is not None else "",
            radial=self.radial,
            shown=shown.size,
        )

    def _depth(self, prediction: Prediction, size: Size) -> Tensor | None:
        """Return depth (1, H, W) float32 at a size, NaN where none is predicted."""
        if prediction.depth is None:
            return None
        depth = _enlarged(prediction.depth, size, align_corners=self.method.protocol.align_corners)
        covered = prediction.covered_at(size)
        known = depth.isfinite() if covered is None else depth.isfinite() & covered[0].cpu()
        return depth.where(known, torch.nan)

    def _classes(self, logits: Tensor, size: Size) -> np.ndarray[Any, np.dtype[np.int64]]:
        known = logits[:, : len(self.class_names) or None]  # a network may have more outputs than there are classes
        return resize_map(known.argmax(1)[0].cpu() + 1, size).numpy()


def infer_with(
    model: Any, image: Any, camera: Camera | None, fov: float | None, tiles: int
) -> DepthPrediction | list[DepthPrediction]:
    """Return what something with the three steps of a :class:`Predictor` makes of an image, as its ``infer`` says."""
    if camera is not None and fov is not None:
        raise ValueError("camera and fov: give one of them")
    pixels = rgb_tensors(image)
    if fov is not None:
        camera = of_angle(fov, (pixels[0].shape[-2], pixels[0].shape[-1]), "fov")
    elif camera is None and isinstance(image, Image.Image):
        camera = exif_camera(image)
    shown = [model.show(each, camera=camera, tiles=tiles) for each in pixels]
    results = [model.restore(each, model.forward(each)) for each in shown]
    return results if isinstance(image, Tensor) and image.ndim == 4 else results[0]


def load(
    run: str | Path | ReleasedModel,
    *,
    checkpoint: Literal["best", "last"] | None = None,
    runs_root: str | Path = "runs",
    size: Size | None = None,
    device: str = "auto",
) -> Predictor:
    """Return the trained method of a run; the data that it was trained on need not be there.

    Args:
        run: folder of a run, a checkpoint in one, or an experiment: its newest run under ``runs_root``; or a released
            model, or the folder of one.
        checkpoint: ``best`` or ``last`` of a run; None takes the one that the run itself was tested with, if there.
        runs_root: folder of all runs.
        size: height and width that the network sees all images at; None as it saw the run's test frames.
        device: torch's name of where to run it; ``auto`` takes a GPU if there is one.

    Raises:
        ConfigError: if there is no such run, its checkpoint is damaged or holds more than plain values, or it cannot
            be used on images, in one line.
    """
    if not isinstance(run, ReleasedModel) and is_released(Path(run).expanduser()):
        run = ReleasedModel.from_pretrained(Path(run).expanduser())
    if isinstance(run, ReleasedModel):
        method, data, record, source = run.model, run.data, run.record, run.record["source"]
        precision = run.configuration["precision"]
    else:
        trained, record = open_trained(str(run), Path(runs_root), checkpoint)
        method, data, precision, source = trained.module, trained.datamodule, trained.precision, name_weights(trained)
    return Predictor(
        method,
        InputView.of_run(method, data, record, size),
        scale=Scale(TrainingCamera.of_record(record), method.protocol.alignment),
        class_names=data.recorded_class_names((record.get("data") or {}).get("options") or {}),
        radial=data.radial,
        device=device,
        precision=precision,
        source=source,
    )


def choose_device(name: str) -> torch.device:
    """Return a device by torch's name; ``auto`` takes a GPU if there is one.

    Raises:
        ConfigError: if there is no such device.
    """
    if name == "auto":
        kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = next((kind for kind, there in kinds.items() if there), "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(f"--device: no device `{name}` here; name cpu, cuda, cuda:1 or mps, or auto") from error
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return the context in which a run of some precision predicts; on a CPU ``16-mixed`` is 32 bits."""
    if precision == "bf16-mixed":
        return torch.autocast(device.type, torch.bfloat16)
    if precision == "16-mixed" and device.type != "cpu":
        return torch.autocast(device.type, torch.float16)
    return nullcontext()


def _enlarged(map_: Tensor, size: Size, *, align_corners: bool = False) -> Tensor:
    """Return a map (1, 1, h, w) as (1, H, W) float32 on the CPU, interpolated bilinearly."""
    resized = F.interpolate(map_.float(), size, mode="bilinear", align_corners=align_corners)
    return resized[0].cpu()
