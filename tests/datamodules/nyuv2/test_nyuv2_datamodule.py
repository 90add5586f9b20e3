"""The data module on small files in the real format."""

import h5py
import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from scipy.io import loadmat, savemat

from datamodules import NYUv2DataModule, SeedsSuperpixels
from tests.helpers.tiny_nyu import write_tiny_nyu


@pytest.fixture
def folder(tmp_path):
    return write_tiny_nyu(tmp_path / "nyuv2")


def module(folder, **options):
    options = {"crop": (32, 32), "eval_size": None, "batch_size": 2, "num_workers": 0, **options}
    made = NYUv2DataModule(str(folder), **options)
    made.setup()
    return made


def test_samples_are_what_the_file_holds(folder):
    sample = module(folder).test_set[1]
    with h5py.File(folder / "nyu_depth_v2_labeled.mat") as file:
        np.testing.assert_array_equal(sample["depth"][0].numpy(), file["depths"][5].T)
        picture = file["images"][5].transpose(2, 1, 0)
    mean, std = (torch.tensor(v) for v in module(folder).normalization)
    restored = ((sample["image"].permute(1, 2, 0) * std + mean) * 255).round().numpy()
    np.testing.assert_array_equal(restored, picture)
    assert sample["index"] == 5
    assert (sample["scene"], sample["frame"]) == ("office_0002", 1)
    assert set(sample["semantics"].unique().tolist()) == {1}  # wall
    assert len(sample["instances"].unique()) == 1


def test_augmentation_depends_on_seed_epoch_and_frame_alone(folder):
    def epoch(number, **options):
        loader = module(folder, superpixels=SeedsSuperpixels(8), **options).train_dataloader()
        loader.sampler.set_epoch(number)
        return torch.cat([batch["image"] for batch in loader])

    reference = epoch(2)
    torch.testing.assert_close(epoch(2, num_workers=2), reference, rtol=0, atol=0)
    assert not torch.equal(epoch(3), reference)
    assert not torch.equal(epoch(2, seed=1), reference)


def test_official_split_trains_on_everything(folder):
    made = module(folder)
    assert list(made.splits.train) == [0, 1, 2, 3]
    assert list(made.splits.val) == []
    assert made.val_dataloader() == []


def test_validation_holds_out_whole_scenes(folder):
    made = module(folder, val_scenes=0.01)
    assert len(made.splits.val) == 2
    scenes = made.reader.scenes
    assert not {scenes[i] for i in made.splits.val} & {scenes[i] for i in made.splits.train}
    with pytest.raises(ValueError, match="val_scenes"):
        module(folder, val_scenes=0.9)


def test_normalisation_is_the_methods(folder):
    made = NYUv2DataModule(str(folder), crop=(32, 32), num_workers=0)
    made.trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    made.trainer.strategy._lightning_module = type("M", (), {"normalization": ((0.5,) * 3, (0.25,) * 3)})()
    assert made.normalization == ((0.5,) * 3, (0.25,) * 3)
    assert NYUv2DataModule(str(folder), mean=(0.0,) * 3, std=(1.0,) * 3).normalization == ((0.0,) * 3, (1.0,) * 3)


def test_raw_depth_where_the_file_has_it(tmp_path):
    folder = write_tiny_nyu(tmp_path, raw=True)
    assert module(folder).reader.depth_key == "rawDepths"
    assert module(folder, depth="filled").reader.depth_key == "depths"
    sample = module(folder).test_set[0]
    assert (sample["valid"] == (sample["depth"] > 0)).all()
    assert not sample["valid"].all()


def test_depth_out_of_range_is_invalid(folder):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][4, :3, 0] = [0.0, 11.0, -1.0]
    sample = module(folder).test_set[0]
    assert sample["valid"][0, 0, :4].tolist() == [False, False, False, True]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_depth_that_is_no_number_is_damage(folder, value):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][4, 3, 0] = value
    with pytest.raises(ValueError, match=r"labeled\.mat: key `depths`: frame 4 .*1 pixels"):
        module(folder).test_set[0]


def test_instances_are_pairs_of_class_and_number(folder):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["labels"][4, :2, :] = 3
        file["labels"][4, 2, :] = 0
        file["instances"][4, 0, :] = 2
        file["instances"][4, 3, :] = 0
    instances = module(folder).test_set[0]["instances"]
    columns = [instances[:, i].unique().tolist() for i in range(5)]
    assert all(len(c) == 1 for c in columns)
    first, second, unlabelled, none, wall = (c[0] for c in columns)
    assert unlabelled == none == 0
    assert len({first, second, wall, 0}) == 4


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ({"trainNdxs": [1, 900], "testNdxs": [2]}, r"splits\.mat.*trainNdxs"),
        ({"trainNdxs": [0, 1], "testNdxs": [2]}, r"splits\.mat.*trainNdxs"),
        ({"trainNdxs": [1, 2], "testNdxs": [2]}, r"splits\.mat"),
        ({"trainNdxs": [1, 2]}, r"testNdxs"),
    ],
)
def test_wrong_splits(folder, content, line):
    savemat(folder / "splits.mat", {key: np.array(values)[:, None] for key, values in content.items()})
    with pytest.raises((ValueError, KeyError), match=line):
        module(folder)


def test_the_frame_without_depth_is_named(folder):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        file["depths"][6] = 0
    with pytest.raises(ValueError, match=r"depths.*6"):
        module(folder).test_set[2]


@pytest.mark.parametrize("key", ["images", "depths", "labels"])
def test_missing_keys_are_named(folder, key):
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        del file[key]
    with pytest.raises((ValueError, KeyError), match=key):
        module(folder)


def test_written_splits_are_read_back(folder):
    assert loadmat(folder / "splits.mat")["trainNdxs"].ravel().tolist() == [1, 2, 3, 4]
