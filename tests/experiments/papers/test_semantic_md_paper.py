"""Every experiment of Semantic-MD's tables: its recipe, its quick profile learns, and predicted semantics in tests."""

import csv
import json

import cv2
import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from experiments.__main__ import main
from experiments.config.compose import EXPERIMENTS, compose, experiment_names
from experiments.results.finished_runs import read_runs
from experiments.results.marks import oracle_of
from experiments.results.published import read_published, select_tables
from lightning_modules import DepthModule
from lightning_modules.networks.semantic_md.semantic_inputs import OneHotClasses

ROWS = [row.experiment for table in select_tables(read_published(), ["semantic_md"]) for row in table.rows]

#: The others are slow, as their sum is.
FAST = ("semantic_md_semantic_conv", "semantic_md_two_head_sobel", "semantic_md_deeplab_two_head_dice_ce")

#: Rows whose default is not what the paper prints.
AS_PRINTED = sorted(name for name in experiment_names() if name.startswith("semantic_md") and "as_printed" in name)


def build(config):
    """The method, as the command line builds it."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DepthModule, "model")
    method = parser.instantiate(parser.parse_object({"model": config["model"]})).model
    if isinstance(method.network.semantic_input, OneHotClasses):
        method.network.semantic_input.choose(range(1, 41))
    return method


def frames():
    """Two frames of the quick profile's size: depth recedes, labels in squares, some pixels without either."""
    generator = torch.Generator().manual_seed(1)
    depth = torch.linspace(1, 16, 64)[:, None].expand(2, 1, 64, 64).clone()
    depth[:, :, :4] = 0
    semantics = torch.randint(0, 41, (2, 8, 8), generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
    edges = torch.zeros(2, 1, 64, 64)
    edges[..., ::8, :] = edges[..., :, ::8] = 1
    image = torch.randn(2, 3, 64, 64, generator=generator) + depth / 4
    return {"image": image, "depth": depth, "valid": depth > 0, "semantics": semantics, "edges": edges}


@pytest.mark.parametrize(
    "name", [n if n in (*FAST, *AS_PRINTED) else pytest.param(n, marks=pytest.mark.slow) for n in (*ROWS, *AS_PRINTED)]
)
def test_a_step_of_the_quick_profile_lowers_the_loss(name):
    """With all parameters learning, and the mark of an oracle where semantics are read."""
    torch.manual_seed(0)
    method = build(compose([name, "data/rooms_hypersim", "profile/quick"]).config)
    assert (method.oracle == "semantics") == (oracle_of(name) == "semantics")
    batch = frames()
    optimizer = torch.optim.SGD(method.parameters(), lr=1e-3)

    def loss():
        torch.manual_seed(2)  # the same blocks skipped each time
        return sum(method.losses(method(batch), batch).values())

    first = loss()
    first.backward()
    assert [n for n, p in method.named_parameters() if p.grad is None] == []
    optimizer.step()
    with torch.no_grad():
        assert loss() < first


@pytest.mark.parametrize("name", ["semantic_md_baseline_l1", "semantic_md_deeplab_two_head_ce"])
def test_the_paper_profile_is_the_papers_recipe(name, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    config = compose([name]).config
    model, data = config["model"]["init_args"], config["data"]["init_args"]
    assert model["encoder"] == "efficientnet_b4"
    assert model["decoder"] == ("deeplabv3" if "deeplab" in name else "unet")
    assert model["optimizer"] == {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3, "weight_decay": 0.0}}
    assert model["schedule"] == {"name": "cosine", "floor": 1e-6}
    assert model["max_depth"] == 15
    assert model["semantic_weight"] == model["contour_weight"] == 0.07
    assert (config["trainer"]["max_epochs"], data["batch_size"], config["run"]["tested"]) == (15, 32, "last")
    assert (data["frames"], data["depth"], data["tone_map"]) == ("semantic_md", "distance", "apple")
    assert data["crop"] == [256, 256]
    assert (data["hflip"], data.get("color_jitter")) == (0.0, None)
    steps = {step["class_path"].rpartition(".")[2]: step["init_args"] for step in data["preprocess"]}
    assert list(steps) == ["ResizeFrame", "CenterCrop", "ClampDepth"]
    assert steps["ResizeFrame"]["size"] == [256, 342]
    assert (steps["CenterCrop"]["size"], steps["ClampDepth"]["max_depth"]) == ([256, 256], 15.0)
    assert data["test_part"] == "val"
    assert config["trainer"].get("check_val_every_n_epoch", 1) == 1
    assert model["pretrained"] is True
    assert model["depth_loss"] == {"class_path": "lightning_modules.losses.L1Loss"}
    assert (model["semantic_input"], model["sobel_weight"]) == (None, 0.0)
    protocol = model["protocol"]
    assert (protocol["max_depth"], protocol["clip_truth"], protocol["clamp"]) == (15.0, True, "below")
    assert (protocol["averaging"], protocol["delta_over"], protocol["unit"]) == ("pooled", "valid", 1.0)


#: What the paper says that each row has, beyond the baseline with l1 (sections 3 and 4.3).
SAID = {
    "baseline_l1": {},
    "baseline_berhu": {"depth_loss": "BerHuLoss"},
    "concat": {"semantic_input": "RawLabels"},
    "onehot40": {"semantic_input": "OneHotClasses"},
    "onehot20": {"semantic_input": "OneHotClasses"},
    "onehot3": {"semantic_input": "OneHotClasses"},
    "semantic_conv": {"semantic_input": "SemanticConvolution"},
    "contour": {"semantic_input": "LabelContours"},
    "two_head": {"heads": ["depth", "semantics"]},
    "three_head": {"heads": ["depth", "semantics", "contours"]},
    "encoder_resnet50": {"encoder": "resnet50"},
    "encoder_efficientnet_b2": {"encoder": "efficientnet_b2"},
    "encoder_efficientnet_b3": {"encoder": "efficientnet_b3"},
    "encoder_efficientnet_b4": {},
    "two_head_dice": {"heads": ["depth", "semantics"], "losses": (0.0, 1.0, 0.0)},
    "two_head_dice_ce": {"heads": ["depth", "semantics"], "losses": (0.5, 0.5, 0.0)},
    "two_head_ftl_ce": {"heads": ["depth", "semantics"], "losses": (0.5, 0.0, 0.5)},
    "two_head_sobel": {"heads": ["depth", "contours"], "sobel_weight": 0.07, "edge_target": "sobel"},
    "deeplab_l1": {"decoder": "deeplabv3"},
    "deeplab_onehot40": {"decoder": "deeplabv3", "semantic_input": "OneHotClasses"},
    "deeplab_two_head_ce": {"decoder": "deeplabv3", "heads": ["depth", "semantics"]},
    "deeplab_two_head_dice_ce": {
        "decoder": "deeplabv3", "heads": ["depth", "semantics"], "losses": (0.5, 0.5, 0.0),
    },
}  # fmt: skip


def said_of(model):
    """What a row has beyond the baseline, as :data:`SAID` has it."""
    plain = {
        "encoder": "efficientnet_b4", "decoder": "unet", "heads": ["depth"], "sobel_weight": 0.0,
        "edge_target": "contours", "depth_loss": "L1Loss", "semantic_input": "None", "losses": (1.0, 0.0, 0.0),
    }  # fmt: skip
    loss = model["semantic_loss"]["init_args"]
    has = {key: model.get(key, plain[key]) for key in ("encoder", "decoder", "heads", "sobel_weight", "edge_target")}
    for key in ("depth_loss", "semantic_input"):
        has[key] = str((model[key] or {}).get("class_path")).rpartition(".")[2]
    has["losses"] = tuple(loss[key] for key in ("cross_entropy", "dice", "focal_tversky"))
    return {key: value for key, value in has.items() if value != plain[key]}


def test_each_row_is_what_the_paper_says_of_it(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    models = {name: compose([f"semantic_md_{name}"]).config["model"]["init_args"] for name in SAID}
    assert {name: said_of(model) for name, model in models.items()} == SAID
    assert {f"semantic_md_{name}" for name in SAID} == set(ROWS)
    for count in (40, 20, 3):
        assert models[f"onehot{count}"]["semantic_input"]["init_args"] == {"classes": count}
    tversky = models["two_head_ftl_ce"]["semantic_loss"]["init_args"]
    assert (tversky["alpha"], tversky["beta"], tversky["gamma"]) == (0.7, 0.3, 1.5)
    assert all(model["semantic_weight"] == model["contour_weight"] == 0.07 for model in models.values())


def test_the_released_behaviour_is_one_more_configuration(monkeypatch):
    """The numbers are those of the note's list of departures."""
    monkeypatch.setenv("DATA_ROOT", "/data")
    for name in ("semantic_md_onehot40", "semantic_md_three_head", "semantic_md_two_head_sobel"):
        config = compose([name, "semantic_md/as_released"]).config
        model, data = config["model"]["init_args"], config["data"]["init_args"]
        loss = model["semantic_loss"]["init_args"]
        assert model["contour_weight"] == 0.1  # 3
        assert (loss["alpha"], loss["beta"]) == (0.8, 0.2)  # 4
        assert model["sobel_loss"]["init_args"] == {"mode": "detached", "threshold": 20.0}  # 5, 6
        assert loss["smooth"] == 1e-4
        assert (loss["transposed"], loss["probabilities"], loss["mean_over"]) == (True, "sigmoid", "all")  # 7, 8, 9
        assert (data["tone_map"], data["depth"]) == ("semantic_md", "distance")  # 10, 11
        assert config["run"]["tested"] == "last"  # 12
        protocol = model["protocol"]
        assert (protocol["relative_to"], protocol["delta_over"]) == ("truth", "all")  # 13, 15
        assert (protocol["averaging"], protocol["images_per_batch"]) == ("batches", 32)
    plain = compose(["semantic_md_two_head_ftl_ce"]).config["model"]["init_args"]["semantic_loss"]["init_args"]
    weights = {key: loss for key, loss in plain.items() if key in ("cross_entropy", "dice", "focal_tversky")}
    released = compose(["semantic_md_two_head_ftl_ce", "semantic_md/as_released"]).config
    assert weights.items() <= released["model"]["init_args"]["semantic_loss"]["init_args"].items()  # the row's own stay


@pytest.mark.parametrize("overlays", [[], ["data/rooms", "profile/quick"], ["data/rooms_hypersim"]])
def test_rows_as_printed_are_those_of_the_table_but_for_what_is_printed(overlays, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    printed = {
        "baseline_berhu": ("depth_loss", {"threshold": "max_value", "scope": "batch"}),  # equation 2
        "concat": ("semantic_input", {"scaled": False}),  # T(x) = x
        "semantic_conv": ("semantic_input", {"width": None}),  # an MBConv block
        "contour": ("semantic_input", {"mode": "opening", "scaled": False}),  # equation 5
        "two_head_sobel": ("sobel_loss", {"mode": "soft", "threshold": 0.08, "size": 3}),  # [33], section 4.3
    }
    assert [f"semantic_md_{name}_as_printed" for name in sorted(printed)] == AS_PRINTED
    for name, (key, options) in printed.items():
        row, as_printed = (compose([f"semantic_md_{name}{end}", *overlays]).config for end in ("", "_as_printed"))
        assert as_printed["model"]["init_args"][key]["init_args"] == options
        assert as_printed["model"]["init_args"]["protocol"]["relative_to"] == "prediction"  # RME, section 4.1
        for config in (row, as_printed):
            del config["model"]["init_args"][key], config["model"]["init_args"]["protocol"]
        assert as_printed == row
    overlaid = compose(["semantic_md_two_head", "semantic_md/as_printed", *overlays]).config
    assert overlaid["model"]["init_args"]["protocol"]["relative_to"] == "prediction"


def test_the_sweep_is_the_tables_rows():
    sweep = yaml.safe_load((EXPERIMENTS / "sweeps/semantic_md_ablations.yaml").read_text())
    assert sweep["parameters"]["experiment"]["values"] == ROWS
    assert {*ROWS, *AS_PRINTED} == {name for name in experiment_names() if name.startswith("semantic_md")}


# --- predicted semantics ----------------------------------------------------------------------------------------------

ROOMS = {"height": 64, "width": 64, "train_scenes": 3, "test_scenes": 2, "frames_per_scene": 1, "supersampling": 1}

#: The smallest networks of the paper, on Rooms of 64x64 in HyperSim's format, tested on others in NYUv2's as well.
SMALLEST = {
    "base": ["protocol/rooms"],
    "tests": ["other.yaml"],
    "data": {
        "init_args": {
            "rooms": {**ROOMS, "seed": 1}, "preprocess": None, "resize": None, "crop": [64, 64], "batch_size": 3,
            "eval_batch_size": 2, "num_workers": 0,
        }
    },
    "model": {
        "init_args": {"encoder": "mobilenetv3_small_050", "decoder_options": {"decoder_channels": [8, 8, 8, 8, 8]}}
    },
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1},
}  # fmt: skip

PREDICTED = "experiments.foreign.predicted_semantics.PredictedSemantics"


@pytest.fixture
def two_sets(workplace, monkeypatch):
    """Rooms in HyperSim's format and, others, in NYUv2's, at their smallest."""
    monkeypatch.setenv("SEGDEPTH_CACHE", str(workplace / "cache"))
    other = {"base": ["data/rooms"], "data": {"init_args": {"rooms": {**ROOMS, "seed": 0}}}}
    (workplace / "other.yaml").write_text(yaml.safe_dump(other))
    (workplace / "smallest.yaml").write_text(yaml.safe_dump(SMALLEST))
    return workplace


def arguments(name):
    configs = [name, "data/rooms_hypersim", "profile/quick", "smallest.yaml"]
    return [word for config in configs for word in ("--config", config)] + ["--run.name", "one"]


def figures_of(workplace, name):
    return json.loads((workplace / "runs" / name / "one" / "metrics.json").read_text())


@pytest.mark.slow
def test_predicted_semantics_on_two_test_sets(two_sets, capsys):
    """The gap of a method that reads true semantics; the confusion matrix of the one that predicts them."""
    segmenter, method = "semantic_md_two_head", "semantic_md_onehot40"
    main(["exp", *arguments(segmenter)])
    run = two_sets / "runs" / segmenter / "one"
    for dataset in ("rooms_hypersim", "rooms"):
        assert cv2.imread(str(run / f"confusion_{dataset}.png")).std() > 5
        with (run / f"class_iou_{dataset}.csv").open() as file:
            assert next(csv.DictReader(file))["class"] == "wall"

    main(["exp", *arguments(method)])
    true = figures_of(two_sets, method)
    given = [f"--trainer.callbacks+={PREDICTED}", f"--trainer.callbacks.segmenter={run}"]
    main(["test", *arguments(method), "--ckpt_path", "last", *given])
    figures = figures_of(two_sets, method)
    for dataset in ("rooms_hypersim", "rooms"):
        predicted = f"test/{dataset}_predicted_semantics"
        for name in ("abs_rel", "rmse", "delta1"):
            truth = figures[f"test/{dataset}/{name}"]
            assert truth == pytest.approx(true[f"test/{dataset}/{name}"], rel=1e-5)  # as without the segmenter
            gap = figures[f"{predicted}/{name}"] - truth
            assert figures[f"{predicted}/gap_{name}"] == pytest.approx(gap, abs=1e-6)
        assert figures[f"{predicted}/gap_abs_rel"] != 0
        # of the segmenter, on the same frames
        assert figures[f"{predicted}/miou"] == pytest.approx(
            figures_of(two_sets, segmenter)[f"test/{dataset}/miou"], rel=1e-4
        )
    results = {result.dataset: result for result in read_runs(two_sets / "runs", [method])}
    assert {name: result.oracle for name, result in results.items()} == {
        "rooms_hypersim": "oracle semantics", "rooms": "oracle semantics",
        "rooms_hypersim_predicted_semantics": "", "rooms_predicted_semantics": "",
    }  # fmt: skip
    capsys.readouterr()
    main(["table", "semantic_md/table1"])
    table = capsys.readouterr().out
    assert "| onehot40, oracle semantics (semantic_md_onehot40) | rooms_hypersim | rooms_hypersim |" in table
    assert "| onehot40 (semantic_md_onehot40) | rooms_hypersim | rooms_hypersim_predicted_semantics |" in table

    refused = {
        "reads true semantics itself; name another run": [method, two_sets / "runs" / method / "one"],
        "SemanticMD as configured reads no semantics": [segmenter, run],
    }
    for message, (name, folder) in refused.items():
        given[1] = f"--trainer.callbacks.segmenter={folder}"
        with pytest.raises(SystemExit):
            main(["test", *arguments(name), "--ckpt_path", "last", *given])
        assert message in capsys.readouterr().err
