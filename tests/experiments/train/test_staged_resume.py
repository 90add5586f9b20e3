"""Training in stages: what each leaves, and that a kill in the middle of any of them makes no difference."""

import json

import pytest
import torch
import yaml

from tests.experiments.train.test_resume import assert_same, weights
from tests.helpers.killed_runs import base_callbacks, checkpoint_every, run_forked
from tests.helpers.tiny_nyu import write_tiny_nyu

#: The stages of the paper, an epoch of three steps each; the last but one has an optimizer of its own.
STAGES = [
    {"name": "linear", "epochs": 1, "trains": ["generation"], "terms": {"support": 1.0}, "space": "linear"},
    {"name": "generation", "epochs": 2, "trains": ["generation"], "terms": {"support": 1.0}},
    {"name": "refinement", "epochs": 1, "trains": ["refinement"], "guidance": "truth", "terms": {"depth": 1.0}},
    {"name": "freeze_generation", "epochs": 1, "trains": ["refinement"], "guidance": "generated",
     "terms": {"depth": 1.0}, "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-4}},
     "schedule": {"name": "cosine"}},
    {"name": "end_to_end", "epochs": 1, "trains": ["generation", "refinement"], "guidance": "generated",
     "terms": {"support": 0.3, "depth": 0.7}},
]  # fmt: skip
#: Global step in the middle of each stage, and the epoch it is in.
MIDDLES = {"linear": (0, 1), "generation": (1, 4), "refinement": (3, 10), "freeze_generation": (4, 13),
           "end_to_end": (5, 16)}  # fmt: skip

EXPERIMENT = {
    "base": ["base/region_support", "data/nyuv2", "protocol/rooms"],
    "model": {"init_args": {"stages": STAGES, "pretrained": False, "width_mult": 0.02, "classes": 40}},
    "data": {
        "init_args": {
            "resize": None, "crop": [32, 48], "eval_size": None, "val_scenes": 0.4, "superpixels": None,
            "batch_size": 2, "eval_batch_size": 4, "num_workers": 0,
            "frame_maps": [{"class_path": "datamodules.RegionSupportTarget"}],
        }
    },
    "trainer": {
        "accelerator": "cpu", "devices": 1, "check_val_every_n_epoch": 1, "logger": False,
        "enable_progress_bar": False,
        "callbacks": base_callbacks(),
    },
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with data and the experiment `tiny.yaml`; a checkpoint every step."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=20)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    checkpoint_every(1, monkeypatch)
    return tmp_path


def run(place, name, *flags, command="exp", **options):
    arguments = [command, "--config", "tiny.yaml", "--run.name", name, "--run.resume", "true", *flags]
    status = run_forked(arguments, place / f"{name}.log", **options)
    return status, (place / f"{name}.log").read_text()


def checkpoint(place, name, file):
    return torch.load(place / "runs/tiny" / name / "checkpoints" / file, weights_only=True)


def parts(content):
    """Weights and statistics of both modules."""
    return {
        part: {key: value for key, value in content["state_dict"].items() if key.startswith(f"network.{part}.")}
        for part in ("generation", "refinement")
    }


def differ(one, other):
    return any(not torch.equal(value, other[key]) for key, value in one.items())


def check_what_the_stages_leave(place):
    files = sorted(path.name for path in (place / "runs/tiny/whole/checkpoints").glob("stage_*"))
    assert files == [f"stage_{number}_{stage['name']}.ckpt" for number, stage in enumerate(STAGES)]
    left = [checkpoint(place, "whole", file) for file in files]
    assert [content["stage"] for content in left] == [stage["name"] for stage in STAGES]
    assert [content["epoch"] for content in left] == [0, 2, 3, 4, 5]
    for before, after, stage in zip(left, left[1:], STAGES[1:], strict=False):
        for part in ("generation", "refinement"):
            assert differ(parts(before)[part], parts(after)[part]) == (part in stage["trains"]), (stage["name"], part)
    optimizers = [content["optimizer_states"][0] for content in left]
    assert all(len(state["state"]) == len(state["param_groups"][0]["params"]) for state in optimizers)
    assert ["exp_avg" in state["state"][0] for state in optimizers] == [False, False, False, True, False]
    assert [content["lr_schedulers"][0]["last_epoch"] for content in left] == [3, 6, 3, 3, 3]
    best = checkpoint(place, "whole", "best.ckpt")
    assert (best["stage"], best["epoch"]) == ("end_to_end", 5)


@pytest.mark.slow
def test_killed_in_every_stage_a_run_ends_as_if_it_was_not(place):
    status, log = run(place, "whole")
    assert status == 0, log[-3000:]
    check_what_the_stages_leave(place)
    for name, (epoch, step) in MIDDLES.items():
        fatal = ("train", "on_train_batch_start", str(epoch), str(step), "1")
        status, log = run(place, "killed", fatal=fatal)
        assert status == -9, log[-3000:]
        left = checkpoint(place, "killed", "last.ckpt")
        assert (left["stage"], left["global_step"]) == (name, step)
        if name != "linear":
            assert "resumed at epoch" in log
    status, log = run(place, "killed")
    assert status == 0, log[-3000:]
    assert "resumed at epoch 5, batch 1, step 16" in log
    assert_same(weights(place, "killed"), weights(place, "whole"))
    for number, stage in enumerate(STAGES):
        file = f"stage_{number}_{stage['name']}.ckpt"
        one, other = (checkpoint(place, run_, file) for run_ in ("killed", "whole"))
        assert_same(one["state_dict"], other["state_dict"], file)
    figures = [json.loads((place / "runs/tiny" / run_ / "metrics.json").read_text()) for run_ in ("killed", "whole")]
    assert_same(*figures)


@pytest.mark.slow
def test_stages_from_other_runs(place):
    """Both modules from runs that trained one each; nothing is trained, and the joined network is tested."""
    for part, stages in (("generation", STAGES[1:2]), ("refinement", STAGES[2:3])):
        (place / f"{part}.yaml").write_text(
            yaml.safe_dump({"base": ["tiny.yaml"], "model": {"init_args": {"stages": stages}}})
        )
        arguments = ["exp", "--config", f"{part}.yaml", "--run.name", "x"]
        assert run_forked(arguments, place / f"{part}.log") == 0, (place / f"{part}.log").read_text()[-3000:]
    stages = [*STAGES[:3], {"name": "joined", "epochs": 0, "guidance": "generated"}]
    (place / "tiny.yaml").write_text(yaml.safe_dump({**EXPERIMENT, "model": {"init_args": {
        **EXPERIMENT["model"]["init_args"], "stages": stages,
        "stage_from": {"generation": "runs/generation/x", "refinement": "runs/refinement/x/checkpoints/best.ckpt"},
    }}}))  # fmt: skip
    status, log = run(place, "joined")
    assert status == 0, log[-3000:]
    joined = checkpoint(place, "joined", "best.ckpt")
    assert joined["stage"] == "joined"
    assert joined["global_step"] == 0
    for part in ("generation", "refinement"):
        best = torch.load(place / f"runs/{part}/x/checkpoints/best.ckpt", weights_only=True)
        assert_same(parts(joined)[part], parts(best)[part])
    assert (place / "runs/tiny/joined/metrics.json").exists()


@pytest.mark.slow
def test_zero_epochs_after_training(place):
    """Baseline3 trains its modules itself; a run killed between its last epoch and the test ends in the last stage."""
    stages = [STAGES[0], STAGES[2], {"name": "joined", "epochs": 0, "guidance": "generated"}]
    content = {**EXPERIMENT, "model": {"init_args": {**EXPERIMENT["model"]["init_args"], "stages": stages}}}
    (place / "tiny.yaml").write_text(yaml.safe_dump(content))
    record = place / "events"
    assert run(place, "whole", record=record)[0] == 0
    events = [tuple(json.loads(line)) for line in record.read_text().splitlines()]
    fatal = next(
        event
        for event in events
        if event[0] == "write"
        and event[1].startswith("half of best")
        and event[2] == "6"
        and events.index(event) > events.index(("train", "on_train_epoch_end", "1", "6", "1"))
    )
    assert run(place, "killed", fatal=fatal)[0] == -9
    status, log = run(place, "killed")
    assert status == 0, log[-3000:]
    for name in ("whole", "killed"):
        assert checkpoint(place, name, "best.ckpt")["stage"] == "joined"
    one, other = (checkpoint(place, name, "best.ckpt")["state_dict"] for name in ("whole", "killed"))
    assert_same(one, other)
    figures = [json.loads((place / "runs/tiny" / name / "metrics.json").read_text()) for name in ("whole", "killed")]
    assert_same(*figures)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--trainer.max_epochs", "3"], "the stages last 6 epochs: leave `trainer.max_epochs` at -1"),
        (
            ["--model.init_args.stage_from", "{generation: nowhere}"],
            "stage `generation` begins from nowhere, which",
        ),
        (["--model.init_args.stage_epochs", "{refine: 1}"], "no stage `refine`; stages: linear, generation"),
    ],
)
def test_mistakes_are_one_line(place, flags, message):
    status, log = run(place, "wrong", *flags, command="fit")
    assert status == 2
    assert message in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_other_lengths_are_noticed_when_going_on(place):
    fatal = ("train", "on_train_batch_start", "4", "13", "1")
    assert run(place, "changed", fatal=fatal)[0] == -9
    status, log = run(place, "changed", "--model.init_args.stage_epochs", "{generation: 4}")
    assert status == 2
    assert "but the checkpoint is of `freeze_generation`: the stages had other lengths then" in log
