"""Training samples per second and core: NYUv2's labelled file, its store, and the plainest reader of the same file.

A sample is a random 384x384 crop of a 480x640 frame with depth, labels, objects and SEEDS superpixels. Contestants are
interleaved, so that whatever else the machine does hits all of them; medians are compared. Files are in the page cache:
this measures the work, not the disk.

    make bench                      24 training frames of Rooms, rendered once in half a minute
    make bench ARGS="--quick"       4 frames, fewer rounds; epochs too short to compare workers by
    .venv/bin/python -m benchmarks.loader_throughput --root DATA_ROOT/nyuv2
                                    the real file; converts it, for the time, into two stores of 5 GB
"""

import argparse
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from multiprocessing import active_children
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import cv2
import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, Dataset, RandomSampler

from datamodules import NYUv2DataModule, SeedsSuperpixels
from datamodules.base import IMAGENET_NORMALIZATION
from datamodules.loading.workers import use_one_thread
from datamodules.nyuv2.labeled_format import CLASS_MAPPING_FILE, LABELED_FILE, read_class_mapping
from datamodules.rooms.dataset import RoomsParameters, ensure_rooms
from datamodules.splits import spread
from datamodules.storage.cache import cache_folder
from experiments.datasets.convert import convert

#: Edge of a training crop, pixels.
CROP = 384

#: Training frames that are read at most; more would say the same.
FRAMES = 24

PLAIN, LABELLED = "plain reader", "labelled file"
STORE_CROP, STORE_FRAME = "store, crops' superpixels", "store, frames' superpixels"

#: How often an epoch of the workers sees each frame, so that its start and end do not count.
REPEATS = {PLAIN: 4, LABELLED: 4, STORE_FRAME: 16}

#: Samples in a batch of the workers.
BATCH = 8

#: What the suite's contestants are: where superpixels are made, and whether frames come from a store.
SUITE: dict[str, tuple[Literal["crop", "frame"], bool]] = {
    LABELLED: ("crop", False),
    STORE_CROP: ("crop", True),
    STORE_FRAME: ("frame", True),
}


class PlainReader(Dataset[dict[str, Any]]):
    """The labelled file as one would read it in a notebook: no checks, no camera, no reproducible randomness.

    Args:
        path: the labelled file.
        frames: positions to read.
        classes: table from the file's class ids to the 40.
    """

    def __init__(self, path: Path, frames: Sequence[int], classes: NDArray[np.uint8]):
        self.path = path
        self.frames = frames
        self.classes = classes
        self.file: h5py.File | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Return a random crop of a frame, by the keys of the suite's samples."""
        if self.file is None:
            self.file = h5py.File(self.path)
        frame = self.frames[number]
        image = self.file["images"][frame].transpose(2, 1, 0)
        depth = self.file["rawDepths"][frame].T
        labels = self.file["labels"][frame].T
        instances = self.file["instances"][frame].T
        top, left = (int(torch.randint(size - CROP + 1, ())) for size in depth.shape)
        columns = slice(None, None, -1 if torch.rand(()) < 0.5 else 1)
        image, depth, labels, instances = (
            np.ascontiguousarray(array[top : top + CROP, left : left + CROP][:, columns])
            for array in (image, depth, labels, instances)
        )
        seeds = cv2.ximgproc.createSuperpixelSEEDS(CROP, CROP, 3, (CROP // 16) ** 2, 1, 2, 5, False)
        seeds.iterate(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), 15)
        mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET_NORMALIZATION)
        return {
            "image": (torch.from_numpy(image).permute(2, 0, 1).float() / 255 - mean) / std,
            "depth": torch.from_numpy(depth)[None],
            "valid": torch.from_numpy((depth > 0) & (depth <= 10))[None],
            "semantics": torch.from_numpy(self.classes[labels]).long(),
            "instances": torch.from_numpy(256 * labels.astype(np.int64) + instances),
            "superpixels": torch.from_numpy(seeds.getLabels()).long(),
        }


def open_module(root: Path, stores: Path, name: str, workers: int = 0) -> NYUv2DataModule:
    """Return one of the suite's contestants on :data:`FRAMES` training frames, spread; makes its store if need be."""
    superpixels_of, stored = SUITE[name]
    shared: dict[str, Any] = {"depth": "raw", "superpixels": SeedsSuperpixels(), "superpixels_of": superpixels_of}
    store = stores / superpixels_of
    if stored and not store.is_dir():
        convert(NYUv2DataModule(str(root), **shared), store)
    module = NYUv2DataModule(
        str(root),
        store=str(store) if stored else None,
        crop=(CROP, CROP),
        batch_size=BATCH,
        num_workers=workers,
        **shared,
    )
    module.setup()
    module.train_set.indices = tuple(spread(module.splits.train, FRAMES))
    return module


def repeated_loader(module: NYUv2DataModule, repeats: int) -> DataLoader[Any]:
    """Return the suite's own loader, with longer epochs."""
    module.train_set.indices *= repeats
    return module.train_dataloader()


def plain_loader(dataset: PlainReader, workers: int) -> DataLoader[Any]:
    """Return PyTorch's loader of a plain reader, with epochs as long."""
    return DataLoader(
        dataset,
        batch_size=BATCH,
        sampler=RandomSampler(dataset, num_samples=REPEATS[PLAIN] * len(dataset)),
        num_workers=workers,
        worker_init_fn=use_one_thread,
        persistent_workers=True,
    )


def sample_milliseconds(datasets: Mapping[str, Dataset[Any]], frames: int, rounds: int) -> dict[str, float]:
    """Return the median time of a sample in milliseconds, one of each data set after the other."""
    times: dict[str, list[float]] = {name: [] for name in datasets}
    for epoch in range(rounds + 1):
        for position in range(frames):
            for name, dataset in datasets.items():
                start = time.perf_counter()
                dataset[position if name == PLAIN else (position, epoch)]
                if epoch:  # the first round warms up
                    times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def worker_speedups(loaders: Mapping[str, Sequence[DataLoader[Any]]], rounds: int) -> dict[str, str]:
    """Return how many times as fast two workers are as one: by the best epoch of each, and the range over the rounds.

    The best, not the median: what else the machine does takes its cores from two workers before it does from one.
    """
    seconds: dict[str, list[list[float]]] = {name: [] for name in loaders}
    for round_ in range(rounds + 1):
        for name, pair in loaders.items():
            times = [epoch_seconds(loader) for loader in pair]
            if round_:  # the first round starts the workers
                seconds[name].append(times)
    speedups = {}
    for name, pairs in seconds.items():
        best = min(one for one, _ in pairs) / min(two for _, two in pairs)
        ratios = [one / two for one, two in pairs]
        speedups[name] = f"{best:.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
    return speedups


def epoch_seconds(loader: DataLoader[Any]) -> float:
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


def resident_megabytes(loader: DataLoader[Any], epochs: int) -> list[float]:
    """Return the resident MB of a loader's only worker after each epoch; no other child process may be alive."""
    resident = []
    for _ in range(epochs):
        epoch_seconds(loader)
        (worker,) = active_children()
        status = Path(f"/proc/{worker.pid}/status").read_text(encoding="utf-8")
        kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
        resident.append(int(kilobytes) / 1024)
    return resident


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="4 frames, fewer rounds; epochs too short to compare workers by"
    )
    parser.add_argument("--root", type=Path, help="folder of a labelled file; none takes Rooms")
    options = parser.parse_args()
    rooms = RoomsParameters(  # one colour sample a pixel: rendered in half the time
        height=480,
        width=640,
        train_scenes=2 if options.quick else 12,
        test_scenes=1,
        frames_per_scene=2,
        supersampling=1,
    )
    root = options.root or ensure_rooms(rooms, cache_folder())
    rounds = 2 if options.quick else 5
    torch.set_num_threads(1)  # as in a worker
    use_one_thread(0)

    with TemporaryDirectory(prefix="loader-", dir=cache_folder()) as folder:
        stores = Path(folder)
        modules = {name: open_module(root, stores, name) for name in SUITE}
        frames = modules[LABELLED].train_set.indices
        plain = root / LABELED_FILE, frames, read_class_mapping(root / CLASS_MAPPING_FILE)
        datasets = {PLAIN: PlainReader(*plain), **{name: module.train_set for name, module in modules.items()}}
        milliseconds = sample_milliseconds(datasets, len(frames), rounds)

        resident = {
            name: resident_megabytes(
                repeated_loader(open_module(root, stores, name, workers=1), REPEATS[LABELLED]), epochs=4
            )
            for name in (LABELLED, STORE_FRAME)
        }
        loaders = {
            name: [repeated_loader(open_module(root, stores, name, workers=n), REPEATS[name]) for n in (1, 2)]
            for name in resident
        }
        speedups = worker_speedups({PLAIN: [plain_loader(PlainReader(*plain), n) for n in (1, 2)], **loaders}, rounds)

    place = (
        f"{os.cpu_count()} cores, torch {torch.__version__}, OpenCV {cv2.__version__}, HDF5 {h5py.version.hdf5_version}"
    )
    table = Table(
        "",
        "ms / sample",
        "images/s a core",
        "/ plain",
        "labelled / this",
        "2 workers / 1",
        "worker, MB",
        title=f"{CROP}x{CROP} crops of {len(frames)} frames; {place}",
    )
    for name, value in milliseconds.items():
        memory = resident.get(name)
        table.add_row(
            name,
            f"{value:.1f}",
            f"{1000 / value:.0f}",
            f"{value / milliseconds[PLAIN]:.2f}",
            f"{milliseconds[LABELLED] / value:.2f}",
            speedups.get(name, ""),
            " ".join(f"{value:.0f}" for value in memory) if memory else "",
        )
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
