"""Every data module gives the samples that it promises, in batches, in worker processes too, and says what it is."""

import functools
import inspect
import pickle

import pytest
import torch

import datamodules
from datamodules import DepthDataModule, EdgeTarget, GridSuperpixels
from lightning_modules.depth_data import DepthData
from tests.contract.data_sets import DATA_SETS, DOCUMENTED, make
from tests.contract.sample_contract import check_sample
from tests.faults.conftest import build_scenes, write_layouts
from tests.helpers.imports import offered


@pytest.fixture(scope="module")
def data_set(tmp_path_factory, documented, cache):
    """A function that gives a data module, set up for training and testing: the same object each time."""
    layouts, rooms = tmp_path_factory.mktemp("layouts"), tmp_path_factory.mktemp("rooms")
    write_layouts(layouts, build_scenes())

    @functools.cache
    def data_set(name):
        plain = make(name, layouts, rooms)
        plain.prepare_data()
        labelled = "semantics" in plain.reader.provides
        derived = [EdgeTarget()] if labelled and name != "store" else []
        trains = len(plain.splits.train) > 0
        data = make(
            name, layouts, rooms, superpixels=GridSuperpixels(16), derived=derived, val_scenes=0.5 if trains else 0.0
        )
        data.setup("fit" if trains else "test")
        return data

    return data_set


def test_every_data_module_is_here(data_set):
    exported = {
        cls for cls in offered(datamodules).values() if isinstance(cls, type) and issubclass(cls, DepthDataModule)
    }
    exported = {cls for cls in exported if not inspect.isabstract(cls)}
    assert exported <= {type(data_set(name)) for name in DATA_SETS}


def parts(data):
    """Each part that has frames, with its data set."""
    return {
        name: part
        for name in ("train", "val", "test")
        if hasattr(data, f"{name}_set") and len(part := getattr(data, f"{name}_set"))
    }


@pytest.mark.parametrize("name", DATA_SETS)
def test_samples_are_as_promised(name, data_set):
    data = data_set(name)
    assert "test" in parts(data)
    for part, frames in parts(data).items():
        check_sample(frames[0], data, training=part == "train")


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_method_may_ask(name, data_set):
    data = data_set(name)
    assert isinstance(data, DepthData)
    assert data.frame_size == data.reader.size
    assert data.variant is None
    assert data.test_sets() == [data]
    assert data.hint("superpixels")
    assert len(data.splits.test) > 0
    if "semantics" in data.reader.provides:
        assert sorted(data.class_order("overall")) == list(range(1, data.classes + 1))
        assert len(data.class_names) == data.classes
        assert sum(data.class_pixels("overall")) > 0


@pytest.mark.parametrize("name", DATA_SETS)
def test_batches_of_uneven_size_hold_every_frame_once(name, data_set):
    data = data_set(name)
    for part in parts(data).keys() - {"train"}:
        frames = getattr(data, f"{part}_set")
        data.eval_batch_size = max(len(frames) - 1, 1)
        batches = list(getattr(data, f"{part}_dataloader")())
        assert [len(batch["image"]) for batch in batches][-1] == 1
        positions = [int(index) for batch in batches for index in batch["index"]]
        assert positions == [frames[position]["index"] for position in range(len(frames))]
        for batch in batches:
            assert batch.keys() == data.provides
            assert all(len(value) == len(batch["image"]) for value in batch.values())


@pytest.mark.parametrize("name", DATA_SETS)
def test_batches_of_training(name, data_set):
    data = data_set(name)
    if "train" not in parts(data):
        with pytest.raises(ValueError, match="it is there to test on"):
            make_train_loader(data)
        return
    batches = list(data.train_dataloader())
    assert batches
    for batch in batches:
        assert batch["image"].shape[-2:] == batch["depth"].shape[-2:] == data.crop


def make_train_loader(data):
    data.setup("fit")
    data.train_dataloader()


@pytest.mark.parametrize("name", DATA_SETS)
def test_worker_processes_get_the_same_samples(name, data_set):
    """Spawned ones are sent the data set, which must not hold open files."""
    data = data_set(name)
    expected = data.test_set[0]
    found = pickle.loads(pickle.dumps(data.test_set))[0]
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, torch.Tensor):
            torch.testing.assert_close(found[key], value, rtol=0, atol=0, equal_nan=True, msg=key)
        else:
            assert found[key] == value


@pytest.mark.slow
@pytest.mark.parametrize("name", ["labeled", "hypersim", DOCUMENTED])
def test_a_spawned_worker_gives_the_same_batch(name, data_set):
    data = data_set(name)
    (expected,) = torch.utils.data.DataLoader(data.test_set, batch_size=2, collate_fn=datamodules.collate)
    options = {"batch_size": 2, "collate_fn": datamodules.collate, "num_workers": 1}
    (found,) = torch.utils.data.DataLoader(data.test_set, multiprocessing_context="spawn", **options)
    assert torch.equal(found["image"], expected["image"])
    assert torch.equal(found["depth"], expected["depth"])
