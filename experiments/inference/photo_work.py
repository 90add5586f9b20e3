"""What is done with one photo: read and prepared, predicted, and written."""

from dataclasses import dataclass
from typing import Any

from experiments.inference.camera_choice import CameraChoice
from experiments.inference.depth_prediction import DepthPrediction
from experiments.inference.measured_points import Fit, Point, fit_depth
from experiments.inference.photo_files import FileChoice, write_photo
from experiments.inference.photo_places import Place
from experiments.inference.photo_reader import read_photo
from experiments.inference.predictor import Predictor, Shown
from lightning_modules.prediction import Prediction


@dataclass(frozen=True)
class Ready:
    """A photo that the network can read.

    Attributes:
        shown: as the network reads it.
        remarks: of how the file was read.
    """

    shown: Shown
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Finished:
    """What is said of a photo when all is done.

    Attributes:
        scale_note: what holds for its metres.
        remarks: of how the file was read.
        result: what was predicted; None where it is not needed any more.
    """

    scale_note: str
    remarks: tuple[str, ...]
    result: DepthPrediction | None


@dataclass(frozen=True)
class PhotoWork:
    """The three steps of a photo, for :func:`~experiments.inference.pipeline.process`.

    Attributes:
        predictor: of the run.
        tiles: along each side.
        camera: that photos were taken with.
        files: which files are written.
        known: points by whose measured depth all depth is fitted; none for no fit.
        known_fit: what is fitted.
        settings: run and options, for each photo's record.
        keep: whether predictions are needed afterwards.
    """

    predictor: Predictor
    tiles: int
    camera: CameraChoice
    files: FileChoice
    known: list[Point]
    known_fit: Fit
    settings: dict[str, Any]
    keep: bool

    def prepare(self, place: Place) -> Ready:
        """Read a photo; raises as :func:`~experiments.inference.photo_reader.read_photo` does."""
        photo = read_photo(place.photo)
        camera = self.camera.of(photo.camera, (photo.image.shape[-2], photo.image.shape[-1]))
        try:
            return Ready(self.predictor.show(photo.image, camera=camera, tiles=self.tiles), photo.remarks)
        except ValueError as error:
            raise ValueError(f"{place.name}: {error}") from error

    def forward(self, ready: Ready) -> list[Prediction]:
        """Return what the method predicts."""
        return self.predictor.forward(ready.shown)

    def finish(self, place: Place, ready: Ready, predictions: list[Prediction]) -> Finished:
        """Write a photo's files.

        Raises:
            ValueError: if measured points do not fit the photo.
            WriteError: if the files cannot be written.
        """
        result = self.predictor.restore(ready.shown, predictions)
        if self.known:
            result = fit_depth(result, self.known, self.known_fit)
        record = {"photo": place.source, "settings": self.settings, "remarks": ready.remarks}
        write_photo(place.folder, result, self.files, type(self.predictor.method).__name__, record)
        return Finished(result.scale_note, ready.remarks, result if self.keep else None)
