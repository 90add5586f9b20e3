"""The same commands on two processes (gloo): one run, one folder, and the figures of one process."""

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from datamodules.loading.samplers import TrainSampler
from tests.experiments.conftest import TINY
from tests.helpers.few_callbacks import FEW_CALLBACKS, FEW_CALLBACKS_ONLY
from tests.helpers.tiny_nyu import write_tiny_nyu

ROOT = Path(__file__).parents[2]


TINY_QUICK = ("--config", "profile/quick", "--config", "tiny.yaml")
WITHOUT_PICTURES = (*TINY_QUICK, *FEW_CALLBACKS_ONLY)


def segdepth(folder, *arguments, options=TINY_QUICK, succeeds=True):
    environment = {**os.environ, "DATA_ROOT": str(folder / "data"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "experiments", *arguments, *options]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280)
    assert (result.returncode == 0) == succeeds, result.stderr[-3000:]
    return result.stdout + result.stderr


def figures(run):
    with (run / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    measured = json.loads((run / "metrics.json").read_text())
    return {key: float("nan") if value is None else value for key, value in measured.items()}, rows


@pytest.mark.ddp
def test_training_and_evaluation(tmp_path):
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)  # seven test frames: uneven shards
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    network = ["--config", "shed_hybrid", "--model.init_args.segments", "[6, 4, 2]"]
    segdepth(tmp_path, "exp", *network, "--trainer.devices", "2", "--run.name", "two")
    runs = tmp_path / "runs" / "shed_hybrid"
    assert [run.name for run in runs.iterdir()] == ["two"]
    two, rows = figures(runs / "two")
    assert [int(row["index"]) for row in rows] == list(range(7, 14))
    assert len(list((runs / "two" / "wandb").glob("offline-run-*"))) == 1
    assert len(list((runs / "two" / "panels").glob("*.png"))) == 4
    assert len(list((runs / "two" / "clouds").glob("*.png"))) == 4
    assert len(list((runs / "two").glob("retrieval_*.png"))) == 1

    checkpoint = runs / "two" / "checkpoints" / "best.ckpt"
    segdepth(tmp_path, "test", *network, "--ckpt_path", str(checkpoint), "--run.name", "one")
    one, _ = figures(runs / "one")
    assert one == pytest.approx(two, rel=1e-5, nan_ok=True)


@pytest.mark.ddp
@pytest.mark.parametrize(("reduction", "accumulated"), [("batch", 1), ("image", 2)])
def test_two_processes_train_as_one(tmp_path, reduction, accumulated):
    """The same frames in every step, the same loss and the same figures, whoever has how many of the frames.

    The network is one without batch norm, which on a CPU sees the frames of its process alone. A loss over the pixels
    of a batch is another one where the batch comes in parts, so that is tried with the mean over images.
    """
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=44)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    options = [
        *("--model.init_args.backbone", "test_convnext+test_vit"),
        *("--model.init_args.depth_loss.init_args.reduction", reduction),
        *("--data.init_args.batch_size", "4", "--data.init_args.val_scenes", "0.1"),
        *("--trainer.max_epochs", "3", "--trainer.log_every_n_steps", "1"),
        *("--trainer.logger", "lightning.pytorch.loggers.CSVLogger"),
    ]
    few = ("--trainer.callbacks", json.dumps(FEW_CALLBACKS))
    curves, results = [], []
    for processes, accumulate in ((1, 1), (2, accumulated)):
        name = f"processes-{processes}"
        shares = [
            *("--trainer.devices", str(processes), "--trainer.accumulate_grad_batches", str(accumulate)),
            *("--run.name", name, "--trainer.logger.init_args.save_dir", name),
        ]
        output = segdepth(tmp_path, "exp", "--config", "dpt_hybrid", options=[*TINY_QUICK, *few, *options, *shares])
        assert ("batches of 4: 1 process x 4" if processes == 1 else "batches of 4: 2 processes x ") in output
        with (tmp_path / name / "lightning_logs" / "version_0" / "metrics.csv").open() as file:
            losses = [row["train/loss_epoch"] for row in csv.DictReader(file) if row["train/loss_epoch"]]
        curves.append([float(loss) for loss in losses])
        results.append(figures(tmp_path / "runs" / "dpt_hybrid" / name)[0])
    assert len(curves[0]) == 3
    assert curves[0] == pytest.approx(curves[1], rel=1e-5)
    assert results[0] == pytest.approx(results[1], rel=1e-5, nan_ok=True)


@pytest.mark.ddp
def test_predictions_of_another_program(tmp_path):
    """Seven frames, four in one process and three in the other: tables and figures are those of one process."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)
    (tmp_path / "mine").mkdir()
    guesses = np.random.default_rng(0).uniform(1, 5, (7, 24, 32)).astype(np.float32)
    for number, guess in enumerate(guesses, start=8):
        np.save(tmp_path / "mine" / f"{number:04d}.npy", guess)
    evaluated = []
    for devices in (1, 2):
        output = tmp_path / "out" / str(devices)
        arguments = ["--predictions", "mine", "--data", "nyuv2", "--protocol", "rooms", "--output", str(output)]
        segdepth(tmp_path, "evaluate", *arguments, "--devices", str(devices), "--accelerator", "cpu", options=())
        evaluated.append((figures(output), (output / "worst_nyuv2.png").read_bytes()))
    ((one, rows_of_one), sheet_of_one), ((two, rows_of_two), sheet_of_two) = evaluated
    assert one == pytest.approx(two, rel=1e-6, nan_ok=True)
    assert {"test/nyuv2/abs_rel", "test/nyuv2/object_delta1", "test/nyuv2/chamfer3d_recall"} <= one.keys()
    assert rows_of_one == rows_of_two
    assert [int(row["index"]) for row in rows_of_two] == list(range(7, 14))
    assert sheet_of_one == sheet_of_two


@pytest.mark.ddp
def test_two_nodes_under_torchrun(tmp_path):
    """Two agents on this machine, each of which believes to be a node: one run, one folder, each frame once."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{port}", "--rdzv-id", "lab", "-m", "experiments"),
        *("exp", "--config", "dpt_hybrid", *WITHOUT_PICTURES, "--trainer.num_nodes", "2", "--trainer.devices", "1"),
    ]
    environment = {**os.environ, "DATA_ROOT": str(tmp_path / "data"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    nodes = [
        subprocess.Popen(launch, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(2)
    ]
    outputs = [node.communicate(timeout=280)[0].decode() for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    (run,) = (tmp_path / "runs" / "dpt_hybrid").iterdir()
    assert run.name == "lab-nyuv2-quick"
    measured, rows = figures(run)
    assert "test/nyuv2/abs_rel" in measured
    assert [int(row["index"]) for row in rows] == list(range(7, 14))
    assert (run / "checkpoints" / "best.ckpt").is_file()


@pytest.mark.ddp
@pytest.mark.parametrize("rank", [0, 1])
def test_a_bad_frame_in_one_process_ends_both(tmp_path, rank):
    """The other process must not wait for gradients that never come."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2", frames=14)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    position, _ = next(iter(TrainSampler(range(7), num_replicas=2, rank=rank)))
    with h5py.File(tmp_path / "data/nyuv2/nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][position] = np.nan
    options = ["--config", "dpt_hybrid", "--data.init_args.val_scenes", "0", "--trainer.devices", "2"]
    output = segdepth(tmp_path, "fit", *options, options=WITHOUT_PICTURES, succeeds=False)
    assert f"nyu_depth_v2_labeled.mat: key `depths`: frame {position} (0-based)" in output
    skipping = ["--data.init_args.on_bad_sample", "skip", "--run.name", "skipping"]
    output = segdepth(tmp_path, "fit", *options, *skipping, options=WITHOUT_PICTURES)
    assert "skipped: " in output
    assert list((tmp_path / "runs/dpt_hybrid/skipping/checkpoints").glob("last.ckpt"))
