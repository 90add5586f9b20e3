"""Region Support Network's experiments on Rooms: the fused format, and stages that are short in the quick profile."""

import json
import math

import pytest
import yaml
from jsonargparse import ArgumentParser

from experiments.__main__ import main
from experiments.config.compose import compose, experiment_names
from experiments.grid.search_space import find_sweep, read_sweep
from experiments.results.published import read_published, select_tables
from lightning_modules import DepthModule

NAMES = [name for name in experiment_names() if name.startswith("region_support_")]
#: What the text says beside the tables, and other readings of it: no rows of their own.
READINGS = {f"region_support_{name}" for name in ("refinement_truth_63", "end_to_end_linear_first", "as_printed")}


@pytest.mark.parametrize("profile", ["quick", "claims"])
@pytest.mark.parametrize("name", NAMES)
def test_on_rooms(name, profile):
    config = compose([name, "data/rooms", f"profile/{profile}"]).config
    assert config["data"]["class_path"] == "datamodules.RoomsFusedDataModule"
    model = config["model"]["init_args"]
    trained = [stage["name"] for stage in model["stages"] if stage["epochs"]]
    epochs = model.get("stage_epochs", {})
    assert list(epochs) == trained
    assert sum(epochs.values()) <= 9
    assert config["trainer"]["max_epochs"] == -1


def test_every_row_has_an_experiment_and_is_in_the_sweep():
    tables = select_tables(read_published(), ["region_support"])
    rows = {row.experiment for table in tables for row in table.rows if row.experiment}
    points = read_sweep(find_sweep("region_support_ablations")).points()
    assert rows | READINGS == set(NAMES) == {point["experiment"] for point in points}


def test_the_refinement_after_63_epochs_is_the_one_of_the_bold_row(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    bold, early = (
        compose([f"region_support_refinement_truth{end}"]).config["model"]["init_args"] for end in ("", "_63")
    )
    assert early.pop("stage_epochs") == {"refinement": 63}
    assert early == bold


def test_as_printed(monkeypatch):
    """Seventeen linear epochs of the end-to-end stage, and every other literal choice, reach network and data."""
    monkeypatch.setenv("DATA_ROOT", "somewhere")
    config = compose(["region_support_as_printed"]).config
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    stages = [(stage["name"], stage["epochs"], stage.get("space", "log")) for stage in model["stages"]]
    assert stages == [
        ("generation", 40, "log"), ("refinement", 120, "log"), ("freeze_generation", 5, "log"),
        ("freeze_refinement", 3, "log"), ("end_to_end_linear", 17, "linear"), ("end_to_end", 23, "log"),
    ]  # fmt: skip
    assert model["optimizer"] == {"class_path": "torch.optim.SGD", "init_args": {"lr": 1e-3, "momentum": 0.0}}
    module = build({**config["model"], "init_args": {**model, "pretrained": False, "width_mult": 1 / 16}})
    refinement = module.network["refinement"]
    assert (refinement.in_channels, refinement.pyramid.ref) == (4, "feature")
    assert [type(layer).__name__ for layer in refinement.features[1:4]] == ["BasicBlock"] * 3
    assert data["frame_maps"][0]["init_args"] == {"split": "printed", "regions": "connected"}
    on_rooms = compose(["region_support_as_printed", "data/rooms", "profile/quick"]).config["data"]
    assert on_rooms["class_path"] == "datamodules.RoomsFusedDataModule"
    assert on_rooms["init_args"]["frame_maps"] == data["frame_maps"]


def build(model):
    parser = ArgumentParser()
    parser.add_subclass_arguments(DepthModule, "model")
    return parser.instantiate_classes(parser.parse_object({"model": model})).model


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(READINGS))
def test_a_reading_runs_from_end_to_end(workplace, monkeypatch, name):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(workplace / "cache"))
    config = compose([name, "data/rooms", "profile/quick"]).config
    small = {
        "data": {
            "init_args": {
                "rooms": {"height": 48, "width": 64, "train_scenes": 4, "test_scenes": 2, "frames_per_scene": 2},
                "resize": [24, 32], "crop": [24, 32], "batch_size": 2, "eval_batch_size": 2, "num_workers": 0,
            }
        },
        "model": {"init_args": {"stage_epochs": dict.fromkeys(config["model"]["init_args"]["stage_epochs"], 1)}},
        "trainer": {"accelerator": "cpu", "devices": 1},
    }  # fmt: skip
    (workplace / "small.yaml").write_text(yaml.safe_dump(small))
    configs = (name, "data/rooms", "profile/quick", "small.yaml")
    main(["exp", *(word for config in configs for word in ("--config", config))])
    (run,) = (workplace / "runs" / name).iterdir()
    figures = json.loads((run / "metrics.json").read_text())
    assert all(math.isfinite(figures[f"test/rooms_nyu_fused/{key}"]) for key in ("abs_rel", "rmse", "region_variance"))
