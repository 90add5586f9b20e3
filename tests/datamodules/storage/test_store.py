"""Prepared frames, cached maps and the converted store: what comes out is what went in, after interruptions too."""

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
import torch

from datamodules import (
    CLAHE,
    FrameSuperpixels,
    GridSuperpixels,
    NYUv2DataModule,
    RegionSupportTarget,
    ResizeFrame,
    SeedsSuperpixels,
)
from datamodules.pipeline.prepared import PreparedReader, describe
from datamodules.storage import store
from datamodules.storage.store import StorePlan, StoreReader, write_store
from tests.helpers.tiny_nyu import write_tiny_nyu


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    return write_tiny_nyu(tmp_path / "nyuv2", raw=True)


def module(folder, **options):
    options = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "batch_size": 2, **options}
    return NYUv2DataModule(str(folder), **options)


def convert(made, target, **options):
    splits = made.read_splits(made.reader)
    parts = {part: list(getattr(splits, part)) for part in ("train", "val", "test")}
    plan = StorePlan(made.name, made.reader.identity, made.all_options, parts, **options)
    return list(write_store(made.reader, target, plan))


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key, value in first.items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == second[key].dtype, key
            torch.testing.assert_close(value, second[key], rtol=0, atol=0)
        else:
            assert value == second[key], key


OPTIONS = {"frame_maps": [RegionSupportTarget()], "superpixels": SeedsSuperpixels(8), "superpixels_of": "frame"}


@pytest.mark.parametrize("compression", [None, "lzf"])
def test_a_store_gives_the_same_samples(folder, tmp_path, monkeypatch, compression):
    monkeypatch.setattr(store, "SHARD", 3)
    made = module(folder, **OPTIONS)
    assert convert(made, tmp_path / "store", compression=compression) == list(range(9))
    assert len(list((tmp_path / "store").glob("frames-*.h5"))) == 3
    (folder / "nyu_depth_v2_labeled.mat").rename(tmp_path / "gone.mat")  # the originals are not needed
    stored = module(folder, store=str(tmp_path / "store"), **OPTIONS)
    original = module(folder, **OPTIONS)
    (tmp_path / "gone.mat").rename(folder / "nyu_depth_v2_labeled.mat")
    stored.setup()
    original.setup()
    assert stored.name == original.name == "nyuv2"
    assert stored.provides == original.provides
    for part in ("train_set", "test_set"):
        for position in range(4):
            assert_same(getattr(original, part)[position], getattr(stored, part)[position])
    assert stored.train_depth_median() == original.train_depth_median()
    assert [b["index"].tolist() for b in stored.test_dataloader()] == [[4, 5, 6, 7]]


def test_an_interrupted_conversion_goes_on(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD", 3)
    made = module(folder)
    read, reads = made.reader.read, []

    def fail_at_five(position):
        if position == 5 and len(reads) < 6:
            raise KeyboardInterrupt
        reads.append(position)
        return read(position)

    monkeypatch.setattr(made.reader, "read", fail_at_five)
    with pytest.raises(KeyboardInterrupt):
        convert(made, tmp_path / "store")
    with pytest.raises(FileNotFoundError, match=r"store\.json is missing.*not finished: run it again"):
        StoreReader(tmp_path / "store")
    assert sorted(path.name for path in (tmp_path / "store").glob("*.h5")) == ["frames-00000.h5"]
    reads += [-1]
    assert convert(made, tmp_path / "store")[0] == 3  # the first file is not made again
    assert reads[6:] == [3, 4, 5, 6, 7]
    assert len(StoreReader(tmp_path / "store")) == 8


def test_other_options_are_refused_by_name(folder, tmp_path):
    convert(module(folder), tmp_path / "store")
    with pytest.raises(ValueError, match=r"store: was converted with `depth` 'auto', but `data.init_args` has 'raw'"):
        module(folder, store=str(tmp_path / "store"), depth="raw").setup()
    with pytest.raises(ValueError, match="`frame_maps`"):
        module(folder, store=str(tmp_path / "store"), **OPTIONS).setup()
    with pytest.raises(ValueError, match=r"holds a store of other data or options.*give another folder"):
        convert(module(folder, depth="filled"), tmp_path / "store")
    with pytest.raises(FileNotFoundError, match=r"nowhere.*`segdepth data convert`\) is not there"):
        module(folder, store=str(tmp_path / "nowhere")).setup()


def test_splits_are_kept_and_scenes_held_out_of_them(folder, tmp_path):
    convert(module(folder), tmp_path / "store")
    stored = module(folder, store=str(tmp_path / "store"), val_scenes=0.5)
    original = module(folder, val_scenes=0.5)
    assert (list(stored.splits.train), list(stored.splits.val)) == (
        list(original.splits.train),
        list(original.splits.val),
    )


def test_ids_that_grow_are_not_cut(folder, tmp_path, monkeypatch):
    """A later frame with larger ids than the first one's: the array is widened, not wrapped."""
    made = module(folder)
    read = made.reader.read

    def larger(position):
        frame = read(position)
        frame.maps["instances"] = frame.maps["instances"] * 0 + 50 * 40**position
        return frame

    monkeypatch.setattr(made.reader, "read", larger)
    convert(made, tmp_path / "store")
    stored = StoreReader(tmp_path / "store")
    for position in range(8):
        assert stored.read(position).maps["instances"].unique().tolist() == [50 * 40**position]


def test_a_damaged_shard_is_named(folder, tmp_path):
    convert(module(folder), tmp_path / "store")
    path = tmp_path / "store/frames-00000.h5"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"frames-00000\.h5 .*labeled\.mat.*damaged.*convert again"):
        StoreReader(tmp_path / "store").read(2)


def test_cached_maps_are_made_once_and_bit_for_bit_the_same(folder, tmp_path):
    made = module(folder, **OPTIONS)
    first = [made.reader.read(p).maps for p in range(3)]
    files = sorted((tmp_path / "cache/derived").rglob("*.npz"))
    assert [path.name for path in files] == ["000000.npz", "000001.npz", "000002.npz"]
    times = [path.stat().st_mtime_ns for path in files]
    again = module(folder, **OPTIONS)
    for position in range(3):
        assert_same(first[position], again.reader.read(position).maps)
    assert [path.stat().st_mtime_ns for path in files] == times
    for path in files:
        path.unlink()
    for position in range(3):
        assert_same(first[position], module(folder, **OPTIONS).reader.read(position).maps)


def test_a_damaged_cache_file_is_made_again(folder, tmp_path):
    expected = module(folder, **OPTIONS).reader.read(0).maps
    (path,) = (tmp_path / "cache/derived").rglob("*.npz")
    path.write_bytes(path.read_bytes()[:100])
    assert_same(expected, module(folder, **OPTIONS).reader.read(0).maps)


def test_other_data_or_options_never_meet_old_cache_files(folder):
    def place(**options):
        return module(folder, **options).reader.folder

    assert isinstance(module(folder, **OPTIONS).reader, PreparedReader)
    first = place(frame_maps=[RegionSupportTarget()])
    assert place(frame_maps=[RegionSupportTarget()]) == first
    others = [
        place(frame_maps=[RegionSupportTarget(bins=5)]),
        place(frame_maps=[RegionSupportTarget()], depth="filled"),
        place(frame_maps=[RegionSupportTarget()], preprocess=[CLAHE()]),
        place(frame_maps=[FrameSuperpixels(SeedsSuperpixels(8))]),
        place(frame_maps=[FrameSuperpixels(SeedsSuperpixels(16))]),
    ]
    write_tiny_nyu(folder)  # the file changes
    others.append(place(frame_maps=[RegionSupportTarget()]))
    assert len({first, *others}) == 7


def test_describe_is_the_same_in_every_process():
    assert describe(FrameSuperpixels(GridSuperpixels(8))) == "FrameSuperpixels(algorithm=GridSuperpixels(size=8))"


def _derive(folder):
    maps = module(folder, **OPTIONS).reader.read(1).maps
    return {key: value.numpy() for key, value in maps.items()}


@pytest.mark.slow
def test_two_processes_may_derive_the_same_frame(folder):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        first, second = pool.map(_derive, [folder, folder])
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key])


def test_region_support_belongs_to_the_whole_frame(folder):
    """A crop's targets are the crop of the frame's, not those of the crop."""
    made = module(folder, frame_maps=[RegionSupportTarget()], hflip=0.0)
    made.setup()
    whole, view = made.reader.read(0).maps, made.train_set[(0, 0)]
    matches = [
        (top, left)
        for top in range(17)
        for left in range(33)
        if torch.equal(whole["depth"][:, top : top + 32, left : left + 32], view["depth"])
        and torch.equal(whole["region_support"][:, top : top + 32, left : left + 32], view["region_support"])
    ]
    assert matches
    assert {"region_support", "regions"} <= made.provides


def test_superpixels_of_enlarged_frames_are_refused(folder):
    options = {"superpixels": GridSuperpixels(8), "superpixels_of": "frame", "crop": (32, 32)}
    height, width = module(folder).frame_size
    with pytest.raises(ValueError, match=r"`superpixels_of: frame`.*which has more; move the resizing to `preprocess`"):
        module(folder, resize=(height, width + 8), **options).setup()
    made = module(
        folder,
        superpixels=GridSuperpixels(8),
        superpixels_of="frame",
        preprocess=[ResizeFrame((40, 40))],
        crop=(32, 32),
    )
    made.setup()
    assert made.train_set[0]["superpixels"].max() < 16


def test_a_store_is_plain_json_and_hdf5(folder, tmp_path):
    convert(module(folder), tmp_path / "store")
    index = json.loads((tmp_path / "store/store.json").read_text())
    assert index["splits"]["train"] == [0, 1, 2, 3]
    assert index["scenes"][:2] == ["office_0000"] * 2
    assert index["options"]["depth"] == "auto"


def test_a_store_brings_superpixels_of_resized_frames_along(folder, tmp_path, monkeypatch):
    size = module(folder).frame_size
    small = (size[0] // 2, size[1] // 2)
    options = {"superpixels": SeedsSuperpixels(4), "superpixels_of": "frame", "resize": small, "crop": (16, 16)}
    convert(module(folder, **options), tmp_path / "store")
    stored, original = module(folder, store=str(tmp_path / "store"), **options), module(folder, **options)
    stored.setup()
    original.setup()
    for part in ("train_set", "test_set"):
        assert_same(getattr(original, part)[0], getattr(stored, part)[0])
    monkeypatch.setattr(SeedsSuperpixels, "segment", None)  # nothing is left to make
    assert stored.train_set[1]["superpixels"].max() < 16
