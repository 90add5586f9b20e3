"""Frames of several sizes in one set: each keeps its size, and the set its order."""

import shutil
from itertools import groupby

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler

from datamodules import EdgeTarget, FolderDataModule, GridSuperpixels, ResizeFrame, SeedsSuperpixels
from datamodules.loading.samplers import BatchesOfOneSize, EvalSampler
from datamodules.storage.store import StorePlan, write_store
from tests.helpers.own_frames import describe, millimetres, picture, save, surface

SIZES = [(48, 64), (48, 64), (48, 64), (40, 72), (48, 64), (64, 48), (64, 48)]


@pytest.fixture
def root(tmp_path):
    for number, size in enumerate(SIZES):
        save(tmp_path / f"rgb/{number}.png", picture(number, size))
        save(tmp_path / f"depth/{number}.png", millimetres(surface(number, size)))
        save(tmp_path / f"semantics/{number}.png", np.full(size, 1 + number % 3, np.uint8))
    return describe(tmp_path, camera={"horizontal_fov": 60}, classes=3)


def module(root, **options):
    defaults = {"crop": (32, 32), "eval_size": None, "num_workers": 0, "eval_batch_size": 2}
    return FolderDataModule(str(root), **{**defaults, **options})


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_batches_hold_one_size_each_frame_once_in_order(world, size):
    for rank in range(world):
        sampler = EvalSampler(SIZES, num_replicas=world, rank=rank, sizes=SIZES)
        batches = list(BatchesOfOneSize(sampler, size))
        assert [position for batch in batches for position in batch] == list(sampler)
        assert all(len({SIZES[position] for position in batch}) == 1 for batch in batches)
        assert max(map(len, batches)) <= size
        assert len(BatchesOfOneSize(sampler, size)) == len(batches)
        runs = [len(list(run)) for _, run in groupby(list(sampler), key=SIZES.__getitem__)]
        assert len(batches) == sum(-(-run // size) for run in runs)  # no batch ends before it must


def test_one_size_makes_the_batches_of_torch():
    sampler = EvalSampler(range(7))
    assert list(BatchesOfOneSize(sampler, 3)) == list(BatchSampler(range(7), 3, drop_last=False))


@pytest.mark.parametrize("eval_size", [None, (32, 48)])
def test_a_test_set(root, eval_size):
    data = module(root, eval_size=eval_size, superpixels=GridSuperpixels(8), derived=[EdgeTarget()])
    data.setup("test")
    batches = list(data.test_dataloader())
    assert [batch["index"].tolist() for batch in batches] == [[0, 1], [2], [3], [4], [5, 6]]
    for batch in batches:
        size = SIZES[int(batch["index"][0])]
        assert tuple(batch["depth"].shape[-2:]) == tuple(batch["semantics"].shape[-2:]) == size
        assert tuple(batch["image"].shape[-2:]) == tuple(batch["superpixels"].shape[-2:]) == (eval_size or size)
        for number, depth in zip(batch["index"].tolist(), batch["depth"], strict=True):
            np.testing.assert_allclose(depth[0].numpy(), surface(number, size), atol=6e-4)


def test_every_size_is_known_before(root):
    assert module(root).input_sizes == {(48, 64), (40, 72), (64, 48)}
    assert module(root, eval_size=(32, 48)).input_sizes == {(32, 48)}
    with pytest.raises(ValueError, match="of a 40x72 image where"):
        module(root, superpixels=SeedsSuperpixels(16)).setup("test")


def test_a_test_that_was_stopped_goes_on_with_its_next_frame(root):
    data = module(root)
    data.setup("test")
    data.tested_before = lambda name: 3
    assert [batch["index"].tolist() for batch in data.test_dataloader()] == [[3], [4], [5, 6]]


def test_a_step_that_brings_all_to_one_size(root):
    data = module(root, preprocess=[ResizeFrame((32, 32))])
    data.setup("test")
    assert [len(batch["index"]) for batch in data.test_dataloader()] == [2, 2, 2, 1]


def test_training_crops_fit_into_the_smallest(root):
    describe(root, camera={"horizontal_fov": 60}, classes=3, splits={"fractions": {"test": 0.2}})
    data = module(root, batch_size=5)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch["image"].shape == (5, 3, 32, 32)
    with pytest.raises(ValueError, match="frames of 40x48 pixels are smaller than the training crop of 44x44"):
        module(root, crop=(44, 44)).setup("fit")
    module(root, crop=(44, 44)).setup("test")  # trains on nothing


def test_superpixels_of_whole_frames(root):
    describe(root, camera={"horizontal_fov": 60}, classes=3, splits={"fractions": {"test": 0.2}})
    data = module(root, batch_size=5, superpixels=GridSuperpixels(8), superpixels_of="frame")
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch["superpixels"].max() < 16


def test_a_store_keeps_each_size(root, tmp_path):
    data = module(root)
    parts = {part: [int(p) for p in positions] for part, positions in vars(data.splits).items()}
    plan = StorePlan(data.name, data.reader.identity, data.all_options, parts)
    for _ in write_store(data.reader, tmp_path / "store", plan):
        pass
    stored = module(root, store=str(tmp_path / "store"))
    for kind in ("rgb", "depth", "semantics"):
        shutil.rmtree(root / kind)  # dataset.yaml is all that is left
    stored.setup("test")
    assert stored.name == "own"
    assert stored.test_set.sizes() == SIZES
    for number, size in enumerate(SIZES):
        frame = stored.reader.read(number)
        assert np.array_equal(frame.image.permute(1, 2, 0).numpy(), picture(number, size))
        assert frame.maps["semantics"].unique().tolist() == [1 + number % 3]
        np.testing.assert_allclose(frame.maps["depth"][0].numpy(), surface(number, size), atol=6e-4)
        assert torch.equal(stored.reader.read_depth(number), frame.maps["depth"])
