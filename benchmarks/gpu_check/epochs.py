"""`exp` of each method on a few rooms, for one epoch, as a person would start it."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

#: One experiment of each method, and of SHED's ways to be trained.
EXPERIMENTS: dict[str, tuple[str, ...]] = {
    "dpt_hybrid": (),
    "shed_hybrid": (),
    "mti_net_guided": (),
    "semantic_md_two_head": (),
    "region_support_end_to_end": (),
    "cast_small": (),
    "dpt_hybrid captured": ("--model.capture", "true"),
}


def has_seeds() -> bool:
    """Tell whether OpenCV has SEEDS, which its contrib distributions have."""
    if find_spec("cv2") is None:
        return False
    import cv2

    return hasattr(cv2, "ximgproc")


def run_epoch(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Train and test an experiment for an epoch of two batches; without SEEDS, SHED takes squares as superpixels."""
    experiment = name.split()[0]
    command = [
        sys.executable, "-m", "experiments", "exp", "--config", experiment, "--config", "data/rooms",
        "--config", "profile/quick", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2",
        "--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1",
        "--trainer.check_val_every_n_epoch", "1", "--trainer.precision", "bf16-mixed",
        "--run.root", str(folder.resolve() / "runs"), *EXPERIMENTS[name],
    ]  # fmt: skip
    superpixels = "SEEDS"
    if experiment.startswith("shed") and not has_seeds():
        superpixels = "squares, since this OpenCV has no SEEDS"
        command += ["--data.init_args.superpixels.class_path", "datamodules.GridSuperpixels"]
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {seconds:.0f} s"}
    (folder / f"epoch-{name.replace(' ', '-')}.log").write_text(done.stdout + done.stderr)
    result: dict[str, Any] = {"passed": done.returncode == 0, "seconds": time.monotonic() - start}
    if experiment.startswith(("shed", "cast")):
        result["superpixels"] = superpixels
    if done.returncode:
        result["error"] = (done.stderr.strip().splitlines() or [""])[-1][:300]
    return result
