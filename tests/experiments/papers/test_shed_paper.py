"""Every experiment of SHED's paper: its quick profile learns, and the ones of a new kind run from start to figures."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from datamodules import GridSuperpixels
from experiments.__main__ import main
from experiments.config.compose import EXPERIMENTS, compose, experiment_names
from lightning_modules import DepthModule
from lightning_modules.backbones import class_token_start, create_hybrid_parts
from tests.experiments.conftest import TINY, tiny

OF_THE_PAPER = [
    name for name in experiment_names() if name.startswith(("shed", "dpt", "cast", "depth_anything"))
]  # fmt: skip


def build(config):
    """The method, as the command line builds it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DepthModule, "model")
    return parser.instantiate(parser.parse_object({"model": config["model"]})).model


#: The others are slow, as their sum is.
FAST = ("cast_small", "depth_anything_v2_small_hypersim", "shed_spatial_reduction", "shed_no_reverse")


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in OF_THE_PAPER])
def test_a_step_of_the_quick_profile_lowers_the_loss(name):
    """On frames of the quick profile's size, with all parameters learning."""
    torch.manual_seed(0)
    config = compose([name, "data/rooms", "profile/quick"]).config
    method = build(config)
    generator = torch.Generator().manual_seed(1)
    height, width = config["data"]["init_args"]["crop"]
    rows = torch.linspace(1, 5, height)[:, None].expand(2, 1, height, width)
    grid = torch.from_numpy(GridSuperpixels(16)(np.zeros((height, width, 3), dtype=np.uint8)))
    batch = {
        "image": torch.randn(2, 3, height, width, generator=generator) + rows - 3, "depth": rows,
        "valid": torch.ones_like(rows, dtype=torch.bool), "superpixels": grid.expand(2, -1, -1),
        "semantics": torch.randint(0, 12, (2, height, width), generator=generator),
    }  # fmt: skip
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-3)

    def loss():
        torch.manual_seed(2)  # the same dropout each time
        return sum(method.losses(method(batch), batch).values())

    first = loss()
    first.backward()
    assert [n for n, p in method.named_parameters() if p.requires_grad and p.grad is None] == []
    optimizer.step()
    with torch.no_grad():
        assert loss() < first


def test_the_sweep_of_ablations_names_experiments_that_there_are():
    sweep = yaml.safe_load((EXPERIMENTS / "sweeps/shed_ablations.yaml").read_text())
    (values,) = (parameter["values"] for parameter in sweep["parameters"].values())
    assert set(values) <= set(OF_THE_PAPER)
    left = {name for name in OF_THE_PAPER if name.startswith("shed")} - set(values)
    # other sizes and data, not ablations
    others = ("224", "24k", "fig6", "hypersim", "hypersim_matched")
    assert left == {f"shed_hybrid_{name}" for name in others}


def test_cast_has_all_of_a_run_but_depth(workplace, capsys):
    config = {**TINY, "model": {"init_args": {"dim": 48, "depths": [1, 1, 1, 1], "segments": [6, 4, 2]}}}
    (workplace / "tiny_cast.yaml").write_text(yaml.safe_dump(config))
    arguments = ["--config", "cast_small", "--config", "profile/quick", "--config", "tiny_cast.yaml"]
    main(["exp", *arguments])
    (run,) = (workplace / "runs" / "cast_small").iterdir()

    figures = json.loads((run / "metrics.json").read_text())
    names = {key.removeprefix("test/nyuv2/") for key in figures}
    assert {"level0_boundary_recall", "level3_explained_variance", "image_class_map", "scene_recall@1"} <= names
    assert not {name for name in names if name.startswith(("abs_rel", "baseline", "chamfer", "boundary", "object"))}
    assert "cast_small on nyuv2" in capsys.readouterr().out
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["callbacks"]["BestCheckpoint"]["monitor"] == "val/loss"
    assert best["callbacks"]["BestCheckpoint"]["best_model_score"] > 0
    with (run / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert 0 <= float(rows[0]["level0_explained_variance"]) <= 1

    pictures = sorted((run / "panels").glob("*.png"))
    assert len(pictures) == 4
    assert min(cv2.imread(str(p)).std() for p in pictures) > 10
    assert not list(run.glob("worst_*"))
    strip = cv2.imread(str(run / "thumbnails" / "nyuv2" / "0004.jpg"))
    assert strip.shape == (120, 5 * 160, 3)
    assert min(tile.std() for tile in np.split(strip[:, : 4 * 160], 4, axis=1)) > 5  # segments, not black

    main(["predict", *arguments, "--ckpt_path", "best"])
    files = sorted((run / "segments" / "nyuv2").iterdir())
    assert [f.name for f in files] == ["0005.npz", "0006.npz", "0007.npz", "0008.npz"]
    with np.load(files[0]) as levels:
        assert {name: (ids.shape, ids.dtype) for name, ids in levels.items()} == {
            f"level{level}": ((48, 64), np.int64) for level in range(4)
        }
    assert not (run / "predictions").exists()


@pytest.fixture
def two_sets(workplace, monkeypatch):
    """Rooms in HyperSim's format and, others, in NYUv2's, at their smallest."""
    monkeypatch.setenv("SEGDEPTH_CACHE", str(workplace / "cache"))
    rooms = {"height": 48, "width": 64, "train_scenes": 3, "test_scenes": 2, "frames_per_scene": 1, "supersampling": 1}
    zero_shot = {"base": ["data/rooms"], "data": {"init_args": {"rooms": {**rooms, "seed": 0}}}}
    (workplace / "zero_shot.yaml").write_text(yaml.safe_dump(zero_shot))
    data = {**TINY["data"]["init_args"], "rooms": {**rooms, "seed": 1}, "crop": [48, 48]}
    config = {**TINY, "base": [], "tests": ["zero_shot.yaml"], "data": {"init_args": data}}
    (workplace / "both.yaml").write_text(yaml.safe_dump(config))
    return workplace


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shed_hybrid_hypersim", "depth_anything_v2_small_hypersim"])
def test_two_test_sets_in_one_run(two_sets, capsys, name):
    segments = ["--model.init_args.segments", "[6, 4, 2]"] if name.startswith("shed") else []
    arguments = ["--config", name, "--config", "data/rooms", "--config", "profile/quick", "--config", "both.yaml"]
    other = ["--model.init_args.test_protocols", '[{"name": "aligned", "min_depth": 0.001, "max_depth": 10.0, '
             '"alignment": "median"}]']  # fmt: skip
    main(["exp", *arguments, *segments, *other])
    (run,) = (two_sets / "runs" / name).iterdir()
    figures = json.loads((run / "metrics.json").read_text())
    sets = {key.split("/")[1] for key in figures}
    assert sets == {"rooms_hypersim", "rooms"}
    for dataset in sets:
        assert figures[f"test/{dataset}/abs_rel"] > 0
        assert figures[f"test/{dataset}/baseline_abs_rel"] > 0
        assert (run / f"worst_{dataset}.png").exists()
        assert len(list((run / "thumbnails" / dataset).iterdir())) == 2
        assert len(list((run / "panels").glob(f"{dataset}_0*.png"))) == 2
    with (run / "per_image.csv").open() as file:
        assert {row["dataset"] for row in csv.DictReader(file)} == sets
    assert "test/rooms/boundary_acc" in figures
    assert "test/rooms_hypersim/boundary_acc" not in figures  # HyperSim's files have no such truth
    output = capsys.readouterr().out
    assert f"{name} on rooms, aligned" in output
    assert f"{name} on rooms_hypersim, rooms" in output

    # a second test of the zero-shot set alone, under its protocol, gives its very figures
    aligned = ["--model.init_args.protocol.alignment", "median"]
    alone = ["--config", name, "--config", "zero_shot.yaml", "--config", "profile/quick", "--config", "alone.yaml"]
    config = {**TINY, "base": [], "tests": [], "data": {"init_args": {**TINY["data"]["init_args"]}}}
    (two_sets / "alone.yaml").write_text(yaml.safe_dump(config))
    main(["test", *alone, *segments, *aligned, "--ckpt_path", str(run / "checkpoints" / "best.ckpt"),
          "--run.name", "alone"])  # fmt: skip
    again = json.loads((two_sets / "runs" / name / "alone" / "metrics.json").read_text())
    shared = {key for key in again if "baseline" not in key}
    assert shared == {key for key in figures if key.startswith("test/rooms/") and "baseline" not in key}
    for key in shared:
        assert again[key] == (figures[key] and pytest.approx(figures[key], rel=1e-5)), key  # None is not finite


@pytest.mark.slow
def test_predictions_of_both_sets(two_sets):
    arguments = ["--config", "shed_hybrid_hypersim", "--config", "data/rooms", "--config", "profile/quick"]
    arguments += ["--config", "both.yaml", "--model.init_args.segments", "[6, 4, 2]", "--run.name", "one"]
    main(["predict", *arguments])
    found = {p.parent.name for p in (two_sets / "runs/shed_hybrid_hypersim/one/predictions").glob("*/*.npy")}
    assert found == {"rooms", "rooms_hypersim"}


class TestBadInput:
    @pytest.fixture
    def line(self, workplace, capsys):
        def line_(*arguments):
            with pytest.raises(SystemExit) as exit_:
                main(["test", *arguments])
            assert exit_.value.code == 2
            return capsys.readouterr().err.strip().splitlines()[-2]

        return line_

    def test_the_same_set_twice(self, line, workplace):
        (workplace / "twice.yaml").write_text(yaml.safe_dump({"tests": ["data/nyuv2"]}))
        said = line(*tiny("dpt_hybrid"), "--config", "twice.yaml")
        assert "two test sets are called `nyuv2`" in said

    def test_a_set_that_is_not_there(self, line):
        assert "nyuv2_oc" in line(*tiny("dpt_hybrid"), "--config", "test_on/nyuv2_oc")

    def test_protocols_that_are_not_as_many(self, line):
        protocol = '[{"name": "x", "min_depth": 0.1, "max_depth": 9.0}]'
        said = line(*tiny("dpt_hybrid"), "--model.init_args.test_protocols", protocol)
        assert "`model.init_args.test_protocols` has 1 entries, `data.init_args.extra_tests` 0" in said

    def test_a_learning_rate_for_nothing(self, workplace, capsys):
        with pytest.raises(SystemExit):
            main(["fit", *tiny("dpt_hybrid"), "--model.init_args.lr_scale", '{"network.encoder": 0.1}'])
        said = capsys.readouterr().err
        assert "no parameter's name begins with `network.encoder`; " in said
        assert "there are network.backbone" in said


class TestPrinted:
    """What bears the paper's name is what its text says, in the profile of the paper."""

    @pytest.fixture(autouse=True)
    def data_root(self, monkeypatch):
        monkeypatch.setenv("DATA_ROOT", "data")

    def test_levels_are_fused_as_maps_by_convolution(self):
        options = compose(["shed_hybrid"]).config["model"]["init_args"]
        assert "level_fusion" not in options  # the method's default
        method = build(compose(["shed_hybrid", "data/rooms", "profile/quick"]).config)
        assert all(isinstance(layer, torch.nn.Conv2d) for layer in method.network.level_fusion.projections)
        assert {tuple(layer.kernel_size) for layer in method.network.level_fusion.projections} == {(3, 3)}

    def test_the_light_variant_is_named(self):
        base, light = (compose([name]).config["model"]["init_args"] for name in ("shed_hybrid", "shed_light"))
        assert light == base | {"level_fusion": "tokens"}

    def test_the_literal_readings_come_together(self):
        base, literal = (compose([name]).config["model"]["init_args"] for name in ("shed_hybrid", "shed_as_printed"))
        assert literal == base | {"similarity": "tokens", "pool_mlp": "paper", "map_levels": [1, 2, 3]}

    @pytest.mark.parametrize("start", ["pretrained", "fresh"])
    def test_the_class_token_begins_as_the_transformer_s(self, start):
        config = compose(["shed_hybrid", "data/rooms", "profile/quick"]).config
        config["model"]["init_args"]["cls_token"] = start
        torch.manual_seed(0)
        method = build(config)
        parts = create_hybrid_parts(config["model"]["init_args"]["backbone"], strides=(4, 8), pretrained=False)
        width = class_token_start(parts.transformer).std()
        token = method.network.trunk.encoder.cls_tokens
        assert token.shape == (1, 1, 192)
        # a learned position has a spread of 0.02, a token of CAST's kind of 1e-6
        assert (token.std() > width / 2) == (start == "pretrained")
