"""Run folders with made-up figures, for tests of what reads finished runs: nothing is trained."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import yaml

METRICS = ("abs_rel", "rmse", "log10", "silog", "delta1", "delta2", "delta3", "boundary_acc", "boundary_comp")

ENVIRONMENT = {
    "started": "2026-01-02T03:04:05+00:00", "command": "segdepth exp", "profile": "paper", "commit": "0123456789abcdef",
    "data": {"name": "nyuv2", "frames": {"train": 795, "val": 0, "test": 654}, "options": {"split": "official"}},
}  # fmt: skip


def write_run(
    folder: Path,
    *,
    frames: int = 12,
    seed: int = 0,
    dataset: str = "nyuv2",
    scene: str = "office_{:04d}",
    metrics: tuple[str, ...] = METRICS,
    steps: int = 200,
    pictures: bool = True,
    config: dict | None = None,
) -> Path:
    """Write a finished run with figures drawn from `seed`, so that runs differ."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    protocol = {"name": "nyu_eigen", "unit": 1.0}
    settings = {
        "seed_everything": seed,
        "run": {"name": folder.name, "tags": [folder.parent.name, dataset, "paper"]},
        "model": {"class_path": "lightning_modules.SHED", "init_args": {"width": 64 + seed, "protocol": protocol}},
        **(config or {}),
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    data = ENVIRONMENT["data"] | {"name": dataset, "synthetic": dataset.startswith("rooms")}
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT | {"seed": seed, "data": data}))
    table = rng.gamma(4.0, 0.03, (frames, len(metrics))) * (1 + np.arange(len(metrics)))
    with (folder / "per_image.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["dataset", "index", "scene", "frame", *metrics])
        for index, values in enumerate(table):
            writer.writerow([dataset, index, scene.format(index // 3), index % 3, *values.tolist()])
    figures = {f"test/{dataset}/{name}": value for name, value in zip(metrics, table.mean(0).tolist(), strict=True)}
    (folder / "metrics.json").write_text(json.dumps(figures))
    with (folder / "history.jsonl").open("w") as file:
        for step in range(10, 10 * steps + 1, 10):
            line = {"step": step, "epoch": step // 100, "train/loss_step": 1 / step**0.5 + 0.05 * float(rng.random())}
            if step % 100 == 0:
                line = {
                    "step": step,
                    "epoch": step // 100 - 1,
                    "val/abs_rel": 0.1 + 1 / step + 0.01 * float(rng.random()),
                }
            file.write(json.dumps(line) + "\n")
    if pictures:
        thumbnails = folder / "thumbnails" / dataset
        thumbnails.mkdir(parents=True)
        for index in range(frames):
            picture = np.full((120, 800, 3), (40 + 7 * index % 200, 90 + seed % 100, 160), np.uint8)
            for tile in range(5):
                cv2.putText(picture, f"{'itpeb'[tile]}{index}", (160 * tile + 20, 70), 0, 1.2, (255, 255, 255), 2)
            cv2.imwrite(str(thumbnails / f"{index:04d}.jpg"), picture)
    return folder
