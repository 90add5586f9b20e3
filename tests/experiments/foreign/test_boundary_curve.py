"""`segdepth evaluate --boundary_curve`: the figures of an evaluation, at every threshold, for several predictions."""

import csv
import json
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from lightning.pytorch import Callback
from matplotlib.figure import Figure

from experiments.config.compose import ConfigError
from experiments.foreign import evaluate as evaluate_command
from tests.helpers.commands import command

evaluate = command("evaluate")


#: Numbers of the tiny set's test frames, counted from 1.
NUMBERS = (5, 6, 7, 8)

FLAGS = ["--data", "nyuv2_oc", "--protocol", "rooms", "--data.init_args.num_workers", "0"]


@pytest.fixture
def sets(workplace):
    """Two sets of predictions of a step: the step itself, and a blurred one whose first frame is flat."""
    folder = workplace / "data/nyuv2_oc/NYUv2_OCpp/oc"
    folder.mkdir(parents=True)
    with h5py.File(workplace / "data/nyuv2/nyu_depth_v2_labeled.mat") as file:
        depth = file["depths"][:].transpose(0, 2, 1)
    for name in ("sharp", "soft"):
        (workplace / name).mkdir()
    boundary = np.zeros(depth.shape[1:], np.uint8)
    boundary[2:-2, 30] = 255
    for number in NUMBERS:
        cv2.imwrite(str(folder / f"{number - 1:04d}_oc.png"), boundary)
        step = np.where(np.arange(depth.shape[2]) < 30 + number, 1.0, 3.0) * np.ones(depth.shape[1:])
        soft = cv2.GaussianBlur(step, (0, 0), 9) if number > NUMBERS[0] else np.full_like(step, 2.0)
        np.save(workplace / f"sharp/{number:04d}.npy", step.astype(np.float32))
        np.save(workplace / f"soft/{number:04d}.npy", soft.astype(np.float32))
    return ["--predictions", "sharp", "--predictions", "soft"]


def rows_of(path: str) -> dict[tuple[str, float], dict[str, float]]:
    with Path(path).open(encoding="utf-8") as file:
        rows = [(row.pop("predictions"), row) for row in csv.DictReader(file)]
    named = [(name, {key: float(value) for key, value in row.items()}) for name, row in rows]
    return {(name, row["high"]): row for name, row in named}


def test_every_threshold_has_the_figures_of_an_evaluation_with_it(sets, monkeypatch, capsys):
    for picture in ("Panels", "WorstCases"):
        monkeypatch.setattr(evaluate_command, picture, Callback)
    evaluate([*sets, *FLAGS, "--boundary_curve", "--output", "curve"])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "curve/boundary_curve_nyuv2_oc.png", "curve/boundary_curve_nyuv2_oc.csv",
    ]  # fmt: skip
    rows = rows_of("curve/boundary_curve_nyuv2_oc.csv")
    assert len(rows) == 2 * 12
    assert {key[0] for key in rows} == {"sharp", "soft"}
    assert [rows[key]["boundary_empty"] for key in (("sharp", 0.3), ("soft", 0.3), ("soft", 1.2))] == [0, 1, 4]
    thresholds = ["--evaluation.boundary.low", "0.05", "--evaluation.boundary.high", "0.1"]
    evaluate(["--predictions", "soft", *FLAGS, *thresholds, "--evaluation.groups", "[boundary]", "--output", "one"])
    figures = json.loads(Path("one/metrics.json").read_text())
    own = rows["soft", 0.1]
    assert own["low"] == 0.05
    compared = [key for key in own if key.startswith(("boundary", "chamfer"))]
    assert len(compared) == 13
    for key in compared:
        assert own[key] == pytest.approx(figures[f"test/nyuv2_oc/{key}"], rel=1e-6), key


def test_the_picture_names_sets_units_and_the_protocol_s_thresholds(sets, monkeypatch):
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    own = ["--evaluation.boundary.low", "0.03", "--evaluation.boundary.high", "0.06"]
    evaluate([*sets, *FLAGS, *own, "--boundary_curve", "--output", "curve"])
    (figure,) = figures
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"sharp", "soft", "soft, frames with an edge", "the protocol's thresholds, 0.03 / 0.06"} <= set(labels)
    titles = {axis.get_title(): axis for axis in figure.axes}
    assert {"ε_a, truncated at 10 px", "ε_a, untruncated: prediction to truth", "frames without an edge"} <= set(titles)
    assert titles["ε_c, truncated at 10 px"].get_ylabel() == "px, lower is better"
    assert 0.06 in titles["frames without an edge"].get_xticks()
    assert figure.axes[-1].get_xlabel() == "Canny's upper threshold (the lower is 0.5 of it)"


def test_frames_that_a_set_lacks_are_left_out_of_all(sets):
    Path("soft/0005.npy").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 4 predictions are missing"):
        evaluate([*sets, *FLAGS, "--boundary_curve", "--output", "curve"])
    evaluate([*sets, *FLAGS, "--boundary_curve", "--output", "curve", "--allow_missing", "true"])
    assert {row["boundary_images"] for row in rows_of("curve/boundary_curve_nyuv2_oc.csv").values()} == {3}


def test_what_cannot_be_drawn_is_one_line(sets):
    with pytest.raises(ConfigError, match="several `--predictions` are compared with `--boundary_curve` alone"):
        evaluate([*sets, *FLAGS])
    with pytest.raises(ConfigError, match="name each set once"):
        evaluate([*sets, "--predictions", "soft", *FLAGS, "--boundary_curve"])
    without = ["--data", "nyuv2", *FLAGS[2:]]
    with pytest.raises(ValueError, match="nyuv2 has no annotated boundaries"):
        evaluate([*sets, *without, "--boundary_curve"])
