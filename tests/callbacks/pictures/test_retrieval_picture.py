"""The sheet of nearest neighbours: which frames it shows, in which colours, on one process and on two."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch import distributed as dist

from callbacks import RetrievalPicture
from callbacks.pictures import retrieval_picture
from callbacks.pictures.retrieval_picture import (
    BORDER,
    CAPTION,
    GAP,
    OTHER,
    PICTURE_WIDTH,
    QUERY,
    SAME_SCENE,
    SAME_VIEW,
    SeenFrame,
    choose_queries,
)  # fmt: skip
from lightning_modules.metrics import LayoutRetrieval
from tests.helpers.tested_frames import data_named

SCENES, FRAMES, FIRST = 5, 8, 100


class Reader:
    """Frames of one colour, which is their position; the data set's numbers are not the positions."""

    indices = range(FIRST, FIRST + 60)

    def read(self, position):
        return SimpleNamespace(image=torch.full((3, 12, 16), position, dtype=torch.uint8))


DATASET = SimpleNamespace(reader=Reader(), indices=tuple(range(20, 60)))


def descriptors():
    """(40, 6), by scene and frame; positions 20 to 59 of the reader."""
    generator = torch.Generator().manual_seed(1)
    scene, frame = torch.arange(40) // FRAMES, torch.arange(40) % FRAMES
    centres = torch.randn(SCENES, 6, generator=generator)
    return centres[scene] + 0.1 * frame[:, None] + 0.7 * torch.randn(40, 6, generator=generator)


def batch_of(rows):
    return {
        "scene": [f"room_{row // FRAMES}" for row in rows],
        "frame": torch.tensor([row % FRAMES for row in rows]),
        "index": torch.tensor([FIRST + 20 + row for row in rows]),
    }


def make_trainer(folder, **facts):
    datamodule = SimpleNamespace(test_sets=lambda: [data_named("rooms")])
    loader = SimpleNamespace(dataset=DATASET)
    plain = {"is_global_zero": True, "logger": None, "default_root_dir": str(folder), "test_dataloaders": loader}
    return SimpleNamespace(datamodule=datamodule, **{**plain, **facts})


def make_method(window=2):
    metric = LayoutRetrieval(ks=(1, 5), frame_window=window)
    return SimpleNamespace(evaluations={"test/rooms": SimpleNamespace(metrics={"retrieval": metric})}), metric


def show(callback, trainer, method, metric, batches):
    callback.on_test_start(trainer, method)
    for rows in batches:
        batch = batch_of(rows)
        metric.update(descriptors()[rows], batch["scene"], batch["frame"])
        callback.on_test_batch_end(trainer, method, {"per_image": {}}, batch, 0)
    callback.on_test_epoch_end(trainer, method)


def expected_rows(queries):
    """By brute force: data set numbers of each query and its five nearest, and the colours of their frames."""
    vectors = descriptors().double().numpy()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    sheet, colors = [], []
    for query in queries:
        near = sorted((row for row in range(40) if row != query), key=lambda row: -(units[row] @ units[query]))[:5]
        sheet.append([FIRST + 20 + row for row in (query, *near)])
        same = [row // FRAMES == query // FRAMES for row in near]
        view = [s and abs(row - query) <= 2 for s, row in zip(same, near, strict=True)]
        colors.append(
            [QUERY, *(SAME_VIEW if v else SAME_SCENE if s else OTHER for s, v in zip(same, view, strict=True))]
        )
    return sheet, colors


class Drawn:
    """Stands in for the drawing, and keeps what was to be drawn."""

    def __init__(self, monkeypatch=None):
        self.draw = retrieval_picture.draw_retrieval
        self.figure, self.rows, self.pictures, self.title = None, None, None, None
        if monkeypatch is None:
            retrieval_picture.draw_retrieval = self
        else:
            monkeypatch.setattr(retrieval_picture, "draw_retrieval", self)

    def __call__(self, rows, pictures, found, title, window):
        self.figure = self.draw(rows, pictures, found, title, window)
        self.rows, self.pictures, self.title = [[frame.index for frame in row] for row in rows], pictures, title
        return self.figure


QUERIES = [0, 13, 26, 39]


def test_the_neighbours_are_those_of_brute_force(tmp_path, monkeypatch):
    drawn, (method, metric) = Drawn(monkeypatch), make_method()
    callback, trainer = RetrievalPicture(queries=4), make_trainer(tmp_path)
    for _ in range(2):  # a second test forgets the first
        metric.reset()
        show(callback, trainer, method, metric, [range(0, 7), range(7, 40)])
        rows, colors = expected_rows(QUERIES)
        assert drawn.rows == rows
    assert {SAME_VIEW, SAME_SCENE, OTHER} <= {color for line in colors for color in line}
    (axis,) = drawn.figure.axes
    canvas = axis.get_images()[0].get_array()
    height, width = round(PICTURE_WIDTH * 12 / 16) + 2 * BORDER, PICTURE_WIDTH + 2 * BORDER
    for line, (frames, outlines) in enumerate(zip(rows, colors, strict=True)):
        for place, (index, color) in enumerate(zip(frames, outlines, strict=True)):
            cell = canvas[2 * CAPTION + line * (height + CAPTION) :, place * (width + GAP) :][:height, :width]
            assert {to_hex(cell[y, x] / 255) for y in (0, 4, -1) for x in (0, 4, -1)} == {to_hex(color)}
            assert np.unique(cell[BORDER:-BORDER, BORDER:-BORDER]).tolist() == [index - FIRST]  # its own picture
    texts = [text.get_text() for text in axis.texts]
    assert len(texts) == 4 * 6 + 1
    assert texts[0] == "room_0, 0"
    figures = metric.compute()
    recalls = [f"{float(figures[f'{setting}_recall@1']):.3f}/" for setting in ("scene", "frame")]
    assert drawn.title.startswith("rooms: recall@1/5 scene ")
    assert all(recall in drawn.title for recall in recalls)
    sheet = cv2.imread(str(tmp_path / "retrieval_rooms.png"))
    assert sheet.shape == canvas.shape
    assert len(metric.embeddings) == 2  # the method's own figures are still to be computed


def in_process(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    original = retrieval_picture.draw_retrieval
    try:
        drawn, (method, metric) = Drawn(), make_method()
        trainer = make_trainer(folder, is_global_zero=rank == 0)
        mine = list(range(rank, 40, 2))  # as the sampler deals them
        show(RetrievalPicture(queries=4), trainer, method, metric, [mine[:3], mine[3:]])
        return drawn.rows
    finally:
        retrieval_picture.draw_retrieval = original
        dist.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_draw_the_same_sheet_once(tmp_path, two_processes):
    first, second = [two_processes.submit(in_process, rank, tmp_path) for rank in range(2)]
    assert first.result() == expected_rows(QUERIES)[0]
    assert second.result() is None
    assert (tmp_path / "retrieval_rooms.png").exists()


def test_queries_have_something_to_find():
    tested = [
        SeenFrame("alone", 0, 9),
        SeenFrame("b", 1, 5),
        SeenFrame("b", 0, 4),
        SeenFrame("c", 1, 2),
        SeenFrame("c", 0, 7),
    ]
    assert choose_queries(tested, 10) == [3, 2, 1, 4]  # by number in the data set
    assert choose_queries(tested, 2) == [3, 4]
    assert choose_queries([SeenFrame("alone", 0, 9), SeenFrame("d", 0, 3)], 5) == [1, 0]


def test_without_descriptors_there_is_no_sheet(tmp_path):
    method, _ = make_method()
    callback, trainer = RetrievalPicture(), make_trainer(tmp_path)
    callback.on_test_start(trainer, method)
    callback.on_test_batch_end(trainer, method, {"per_image": {}}, batch_of([0, 1]), 0)
    callback.on_test_epoch_end(trainer, method)  # the metric was not updated
    method.evaluations["test/rooms"].metrics = {}
    callback.on_test_epoch_end(trainer, method)
    show(RetrievalPicture(queries=0), trainer, *make_method(), [[0, 1, 2]])
    show(RetrievalPicture(), trainer, *make_method(), [[0]])  # one frame has no neighbour
    assert not list(tmp_path.iterdir())
