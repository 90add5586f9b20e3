"""Training and evaluation show a metre at a depth as equally many pixels, in every configuration of the suite.

A network that learns depth at one focal length, in pixels, and is tested at another is wrong by the ratio of the two,
unless its training depth was divided by it. Here every experiment's own data module makes a training and a test sample
of a frame whose rays are known.
"""

import json
import os
from pathlib import Path

import pytest
import torch
import yaml

from datamodules.frames import Frame, FrameReader
from datamodules.pipeline.prepared import PreparedReader
from datamodules.splits import Splits
from experiments.config.compose import EXPERIMENTS, compose, experiment_names
from experiments.config.parts import parts_parser
from experiments.config.yaml_file import ConfigFile
from tests.helpers.own_frames import describe

#: Height and width of the frames of a data set; others are NYUv2's.
SIZES = {"HyperSimDataModule": (768, 1024)}
#: Metres, everywhere.
DEPTH = 4.0
#: Stands for the parts of a frame that have no say in its geometry.
PHOTOMETRIC = {"color_jitter": None, "superpixels": None, "frame_maps": None, "derived": None, "extra_tests": None}

WHOLE_SQUEEZED = (
    "SHED section 4.1 trains on 384x384 crops of 480x640 frames and tests whole frames at 384x384: the paper's own"
)
GEOMETRY = ("preprocess", "resize", "crop", "eval_size", "border", "layout", "divide_depth_by_zoom")
#: Views in which the two differ, by crop, `resize` and `eval_size`: the reason. Their pages name it.
EXCEPTIONS = {
    ((384, 384), None, (384, 384)): WHOLE_SQUEEZED,
    ((384, 384), (480, 640), (384, 384)): WHOLE_SQUEEZED,
    ((392, 392), (490, 658), (392, 392)): "Depth Anything v2 as SHED's counterpart, by the same rule at its patch size",
    ((224, 224), (240, 320), (224, 224)): "CAST's images in Fig. 6 of SHED, by the same rule",
}


class KnownFrames(FrameReader):
    """One frame of constant depth; ``slope`` (2, H, W) holds x / z and y / z of each pixel's ray."""

    provides = frozenset({"depth", "slope", "semantics"})
    identity = "known"
    scenes = ("room",)

    def __init__(self, size):
        self.size = size

    def read(self, position):
        height, width = self.size
        focal = 0.8 * width
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        intrinsics = torch.tensor([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
        rays = torch.stack([x - intrinsics[0, 2], y - intrinsics[1, 2]]) / focal
        maps = {"depth": torch.full((1, height, width), DEPTH), "slope": rays, "semantics": torch.ones(height, width)}
        return Frame(torch.zeros(3, height, width, dtype=torch.uint8), maps, intrinsics, "room", 0, 0)

    def source(self, position):
        return "known"


def focal_lengths(sample):
    """Of the network input in y and x, pixels, as the rays of its outermost pixels tell."""
    height, width = sample["image"].shape[-2:]
    pixels = torch.tensor([height, width]) / torch.tensor(sample["slope"].shape[-2:])  # of the input, a pixel of truth
    x, y = sample["slope"]
    slopes = torch.stack([y[-1, 0] - y[0, 0], x[0, -1] - x[0, 0]]).abs()
    return pixels * torch.tensor([y.shape[0] - 1, x.shape[1] - 1]) / slopes


def ratio(config):
    """Focal length over depth in training, by that in evaluation, in y and x: 1 where they are the same."""
    parser = parts_parser()
    changed = {**config, "init_args": {**config["init_args"], **PHOTOMETRIC}}
    module = parser.instantiate(parser.parse_args(["--config", yaml.safe_dump({"data": changed})])).data
    reader = KnownFrames(SIZES.get(type(module).__name__, (480, 640)))
    module.reader = PreparedReader(reader, module.preprocess, [], Path(os.devnull))
    module.splits = Splits([0], [0], [0])
    module.check_training_part = lambda: None  # which looks for lists on disk
    module.setup()
    trained, tested = module.train_set[0], module.test_set[0]
    assert (tested["depth"] == DEPTH).all()
    assert trained["depth"].unique().numel() == 1
    # how many pixels a metre has there, by the depth that is told with it
    seen = focal_lengths(trained) * trained["depth"][0, 0, 0]
    return seen / (focal_lengths(tested) * DEPTH), module


@pytest.fixture
def configurations(monkeypatch, tmp_path):
    """Data of every experiment, its own as published and Rooms at the quick profile, and each data set; views once.

    Of the files only what concerns data is merged, which takes a tenth of the time.
    """

    def read_data_alone(path):
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        content["profiles"] = {
            name: {key: value for key, value in (section or {}).items() if key == "data"}
            for name, section in content.get("profiles", {}).items()
        }
        kept = {key: content[key] for key in ("base", "instead", "profile", "profiles", "data") if key in content}
        return ConfigFile(path, kept, {})

    monkeypatch.setattr("experiments.config.compose.read_config", read_data_alone)
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    combinations = [(name, *changes) for name in experiment_names()
                    for changes in (("profile/paper",), ("data/rooms", "profile/quick"))]  # fmt: skip
    combinations += [(f"data/{path.stem}",) for path in sorted((EXPERIMENTS / "data").glob("*.yaml"))]
    found = {}
    for names in combinations:
        root = str(describe(tmp_path))  # of `folder`, whose range of depth is in its `dataset.yaml`
        own = names == ("data/folder",)
        config = compose(names, ["--data.root", root] if own else []).config["data"]
        if own:
            config["init_args"]["root"] = root
        options = {key: config["init_args"].get(key) for key in GEOMETRY}
        found.setdefault(json.dumps([config["class_path"], options]), (names, config))
    return list(found.values())


@pytest.mark.slow
def test_training_and_evaluation_see_the_same_focal_length(configurations):
    wrong, excused = [], set()
    for names, config in configurations:
        measured, module = ratio(config)
        view = tuple(size and tuple(size) for size in (module.crop, module.resize, module.eval_size))
        expected = torch.ones(2)
        if view in EXCEPTIONS:
            excused.add(view)
            expected = torch.tensor(module.resize or module.reader.size) / torch.tensor(module.eval_size)
        if not torch.allclose(measured, expected, rtol=0.02, atol=0):
            wrong.append(f"{' '.join(names)}: {measured.tolist()}, crop, resize, eval_size {view}")
    assert not wrong, "\n".join(wrong)
    assert excused == set(EXCEPTIONS)


@pytest.mark.parametrize("divide", [False, True])
def test_a_zoom_is_seen_unless_depth_is_divided_by_it(monkeypatch, divide):
    """The fault that this file is for: 256x256 enlarged to 286x286 for training."""
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose(["mti_net_guided"]).config["data"]
    config["init_args"] |= {"resize": [286, 286], "crop": [256, 256], "divide_depth_by_zoom": divide}
    measured, module = ratio(config)
    torch.testing.assert_close(measured, torch.full((2,), 1.0 if divide else 286 / 256), rtol=0.01, atol=0)
    camera = module.train_set[0]["intrinsics"]
    torch.testing.assert_close(camera[1, 1].item(), 0.8 * 640 * 256 / 480 * (1 if divide else 286 / 256))


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"resize": None}, 0.8 * 256 * (640 / 480) ** 0.5),
     ({"resize": [286, 286]}, 0.8 * 286 * (640 / 480) ** 0.5),
     ({"resize": [286, 286], "divide_depth_by_zoom": True}, 0.8 * 256 * (640 / 480) ** 0.5)],
)  # fmt: skip
def test_the_training_camera_is_that_of_the_frames_at_the_network(monkeypatch, options, expected):
    """Frames of 480x640 with 512 pixels, squeezed to 256x256 by `preprocess`: 204.8 along rows, 273.1 along columns."""
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose(["mti_net_guided"]).config["data"]
    config["init_args"] |= {"crop": [224, 224], **options}
    _, module = ratio(config)
    camera = module.training_camera()
    measured = focal_lengths(module.train_set[0]).prod().sqrt().item()
    divided = DEPTH / module.train_set[0]["depth"][0, 0, 0].item()  # the rays cannot tell
    assert camera["focal"] == pytest.approx(expected, rel=1e-3)
    assert camera["focal"] == pytest.approx(measured / divided, rel=0.01)
    assert camera["lowest"] == camera["focal"] == camera["highest"]
    module.splits = Splits([], [0], [0])
    assert module.training_camera() is None


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"resize": [286, 320]}, "the aspect ratios of the two differ"),
     ({"preprocess": []}, "the aspect ratios of the two differ")],
)  # fmt: skip
def test_a_stretch_cannot_be_made_up_for(monkeypatch, options, reason):
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose(["mti_net_zoomed_crops"]).config["data"]
    config["init_args"] |= options | ({"resize": None} if "preprocess" in options else {})
    with pytest.raises(ValueError, match=reason):
        ratio(config)
