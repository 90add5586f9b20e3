"""Interrupted training, resumed: the same weights, figures and best checkpoint as without the interruption."""

import json
import os
import random
import signal
import zipfile

import pytest
import torch
import yaml

from tests.helpers.killed_runs import base_callbacks, checkpoint_every, run_forked
from tests.helpers.tiny_nyu import write_tiny_nyu

#: Interruptions of the long test; twenty were tried on 21 November 2026, none made a difference.
KILLS = int(os.environ.get("SEGDEPTH_KILLS", "8"))


EXPERIMENT = {
    "base": ["base/trainer", "data/nyuv2", "protocol/rooms"],
    "model": {"class_path": "tests.helpers.tiny_method.TinyMethod", "init_args": {"schedule": {"name": "poly"}}},
    "data": {
        "init_args": {
            "resize": None, "crop": [32, 48], "eval_size": None, "val_scenes": 0.4, "superpixels": None,
            "batch_size": 2, "eval_batch_size": 4, "num_workers": 0,
        }
    },
    "trainer": {
        "max_epochs": 3, "accelerator": "cpu", "devices": 1, "check_val_every_n_epoch": 1, "logger": False,
        "enable_progress_bar": False,
        "callbacks": base_callbacks(),
    },
}  # fmt: skip


AFTER_TWO_EPOCHS = ("train", "on_train_epoch_start", "2", "6", "1")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with data and the experiment `tiny.yaml`; a checkpoint every two steps."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=20)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    checkpoint_every(2, monkeypatch)
    return tmp_path


def run(place, command, name, *flags, **options):
    arguments = [command, "--config", "tiny.yaml", "--run.name", name, "--run.resume", "true", *flags]
    return run_forked(arguments, place / f"{name}.log", **options)


def results(place, name):
    """Everything a run ends with that an interruption might change."""
    folder = place / "runs" / "tiny" / name
    files = {file: torch.load(folder / "checkpoints" / file, weights_only=True) for file in ("last.ckpt", "best.ckpt")}
    kept = {
        file: {key: content[key] for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")}
        for file, content in files.items()
    }
    best = files["last.ckpt"]["callbacks"]["BestCheckpoint"]["best_model_score"]
    return kept, best, json.loads((folder / "metrics.json").read_text()), (folder / "per_image.csv").read_text()


def assert_same(left, right, where=""):
    if isinstance(left, dict):
        assert left.keys() == right.keys(), where
        for key in left:
            assert_same(left[key], right[key], f"{where}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), where
        for number, (one, two) in enumerate(zip(left, right, strict=True)):
            assert_same(one, two, f"{where}[{number}]")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), where
    else:
        assert left == right or (left != left and right != right), where


@pytest.mark.slow
def test_killed_anywhere_a_run_ends_as_if_it_was_not(place):
    record = place / "events"
    assert run(place, "exp", "whole", record=record) == 0, (place / "whole.log").read_text()[-2000:]
    events = [tuple(json.loads(line)) for line in record.read_text().splitlines()]
    phases = {event[0] for event in events}
    assert phases == {"train", "validation", "write", "test"}
    draw = random.Random(os.environ.get("SEGDEPTH_KILL_SEED", "0"))
    positions = {phase: [n for n, event in enumerate(events) if event[0] == phase] for phase in sorted(phases)}
    chosen = sorted(
        draw.choice(positions[phase]) for _, phase in zip(range(KILLS), sorted(phases) * KILLS, strict=False)
    )
    killed = [events[n] for n in chosen if run(place, "exp", "killed", fatal=events[n]) == -9]
    assert len(killed) >= KILLS * 3 // 4, killed  # an event of which the number starts anew may not come again
    assert run(place, "exp", "killed") == 0, (place / "killed.log").read_text()[-2000:]
    assert_same(results(place, "killed"), results(place, "whole"))
    assert not list((place / "runs/tiny/killed/checkpoints").glob("*.partial"))


def weights(place, name):
    content = torch.load(place / "runs/tiny" / name / "checkpoints/last.ckpt", weights_only=True)
    keys = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
    averaged = ("current_model_state", "averaging_state")  # with EMA, `state_dict` is the average
    state = {key: content[key] for key in (*keys, *averaged) if key in content}
    return state, content["callbacks"]["BestCheckpoint"]["best_model_score"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "step"),
    [
        (["--data.init_args.num_workers", "2"], 5),
        (["--data.init_args.batch_size", "4", "--trainer.accumulate_grad_batches", "2"], 3),
        (["--trainer.val_check_interval", "2"], 4),
        (["--trainer.max_steps", "8"], 5),
        (["--trainer.max_steps", "8"], 7),
        (["--trainer.check_val_every_n_epoch", "2"], 7),
        (["--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging", "--trainer.callbacks.decay=0.9"], 5),
    ],
    ids=[
        "workers",
        "accumulated",
        "validation within epochs",
        "steps",
        "steps at an epoch's end",
        "rare validation",
        "weight averaging",
    ],
)
def test_interrupted_within_an_epoch(place, monkeypatch, flags, step):
    checkpoint_every(1, monkeypatch)
    record = place / "events"
    assert run(place, "fit", "whole", *flags, record=record) == 0
    events = [tuple(json.loads(line)) for line in record.read_text().splitlines()]
    fatal = next(e for e in events if e[:2] == ("train", "on_train_batch_start") and e[3] == str(step))
    assert run(place, "fit", "killed", *flags, fatal=fatal) == -9
    assert run(place, "fit", "killed", *flags) == 0
    assert "resumed at epoch" in (place / "killed.log").read_text()
    assert_same(weights(place, "killed"), weights(place, "whole"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
@pytest.mark.parametrize("where", ["on_train_batch_start", "on_validation_batch_start"])
def test_a_signal_saves_and_stops(place, number, where):
    record = place / "events"
    assert run(place, "fit", "whole", record=record) == 0
    events = [tuple(json.loads(line)) for line in record.read_text().splitlines()]
    fatal = next(e for e in events if e[1:4] in ((where, "1", "4"), (where, "1", "6")))
    assert run(place, "fit", "stopped", fatal=fatal, number=number) == 128 + number
    log = (place / "stopped.log").read_text()
    saved = torch.load(place / "runs/tiny/stopped/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == (5 if where == "on_train_batch_start" else 6)
    assert f"{number.name}: stopped after step {saved['global_step']}" in log
    assert "Traceback" not in log
    assert run(place, "fit", "stopped") == 0
    assert_same(weights(place, "stopped"), weights(place, "whole"))


@pytest.mark.slow
def test_a_moved_run_goes_on_and_another_run_starts_from_its_best(place):
    assert run(place, "fit", "here", fatal=AFTER_TWO_EPOCHS) == -9
    (place / "runs/tiny/here").rename(place / "runs/tiny/there")
    best = place / "runs/tiny/there/checkpoints/best.ckpt"
    score = torch.load(best, weights_only=True)["callbacks"]["BestCheckpoint"]["best_model_score"]
    fork = ["--ckpt_path", str(best.with_name("last.ckpt")), "--trainer.max_epochs", "2"]
    assert run(place, "fit", "other", *fork) == 0  # nothing is left to train: the best is the other's
    assert_same(
        torch.load(place / "runs/tiny/other/checkpoints/best.ckpt", weights_only=True)["state_dict"],
        torch.load(best, weights_only=True)["state_dict"],
    )
    assert run(place, "fit", "there") == 0
    assert run(place, "fit", "whole") == 0
    assert_same(weights(place, "there"), weights(place, "whole"))
    assert weights(place, "there")[1] <= score


def place_of_weights(path):
    """First byte of the largest tensor; between tensors lie bytes that mean nothing."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda info: info.file_size)
    header = path.read_bytes()[largest.header_offset :][:30]
    return largest.header_offset + 30 + sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))


@pytest.mark.slow
@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_passed_over(place, harm):
    assert run(place, "fit", "harmed", fatal=AFTER_TWO_EPOCHS) == -9
    last = place / "runs/tiny/harmed/checkpoints/last.ckpt"
    content = bytearray(last.read_bytes())
    if harm == "flipped":
        content[place_of_weights(last)] ^= 0xFF
    last.write_bytes(content if harm == "flipped" else content[: len(content) // 2] if harm == "cut" else b"")
    (last.parent / "last.ckpt.partial").write_bytes(b"left by a kill")
    assert run(place, "fit", "harmed") == 0
    assert "last.ckpt cannot be read" in (place / "harmed.log").read_text()
    assert run(place, "fit", "whole") == 0
    assert_same(weights(place, "harmed"), weights(place, "whole"))
    assert not list(last.parent.glob("*.partial"))


@pytest.mark.slow
def test_sigterm_ends_the_test_and_the_next_start_measures(place):
    fatal = ("test", "on_test_batch_start", "3", "9", "2")
    assert run(place, "exp", "stopped", fatal=fatal, number=signal.SIGTERM) == 128 + signal.SIGTERM
    folder = place / "runs/tiny/stopped"
    assert not (folder / "metrics.json").exists()
    assert run(place, "exp", "stopped") == 0
    assert (folder / "metrics.json").exists()
    assert "resumed at epoch" not in (place / "stopped.log").read_text()  # nothing was trained again


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_same_seed_gives_the_same_losses(place, workers):
    for name in ("one", "two"):
        assert run(place, "fit", name, "--data.init_args.num_workers", workers) == 0
    assert run(place, "fit", "other", "--seed_everything", "1") == 0
    assert_same(weights(place, "one"), weights(place, "two"))
    with pytest.raises(AssertionError):
        assert_same(weights(place, "one"), weights(place, "other"))
