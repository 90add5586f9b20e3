"""The frames that a method finds most alike, on one sheet (SHED, Fig. 5)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, cast

import cv2
import numpy as np
from lightning.pytorch import LightningModule, Trainer
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from callbacks.lightning_internals import datamodule_of, loader_of
from callbacks.pictures.colors import Picture
from callbacks.pictures.picture_files import write_sheets
from callbacks.records.all_processes import gather_objects
from callbacks.records.frame_callback import FrameCallback, FrameOutput
from callbacks.records.optional_files import OptionalFiles
from lightning_modules.metrics import LayoutRetrieval
from lightning_modules.metrics.retrieval import Neighbours

#: Colours of the frames around pictures: the query, and neighbours by how near to it they were taken.
QUERY, SAME_VIEW, SAME_SCENE, OTHER = "black", "#009e73", "#56b4e9", "#d55e00"

#: Pixels: width of a picture, of the frame around it, of the gap to the next, height of a line of text; and of an inch.
PICTURE_WIDTH, BORDER, GAP, CAPTION, DPI = 210, 5, 6, 24, 100


@dataclass(frozen=True)
class SeenFrame:
    """A frame that was tested: its scene, its number there, and its number in the data set."""

    scene: str
    frame: int
    index: int


class RetrievalPicture(FrameCallback):
    """Write ``retrieval_<data set>.png``: test frames, and the frames whose descriptors are most similar to theirs.

    The queries are evenly spread over the frames that are not alone in their scene, the same for every method and every
    number of processes; the neighbours are those that ``scene_recall@K`` counts. A method without descriptors, or a
    test without retrieval, has no picture.

    Args:
        queries: rows of the sheet; 0 draws none.
        neighbours: frames shown for each.
    """

    def __init__(self, queries: int = 6, neighbours: int = 5):
        self.queries, self.neighbours = queries, neighbours
        self.files = OptionalFiles("sheets of retrieved frames")

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        self.tested: dict[str, list[SeenFrame]] = {data.name: [] for data in datamodule_of(trainer).test_sets()}

    def test_state(self) -> dict[str, Any]:
        """Return the frames so far, see :class:`~callbacks.checkpoints.test_progress.HasTestState`."""
        return {name: [astuple(frame) for frame in frames] for name, frames in self.tested.items()}

    def load_test_state(self, state: Mapping[str, Any]) -> None:
        """Take up the frames of a test that was stopped."""
        self.tested = {name: [SeenFrame(*frame) for frame in frames] for name, frames in state.items()}

    def on_frame(self, trainer: Trainer, frame: FrameOutput) -> None:
        """Note which frame was tested: the metric has descriptors in this order."""
        self.tested[frame.data.name].append(SeenFrame(frame.scene, frame.number, frame.index))

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Find the neighbours over all processes, and draw them on the first."""
        sheets: dict[str, Figure] = {}
        for number, (name, own) in enumerate(self.tested.items()):
            metrics = pl_module.evaluations[f"test/{name}"].metrics
            if not (self.queries and "retrieval" in metrics and metrics["retrieval"].update_called):
                continue
            dataset = loader_of(trainer.test_dataloaders, number).dataset
            sheet = self.sheet(name, metrics["retrieval"], own, dataset, draws=trainer.is_global_zero)
            sheets |= {} if sheet is None else {name: sheet}
        write_sheets(trainer, self.files, "retrieval", sheets)

    def sheet(
        self, name: str, metric: LayoutRetrieval, own: list[SeenFrame], dataset: Any, draws: bool
    ) -> Figure | None:
        """Draw the sheet of one test set; every process must call it.

        Args:
            name: of the test set.
            metric: the metric that has the descriptors of its frames.
            own: frames that this process tested, in the order in which the metric has them.
            dataset: the frames, to read them from.
            draws: whether this process draws.

        Returns:
            The sheet; None where this process does not draw, or no frame has a neighbour.
        """
        tested = [frame for part in gather_objects(own) for frame in part]
        queries = choose_queries(tested, self.queries)
        found = metric.neighbours(queries, self.neighbours)
        recalls = metric.compute()  # torchmetrics keeps them for the method, which asks again
        if not (draws and found.rows.numel()):
            return None
        near = zip(queries, found.rows.tolist(), strict=True)
        rows = [[tested[row] for row in (query, *others)] for query, others in near]
        title = f"{name}: {recall_caption(metric, recalls)}"
        return draw_retrieval(rows, read_pictures(dataset, rows), found, title, metric.frame_window)


def choose_queries(tested: Sequence[SeenFrame], count: int) -> list[int]:
    """Return the positions of the frames to find neighbours of, in the order of the data set.

    They are evenly spread over the frames that are not alone in their scene; where all are, over all.

    Args:
        tested: all frames that were tested.
        count: how many to choose.
    """
    scenes = Counter(frame.scene for frame in tested)
    rows = sorted(range(len(tested)), key=lambda row: tested[row].index)
    rows = [row for row in rows if scenes[tested[row].scene] > 1] or rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def recall_caption(metric: LayoutRetrieval, recalls: Mapping[str, Any]) -> str:
    """Return the recalls in words: ``recall@1/3/5 scene 0.60/0.70/0.79, frame-5 0.21/0.31/0.38``."""
    values = {
        setting: "/".join(f"{float(recalls[f'{setting}_recall@{k}']):.3f}" for k in metric.ks)
        for setting in ("scene", "frame")
    }
    ks = "/".join(map(str, metric.ks))
    return f"recall@{ks} scene {values['scene']}, frame-{metric.frame_window} {values['frame']}"


def read_pictures(dataset: Any, rows: Sequence[Sequence[SeenFrame]]) -> dict[int, Picture]:
    """Read the pictures of the frames in some rows, by their number in the data set.

    They are read a second time: which frames are shown is known only after the last one was tested.
    """
    positions = {dataset.reader.indices[position]: position for position in dataset.indices}
    pictures = {}
    for index in {frame.index for row in rows for frame in row}:
        image = dataset.reader.read(positions[index]).image.permute(1, 2, 0).numpy()
        size = (PICTURE_WIDTH, round(PICTURE_WIDTH * image.shape[0] / image.shape[1]))
        how = cv2.INTER_AREA if image.shape[1] > PICTURE_WIDTH else cv2.INTER_LINEAR
        pictures[index] = cast(Picture, cv2.resize(image, size, interpolation=how))
    return pictures


def draw_retrieval(
    rows: Sequence[Sequence[SeenFrame]], pictures: Mapping[int, Picture], found: Neighbours, title: str, window: int
) -> Figure:
    """Draw a row a query: the query, then its neighbours with their similarity, each in a frame of a telling colour.

    All pictures are one image of one axes: an axes for each takes seconds.

    Args:
        rows: each query, followed by its neighbours.
        pictures: of these frames, by number in the data set, all of one size.
        found: similarity of the neighbours, and whether they are of the query's scene and view.
        title: of the sheet.
        window: frames around the query that count as the same view.
    """
    height, width = (side + 2 * BORDER for side in next(iter(pictures.values())).shape[:2])
    step = np.array([height + CAPTION, width + GAP])
    canvas = np.full((CAPTION + len(rows) * step[0] + CAPTION, len(rows[0]) * step[1], 3), 255, dtype=np.uint8)
    figure = Figure(figsize=(canvas.shape[1] / DPI, canvas.shape[0] / DPI), dpi=DPI)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    for line, frames in enumerate(rows):
        same_scene, same_view = found.same_scene[line].tolist(), found.same_view[line].tolist()
        colors = [SAME_VIEW if v else SAME_SCENE if s else OTHER for s, v in zip(same_scene, same_view, strict=True)]
        similar = [f" ({similarity:.4f})" for similarity in found.similarity[line].tolist()]
        for place, (frame, color, note) in enumerate(zip(frames, [QUERY, *colors], ["", *similar], strict=True)):
            top, left = (line, place) * step + (2 * CAPTION, 0)
            cell = canvas[top : top + height, left : left + width]
            cell[:] = np.round(255 * np.array(to_rgb(color)))
            cell[BORDER:-BORDER, BORDER:-BORDER] = pictures[frame.index]
            text = f"{frame.scene}, {frame.frame}{note}"
            axis.text(left + width / 2, top - CAPTION / 2, text, ha="center", va="center", fontsize=8)
    axis.imshow(canvas)
    axis.text(GAP, CAPTION / 2, title, va="center", fontsize=11, fontweight="bold")
    near, far = f"same scene, at most {window} frames away", f"same scene, more than {window} frames away"
    meanings = {QUERY: "query", SAME_VIEW: near, SAME_SCENE: far, OTHER: "another scene"}
    patches = [Patch(color=color, label=label) for color, label in meanings.items()]
    figure.legend(handles=patches, loc="lower left", ncols=len(patches), fontsize=9, frameon=False, borderaxespad=0)
    return figure
