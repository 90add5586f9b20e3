"""A trained method on images of one's own, from Python."""

import json
import shutil

import cv2
import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from experiments.__main__ import main
from experiments.config.compose import ConfigError
from experiments.inference.cameras import Camera, centered
from experiments.inference.predictor import load
from tests.experiments.conftest import tiny
from tests.helpers.stub_predictor import pinhole_predictor, stub_view, tiny_predictor, wave_wall

#: Options that make the view of a run of its own kind: all frames squeezed, or as they are, with superpixels.
VIEWS = {"dpt_hybrid": ["--data.init_args.eval_size", "[32, 32]"], "shed_hybrid": []}


@pytest.mark.slow
@pytest.mark.parametrize("name", VIEWS)
def test_a_frame_is_predicted_as_segdepth_predict_does_and_without_the_data(workplace, name):
    line = [*tiny(name), "--run.name", "one", "--trainer.logger", "false", *VIEWS[name]]
    main(["fit", *line])
    main(["predict", *line, "--ckpt_path", "best"])
    run = workplace / "runs" / name / "one"
    with h5py.File("data/nyuv2/nyu_depth_v2_labeled.mat") as file:
        frame = np.ascontiguousarray(file["images"][6].transpose(2, 1, 0))
    shutil.rmtree(workplace / "data")
    expected = torch.from_numpy(np.load(run / "predictions" / "nyuv2" / "0007.npy"))[None, None]

    result = load(run, device="cpu").infer(frame)
    assert result.shown == tuple(expected.shape[-2:])
    enlarged = F.interpolate(expected, (48, 64), mode="bilinear", align_corners=False)[0, 0]
    torch.testing.assert_close(torch.from_numpy(result.depth), enlarged, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(result.image, frame)
    assert [level.shape for level in result.segments] == ([(48, 64)] * 4 if name == "shed_hybrid" else [])

    # the focal length of the tiny frames is that of NYUv2's 640 columns, at 64; the network sees training crops of them
    recorded = json.loads((run / "environment.json").read_text())["training_camera"]
    assert recorded["lowest"] == recorded["focal"] == recorded["highest"] > 0
    told = load(run / "checkpoints" / "best.ckpt", device="cpu").infer(frame, camera=centered(100.0, (48, 64), "test"))
    shown = 100 * np.sqrt(result.shown[0] / 48 * result.shown[1] / 64)
    np.testing.assert_allclose(told.depth, result.depth * shown / recorded["focal"], rtol=1e-5)


def test_kinds_of_images_are_the_same_image():
    predictor = tiny_predictor()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    expected = predictor.infer(pixels).depth
    assert expected.shape == (30, 40)
    assert expected.dtype == np.float32
    kinds = [Image.fromarray(pixels), tensor, pixels / 255, tensor.double() / 255, pixels.astype(np.uint16) * 257]
    for kind in kinds:
        np.testing.assert_array_equal(predictor.infer(kind).depth, expected)
    two = predictor.infer(torch.stack([tensor, tensor.flip(-1)]))
    np.testing.assert_array_equal(two[0].depth, expected)
    np.testing.assert_array_equal(two[1].depth, predictor.infer(pixels[:, ::-1]).depth)
    grey = pixels[..., 0]
    np.testing.assert_array_equal(predictor.infer(grey).depth, predictor.infer(np.stack([grey] * 3, axis=2)).depth)


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (np.zeros((20, 20, 2), np.uint8), "1, 3 or 4 channels"),
        (np.full((20, 20, 3), 255.0), "divide values"),
        (np.full((20, 20, 3), np.nan), "finite"),
        (np.zeros((20, 20, 3), np.int64), "uint8"),
        (np.zeros((4, 500, 3), np.uint8), "too small"),
        (torch.zeros(20, 20), "tensor"),
    ],
)
def test_images_that_are_none(image, complaint):
    with pytest.raises(ValueError, match=complaint):
        tiny_predictor().infer(image)
    with pytest.raises(TypeError, match="str"):
        tiny_predictor().infer("photo.jpg")


def test_a_photo_and_its_enlarged_middle_have_equal_depths_when_the_focal_length_is_told():
    predictor = pinhole_predictor()
    for focal, depth in ((200.0, 3.0), (150.0, 2.0), (310.0, 5.0)):
        photo = wave_wall(192, 256, focal, depth)
        middle = photo[:, 48:144, 64:192]
        enlarged = torch.from_numpy(cv2.resize(middle.permute(1, 2, 0).numpy(), (256, 192))).permute(2, 0, 1)
        camera = centered(focal, (192, 256), "test")
        whole = predictor.infer(photo, camera=camera)
        zoomed = predictor.infer(enlarged, camera=centered(2 * focal, (192, 256), "test"))
        np.testing.assert_allclose(whole.depth, depth, rtol=0.03)
        np.testing.assert_allclose(zoomed.depth, depth, rtol=0.03)
        assert "focal length" in whole.scale_note
        # and without it the middle is taken for half as far
        untold = [predictor.infer(image) for image in (photo, enlarged)]
        assert untold[1].depth.mean() == pytest.approx(untold[0].depth.mean() / 2, rel=0.03)
        assert "hold only for a camera like" in untold[0].scale_note


def test_a_camera_may_be_told_by_its_angle():
    predictor, photo = pinhole_predictor(), wave_wall(192, 256, 200.0, 3.0)
    angle = 2 * np.degrees(np.arctan(256 / 2 / 200.0))
    by_angle, by_camera = (
        predictor.infer(photo, **told)
        for told in ({"fov": angle}, {"camera": Camera(200.0, 200.0, 127.5, 95.5, "measured")})
    )
    np.testing.assert_allclose(by_angle.depth, by_camera.depth, rtol=1e-6)
    assert "degrees across the width" in by_angle.scale_note
    with pytest.raises(ValueError, match="camera and fov: give one of them"):
        predictor.infer(photo, fov=60, camera=centered(200.0, (192, 256), "test"))
    with pytest.raises(ValueError, match="fov 200: need an angle between 0 and 180 degrees"):
        predictor.infer(photo, fov=200)


def test_the_size_that_the_network_sees_changes_no_depth_when_the_focal_length_is_told():
    photo, camera = wave_wall(192, 256, 220.0, 2.5), centered(220.0, (192, 256), "test")
    for size in ((96, 128), (192, 256), (144, 192)):
        depth = pinhole_predictor(size=size).infer(photo, camera=camera).depth
        np.testing.assert_allclose(depth, 2.5, rtol=0.03)


def test_tiles_are_brought_to_the_depth_of_the_whole():
    photo, camera = wave_wall(192, 256, 220.0, 2.5), centered(220.0, (192, 256), "test")
    tiled = pinhole_predictor().infer(photo, camera=camera, tiles=3)
    np.testing.assert_allclose(tiled.depth, 2.5, rtol=0.03)
    assert tiled.depth.shape == (192, 256)
    with pytest.raises(ValueError, match="--tiles 99"):
        pinhole_predictor().infer(photo, tiles=99)


def test_sizes_keep_the_aspect_ratio_and_the_number_of_pixels():
    view = stub_view((96, 128), multiple=16)
    assert view.fit((480, 640)) == (96, 128)
    assert view.fit((640, 480)) == (128, 96)
    assert view.fit((1080, 1920)) == (80, 144)
    assert stub_view((96, 96), squeezed=True).fit((1080, 1920)) == (96, 96)
    with pytest.raises(ValueError, match="too narrow"):
        view.fit((10, 5000))


def test_a_camera_is_resized_with_its_image():
    camera = Camera(100.0, 110.0, 31.5, 23.5, "test").resized((48, 64), (96, 96))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (150.0, 220.0, 47.5, 47.5)


def test_methods_that_read_the_truth_are_refused():
    predictor = tiny_predictor()
    predictor.method.oracle = "semantics"
    with pytest.raises(ConfigError, match="reads true semantics, which a photo does not have"):
        type(predictor)(predictor.method, predictor.view)


def test_no_such_device():
    with pytest.raises(ConfigError, match="no device `nonsense`"):
        tiny_predictor().__class__(tiny_predictor().method, stub_view((8, 8)), device="nonsense")
