"""The frames that a method finds most alike, on one sheet (SHED, Fig. 5)."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import cv2
import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from callbacks.pictures.colors import Picture
from callbacks.pictures.picture_files import save_figure
from callbacks.records.all_processes import gather_objects
from lightning_modules.metrics import LayoutRetrieval
from lightning_modules.metrics.retrieval import Neighbours

#: Colours of the frames around pictures, and what they say.
QUERY, SAME_VIEW, SAME_SCENE, OTHER = "black", "#009e73", "#56b4e9", "#d55e00"

#: Pixels of width that pictures are brought to, of the frame around them, between them, and of a line of text; an inch.
PICTURE_WIDTH, BORDER, GAP, CAPTION, DPI = 210, 5, 6, 24, 100


@dataclass(frozen=True)
class SeenFrame:
    """A frame of the test set: its scene, its number there, and its number in the data set."""

    scene: str
    frame: int
    index: int


class RetrievalPicture(Callback):
    """Write ``retrieval_<data set>.png``: test frames, and the frames whose descriptors are most similar to theirs.

    The queries are evenly spread over the frames that are not alone in their scene, the same for every method and every
    number of processes; the neighbours are those that ``scene_recall@K`` counts. A method without descriptors, or a
    test without retrieval, has no picture.

    Args:
        queries: rows of the sheet; 0 draws none.
        neighbours: frames shown for each.
    """

    #: What grows with each batch of a test.
    kept_in_test: ClassVar[tuple[str, ...]] = ("tested",)

    def __init__(self, queries: int = 6, neighbours: int = 5):
        self.queries, self.neighbours = queries, neighbours

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.tested: dict[str, list[SeenFrame]] = {name: [] for name in datamodule.test_names()}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Note which frames were tested, in their order."""
        frames = zip(batch["scene"], batch["frame"].tolist(), batch["index"].tolist(), strict=True)
        list(self.tested.values())[dataloader_idx].extend(SeenFrame(*frame) for frame in frames)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Find the neighbours over all processes, and draw them on the first."""
        loaders: Any = trainer.test_dataloaders
        loaders = loaders if isinstance(loaders, list | tuple) else [loaders]
        for (name, own), loader in zip(self.tested.items(), loaders, strict=True):
            metrics = pl_module.evaluations[f"test/{name}"].metrics
            if not (self.queries and "retrieval" in metrics and metrics["retrieval"].update_called):
                continue
            sheet = self.sheet(name, metrics["retrieval"], own, loader.dataset, draws=trainer.is_global_zero)
            if sheet is not None:
                path = Path(trainer.default_root_dir) / f"retrieval_{name}.png"
                if save_figure(sheet, path) and isinstance(trainer.logger, WandbLogger):
                    trainer.logger.log_image("test/retrieval", [str(path)], caption=[name])

    def sheet(
        self, name: str, metric: LayoutRetrieval, own: list[SeenFrame], dataset: Any, draws: bool
    ) -> Figure | None:
        """The sheet of one test set, where a process draws; every process must ask.

        Args:
            name: of the test set.
            metric: that has its descriptors.
            own: frames that this process tested, in the order in which the metric has them.
            dataset: where the frames are read from.
            draws: whether this process draws; None is returned on the others, and where there is but one frame.
        """
        tested = [frame for part in gather_objects(own) for frame in part]
        queries = choose_queries(tested, self.queries)
        found = metric.neighbours(queries, self.neighbours)
        figures = metric.compute()  # torchmetrics keeps them for the method, which asks again
        if not (draws and found.rows.numel()):
            return None
        near = zip(queries, found.rows.tolist(), strict=True)
        rows = [[tested[row] for row in (query, *others)] for query, others in near]
        title = f"{name}: {recall_caption(metric, figures)}"
        return draw_retrieval(rows, read_pictures(dataset, rows), found, title, metric.frame_window)


def choose_queries(tested: Sequence[SeenFrame], count: int) -> list[int]:
    """Rows of frames to ask for, in the order of the data set.

    They are evenly spread over the frames that are not alone in their scene; where all are, over all.
    """
    scenes = Counter(frame.scene for frame in tested)
    rows = sorted(range(len(tested)), key=lambda row: tested[row].index)
    rows = [row for row in rows if scenes[tested[row].scene] > 1] or rows
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)]


def recall_caption(metric: LayoutRetrieval, figures: Mapping[str, Any]) -> str:
    """The recalls, ``recall@1/3/5: scene 0.60/0.70/0.79, frame-5 0.21/0.31/0.38``."""
    values = {
        setting: "/".join(f"{float(figures[f'{setting}_recall@{k}']):.3f}" for k in metric.ks)
        for setting in ("scene", "frame")
    }
    ks = "/".join(map(str, metric.ks))
    return f"recall@{ks} scene {values['scene']}, frame-{metric.frame_window} {values['frame']}"


def read_pictures(dataset: Any, rows: Sequence[Sequence[SeenFrame]]) -> dict[int, Picture]:
    """Pictures of frames by their number in the data set, read anew: which are wanted shows only after the last."""
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
    """A row a query: the query, then its neighbours with their similarity; the frame's colour says what was found.

    All pictures are one image of one axes: an axes for each takes seconds.

    Args:
        rows: query and neighbours.
        pictures: by number in the data set, all of one size.
        found: what the metric says of the neighbours.
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
