"""A worker that reads for hours needs no more memory than one that reads for minutes."""

from multiprocessing import active_children
from pathlib import Path

import pytest

from datamodules import GridSuperpixels, NYUv2DataModule
from datamodules.rooms.dataset import RoomsParameters, ensure_rooms
from experiments.datasets.convert import convert

#: What allocators keep or give back as they like, MB; an epoch reads seven times as much.
TOLERANCE = 5


def resident_megabytes(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="resident memory is read from Linux's /proc")
@pytest.mark.parametrize("stored", [False, True], ids=["labelled file", "store"])
def test_a_worker_does_not_grow_over_three_epochs(stored, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    rooms = RoomsParameters(height=96, width=128, train_scenes=1, test_scenes=1, frames_per_scene=2, supersampling=1)
    options = {"superpixels": GridSuperpixels(), "superpixels_of": "frame" if stored else "crop", "crop": (64, 64)}
    options |= {"eval_size": None, "batch_size": 4, "num_workers": 1}
    root = str(ensure_rooms(rooms, tmp_path, progress=False))
    store = None
    if stored:
        store = str(tmp_path / "store")
        convert(NYUv2DataModule(root, **options), Path(store), workers=0)
    module = NYUv2DataModule(root, store=store, **options)
    module.setup()
    module.train_set.indices *= 60  # so that an epoch reads 35 MB
    loader = module.train_dataloader()
    others, resident = set(active_children()), []
    for _ in range(4):
        assert sum(1 for _ in loader) == 30
        (worker,) = set(active_children()) - others
        resident.append(resident_megabytes(worker.pid))
    assert resident[-1] - resident[0] < TOLERANCE, resident
