"""Data are normalised as the method declares, and as nothing else."""

import h5py
import pytest
import torch

from datamodules import NYUv2DataModule
from tests.contract.assembly import DATA
from tests.contract.methods import METHODS
from tests.helpers.tiny_method import TinyMethod
from tests.helpers.tiny_nyu import write_tiny_nyu

#: Of the constant image, 0..255.
COLOR = (51, 102, 204)


@pytest.fixture(scope="module")
def constant(tmp_path_factory):
    """Folder of a labelled file whose images are of one colour."""
    folder = write_tiny_nyu(tmp_path_factory.mktemp("constant"), height=64, width=64)
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "r+") as file:
        for channel, value in enumerate(COLOR):
            file["images"][:, channel] = value
    return folder


@pytest.mark.parametrize("name", METHODS)
def test_a_constant_image_comes_as_the_method_declares(name, ready, constant):
    assembled = ready(name)
    data = NYUv2DataModule(str(constant), crop=(64, 64), val_scenes=DATA["val_scenes"])
    data.trainer = assembled.trainer
    assembled.trainer.strategy.connect(assembled.method)  # as in a run, before data are set up
    data.setup("fit")
    mean, std = map(torch.tensor, assembled.method.normalization)
    expected = (torch.tensor(COLOR) / 255 - mean) / std
    for frames in (data.train_set, data.val_set, data.test_set):
        image = frames[0]["image"]
        torch.testing.assert_close(image, expected[:, None, None].expand_as(image))


def test_methods_differ_in_it(ready):
    """Else the test above could not tell the method's from a default."""
    assert len({ready(name).method.normalization for name in METHODS}) > 2


class Undeclared(TinyMethod):
    """A method without a backbone that does not say how its images are normalised."""

    normalization = property(lambda self: super(TinyMethod, self).normalization)


def test_a_method_that_declares_none_is_told_so_before_training(ready):
    tiny = ready("without_backbone")
    method = Undeclared(protocol=tiny.method.protocol)
    with pytest.raises(ValueError, match="Undeclared declares no `normalization`"):
        method.check_data(tiny.data, training=True)
