"""`segdepth infer --confidence` and `--ensemble`: means and disagreements against single predictions."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import segdepth
from datamodules import GridSuperpixels
from datamodules.pipeline.transforms import Finish
from experiments.__main__ import main
from experiments.config.error import ConfigError
from experiments.inference import ensemble as module
from experiments.inference import photo_run as command
from experiments.inference.cameras import TrainingCamera, centered
from experiments.inference.ensemble import Ensemble
from experiments.inference.input_view import InputView
from experiments.inference.measured_points import Point, fit_depth
from experiments.inference.photo_choices import FileChoice
from experiments.inference.photo_files import write_photo
from experiments.inference.predictor import Predictor
from experiments.inference.scale import Scale
from lightning_modules.prediction import Prediction
from tests.helpers.stub_predictor import PROTOCOL, stub_view, tiny_predictor
from tests.helpers.tiny_method import TinyMethod

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 64, 3), dtype=np.uint8)
IMAGE = torch.from_numpy(PIXELS).permute(2, 0, 1)


class OfSegments(TinyMethod):
    """Depth of a pixel by the mean colour of its superpixel, and by the column it is in."""

    requires = frozenset({"superpixels"})

    def forward(self, batch):
        image, ids = batch["image"].mean(1), batch["superpixels"]
        sums, sizes = torch.zeros(2, int(ids.max()) + 1).scatter_add_(
            1, ids.flatten().expand(2, -1), torch.stack([image.flatten(), torch.ones_like(image.flatten())])
        )
        columns = torch.linspace(1, 2, image.shape[-1])
        depth = 2 + (sums / sizes.clamp(min=1))[ids] + columns
        return Prediction(depth=depth[:, None], segments=[ids])


def segment_predictor(**options):
    finish = Finish((0.0,) * 3, (1.0,) * 3, GridSuperpixels(8))
    view = InputView((40, 64), True, 1, False, (), (), finish)
    return Predictor(OfSegments(protocol=PROTOCOL), view, device="cpu", source="segments", **options)


def run(ensemble, **options):
    shown = ensemble.show(IMAGE, **options)
    return ensemble.restore(shown, ensemble.forward(shown))


def other_predictor(size=(32, 40), **options):
    """The same method with other weights, which sees photos at another size."""
    predictor = tiny_predictor(size, **options)
    with torch.no_grad():
        for weights in predictor.method.parameters():
            weights.mul_(1.3)
    predictor.source = "other"
    return predictor


@pytest.mark.parametrize("tiles", [1, 2])
def test_depth_is_the_mean_over_the_flip_and_half_the_difference_the_uncertainty(tiles):
    predictor = tiny_predictor()
    plain = predictor.infer(PIXELS, tiles=tiles).depth
    found = run(Ensemble([predictor], mirrored=True), tiles=tiles)
    if tiles == 1:
        flipped = predictor.infer(np.ascontiguousarray(PIXELS[:, ::-1])).depth[:, ::-1]
        np.testing.assert_allclose(found.depth, (plain + flipped) / 2, rtol=1e-5)
        np.testing.assert_allclose(found.uncertainty, np.abs(plain - flipped) / 2, atol=1e-6)
    assert np.abs(found.depth - plain).max() > 1e-4
    assert found.depth.dtype == found.uncertainty.dtype == np.float32
    assert "depth is the mean of the photo's and the mirrored photo's" in found.scale_note


def test_superpixels_are_mirrored_with_the_photo():
    """Only the columns differ: the mean colour of each segment is the same in the mirror."""
    found = run(Ensemble([segment_predictor()], mirrored=True))
    columns = np.linspace(1, 2, 64)
    np.testing.assert_allclose(found.uncertainty, np.tile(np.abs(columns - columns[::-1]) / 2, (40, 1)), atol=1e-5)
    np.testing.assert_array_equal(found.segments[0], segment_predictor().infer(PIXELS).segments[0])


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_ensemble_of_runs_that_see_photos_at_different_sizes(mirrored):
    members = [tiny_predictor(), other_predictor(), segment_predictor()]
    images = [PIXELS, np.ascontiguousarray(PIXELS[:, ::-1])] if mirrored else [PIXELS]
    depths = [
        member.infer(image).depth[:, :: (-1) ** number] for member in members for number, image in enumerate(images)
    ]
    found = run(Ensemble(members, mirrored=mirrored))
    np.testing.assert_allclose(found.depth, np.mean(depths, axis=0), rtol=1e-5)
    np.testing.assert_allclose(found.uncertainty, np.std(depths, axis=0), atol=1e-5)
    assert found.segments == ()  # of the first


def test_each_run_has_the_focal_length_that_it_learned_with():
    members = [
        tiny_predictor(scale=Scale(TrainingCamera(focal, focal, focal))) for focal in (100.0, 200.0)
    ]  # of equal weights
    camera = centered(300.0, (40, 64), "test")
    found = run(Ensemble(members), camera=camera)
    one, two = (member.infer(PIXELS, camera=camera).depth for member in members)
    np.testing.assert_allclose(one, 2 * two, rtol=1e-5)
    np.testing.assert_allclose(found.depth, 0.75 * one, rtol=1e-5)
    assert "100 px" in found.scale_note
    assert "200 px" in found.scale_note


def test_one_prediction_has_no_uncertainty():
    predictor = tiny_predictor()
    found = run(Ensemble([predictor]))
    np.testing.assert_array_equal(found.depth, predictor.infer(PIXELS).depth)
    assert found.uncertainty is None
    assert "mean" not in found.scale_note


def test_where_one_has_no_depth_the_mean_has_none():
    class Half(TinyMethod):
        def forward(self, batch):
            depth = super().forward(batch).depth
            left = torch.arange(depth.shape[-1]) < depth.shape[-1] // 2
            return Prediction(depth=depth, covered=left.expand_as(depth))

    predictor = tiny_predictor((40, 64))
    predictor.method.__class__ = Half
    found = run(Ensemble([predictor, tiny_predictor((40, 64))]))
    np.testing.assert_array_equal(np.isnan(found.depth[:, 32:]), True)
    np.testing.assert_array_equal(np.isnan(found.uncertainty), np.isnan(found.depth))
    assert np.isfinite(found.depth[:, :32]).all()


def test_where_nothing_has_depth_a_record_is_plain_json(tmp_path):
    found = run(Ensemble([tiny_predictor()], mirrored=True))
    empty = np.full_like(found.depth, np.nan)
    write_photo(tmp_path / "one", replace(found, depth=empty, uncertainty=empty), FileChoice(), "method", {})
    assert json.loads((tmp_path / "one/photo.json").read_text(), parse_constant=pytest.fail)["mean_uncertainty"] is None


def test_predictions_without_a_common_unit_are_refused():
    relative = tiny_predictor(scale=Scale(alignment="least_squares"))
    with pytest.raises(ConfigError, match="--ensemble: tiny is evaluated after a fit"):
        Ensemble([tiny_predictor(), relative])
    Ensemble([relative], mirrored=True)  # of one network: one unit, whatever it is
    with pytest.raises(ConfigError, match="distance to the camera"):
        Ensemble([tiny_predictor(), tiny_predictor(radial=True)])

    class Silent(TinyMethod):
        predicts_depth = False

    predictor = tiny_predictor()
    predictor.method.__class__ = Silent
    with pytest.raises(ConfigError, match="predicts none"):
        Ensemble([predictor], mirrored=True)
    Ensemble([predictor])


def test_a_fit_to_measured_points_scales_the_uncertainty():
    found = run(Ensemble([tiny_predictor()], mirrored=True))
    fitted = fit_depth(found, [Point(30, 20, 2 * float(found.depth[20, 30]))], "scale")
    np.testing.assert_allclose(fitted.uncertainty, 2 * found.uncertainty, rtol=1e-5)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a photo, where the runs are stubs of their names."""
    monkeypatch.chdir(tmp_path)
    made = {"run": tiny_predictor, "other": other_predictor, "segments": segment_predictor}
    monkeypatch.setattr(command, "load", lambda name, **options: made[name]())
    Image.fromarray(PIXELS).save("one.png")
    return tmp_path


def infer(*arguments):
    main(["infer", "run", "one.png", "--output", "out", *arguments])


def test_maps_and_pictures_are_written_and_said(place, capsys):
    infer("--confidence", "--ensemble", "other", "segments", "--format", "png16", "npy")
    expected = run(Ensemble([tiny_predictor(), other_predictor(), segment_predictor()], mirrored=True))
    np.testing.assert_array_equal(np.load("out/one/uncertainty.npy"), expected.uncertainty)
    np.testing.assert_array_equal(np.load("out/one/depth.npy"), expected.depth)
    millimetres = cv2.imread("out/one/uncertainty.png", cv2.IMREAD_UNCHANGED)
    np.testing.assert_allclose(millimetres / 1000, expected.uncertainty, atol=5.1e-4)
    picture = np.asarray(Image.open("out/one/uncertainty_colors.png")).astype(int)
    assert picture.shape[1] > 64
    sure, unsure = (picture[np.unravel_index(place, (40, 64))].sum() for place in (
        expected.uncertainty.argmin(), expected.uncertainty.argmax()))  # fmt: skip
    assert sure < unsure
    record = json.loads(Path("out/one/photo.json").read_text())
    assert record["settings"]["weights"] == ["tiny", "other", "segments"]
    assert record["settings"]["mirrored"] is True
    assert record["mean_uncertainty"] == pytest.approx(float(expected.uncertainty.mean()))
    assert "depth is the mean of 3 runs, of the photo and the mirrored photo each" in capsys.readouterr().out


def test_with_and_without_are_not_mixed(place, capsys):
    infer()
    before = {path.name: path.read_bytes() for path in Path("out/one").iterdir()}
    assert not any("uncertainty" in name for name in before)
    with pytest.raises(SystemExit, match="1"):
        infer("--confidence")
    assert "by another run, or with other options" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path("out/one").iterdir()} == before


def test_several_runs_are_loaded_as_one(monkeypatch):
    """Mean and standard deviation of what each says alone; NumPy, Pillow and batches go in as for one."""
    made = {
        name: Predictor(Plain(number), stub_view((40, 64)), device="cpu", source=name)
        for number, name in enumerate("ab")
    }
    monkeypatch.setattr(module, "load_one", lambda name, **options: made[name])
    assert segdepth.load("a") is made["a"]
    both = segdepth.load(["a", "b"])
    single = np.stack([made[name].infer(PIXELS).depth for name in "ab"])
    for image in (PIXELS, Image.fromarray(PIXELS), IMAGE):
        result = both.infer(image)
        np.testing.assert_allclose(result.depth, single.mean(0), rtol=1e-6)
        np.testing.assert_allclose(result.uncertainty, single.std(0), rtol=1e-5)
    batch = both.infer(torch.stack([IMAGE, IMAGE.flip(-1)]))
    assert len(batch) == 2
    np.testing.assert_array_equal(batch[1].depth, both.infer(PIXELS[:, ::-1]).depth)
    turned = made["a"].infer(PIXELS[:, ::-1]).depth[:, ::-1]
    sure = segdepth.load("a", confidence=True).infer(PIXELS)
    np.testing.assert_allclose(sure.uncertainty, np.abs(single[0] - turned) / 2, rtol=1e-4, atol=1e-6)
    assert made["a"].infer(PIXELS).uncertainty is None
    with pytest.raises(ConfigError, match="the list is empty"):
        segdepth.load([])


class Plain(TinyMethod):
    """Depth by colour and column."""

    def __init__(self, offset):
        super().__init__(protocol=PROTOCOL)
        self.offset = offset

    def forward(self, batch):
        columns = torch.linspace(1, 2, batch["image"].shape[-1])
        return Prediction(depth=self.offset + batch["image"].mean(1, keepdim=True) + columns)
