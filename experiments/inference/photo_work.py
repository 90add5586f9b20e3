"""What is done with one photo: read and prepared, predicted, and written."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from experiments.inference.camera_choice import camera_of
from experiments.inference.measured_points import Point, fit_depth
from experiments.inference.photo_choices import Task
from experiments.inference.photo_files import write_photo
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
    """

    scale_note: str
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class PhotoWork:
    """The three steps of a photo, for :func:`~experiments.inference.pipeline.process`.

    Attributes:
        predictor: of the run.
        task: what the command line asks for.
        known: points by whose measured depth all depth is fitted; none for no fit.
    """

    predictor: Predictor
    task: Task
    known: list[Point]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Return what results depend on besides the photo, as plain JSON: results of other settings are not mixed."""
        task = self.task
        return {
            "weights": self.predictor.source,
            "size": task.view.size,
            "tiles": task.view.tiles,
            "camera": asdict(task.camera),
            "format": sorted(task.files.format),
            "cloud": task.files.cloud_points if task.files.cloud else 0,
            "pictures": task.files.pictures,
            "known": [*(task.measured.known or ()), task.measured.known_fit],
        }

    def prepare(self, place: Place) -> Ready:
        """Read a photo; raises as :func:`~experiments.inference.photo_reader.read_photo` does."""
        photo = read_photo(place.photo)
        try:
            camera = camera_of(self.task.camera, photo.camera, (photo.image.shape[-2], photo.image.shape[-1]))
            shown = self.predictor.show(photo.image, camera=camera, tiles=self.task.view.tiles)
        except ValueError as error:
            raise ValueError(f"{place.name}: {error}") from error
        return Ready(shown, photo.remarks)

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
            result = fit_depth(result, self.known, self.task.measured.known_fit)
        record = {"photo": place.source, "settings": self.settings, "remarks": ready.remarks}
        write_photo(place.folder, result, self.task.files, type(self.predictor.method).__name__, record)
        return Finished(result.scale_note, ready.remarks)
