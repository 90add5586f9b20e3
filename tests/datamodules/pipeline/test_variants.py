"""Variants of a test set: the same frames, another view, a name of their own."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as F

from datamodules import Darkness, GaussianNoise, NYUv2DataModule, NYUv2OCDataModule, SeedsSuperpixels, Variant
from tests.helpers.tiny_nyu import write_tiny_nyu

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "crop": (32, 32), "num_workers": 0, "max_depth": 10.0}


@pytest.fixture
def module(tmp_path):
    """Makes NYUv2 of 48x64 pixels, set up."""
    write_tiny_nyu(tmp_path / "nyuv2")

    def make(**options):
        module_ = NYUv2DataModule(str(tmp_path / "nyuv2"), **{**PLAIN, "eval_size": (32, 32), **options})
        module_.setup()
        return module_

    return make


def test_each_is_a_test_set_of_the_same_files(module):
    made = module(
        superpixels=SeedsSuperpixels(size=8),
        variants={"whole": Variant(eval_size="whole"), "wide": Variant(eval_size=(16, 64)), "gone": None},
    )
    assert made.test_names() == ["nyuv2", "nyuv2_whole", "nyuv2_wide"]
    primary, whole, wide = (next(iter(loader)) for loader in made.test_dataloader())
    sizes = {"primary": (primary, 32, 32), "whole": (whole, 48, 64), "wide": (wide, 16, 64)}
    for batch, height, width in sizes.values():
        assert batch["image"].shape == (4, 3, height, width)
        assert batch["superpixels"].shape == (4, height, width)
        assert batch["superpixels"].max() < height * width // 64
        for key in ("depth", "valid", "intrinsics", "index"):
            assert torch.equal(batch[key], primary[key])
    assert all(data.reader is made.reader for data in made.test_sets())
    image = made.reader.read(made.splits.test[0]).image
    assert torch.equal(whole["image"][0], F.to_dtype(image, torch.float32, scale=True))
    squeezed = F.to_dtype(F.resize(image, [16, 64], antialias=True), torch.float32, scale=True)
    assert torch.equal(wide["image"][0], squeezed)
    assert made.name == "nyuv2"
    assert [part.name for part in made.variant_sets] == ["nyuv2_whole", "nyuv2_wide"]


@pytest.mark.parametrize("superpixels_of", ["crop", "frame"])
def test_a_corruption_comes_before_size_and_superpixels(module, superpixels_of, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    seeds = SeedsSuperpixels(size=8)
    made = module(
        eval_size=None, superpixels=seeds, superpixels_of=superpixels_of,
        variants={"dark": Variant(corruption=Darkness(2.2)),
                  "small": Variant(eval_size=(16, 32), corruption=GaussianNoise(40.0))},
    )  # fmt: skip
    primary, dark, small = (data.test_set[0] for data in made.test_sets())
    assert torch.allclose(dark["image"], primary["image"] / 2, atol=0.5 / 255 + 1e-6)
    frame = made.reader.read(made.splits.test[0])
    for sample, corruption in ((dark, Darkness(2.2)), (small, GaussianNoise(40.0))):
        size = list(sample["image"].shape[-2:])
        image = F.resize(corruption(frame).image, size, antialias=True)
        assert torch.equal(sample["image"], F.to_dtype(image, torch.float32, scale=True))
        expected = seeds(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
        np.testing.assert_array_equal(sample["superpixels"], expected)
        assert torch.equal(sample["depth"], primary["depth"])


def test_noise_does_not_depend_on_workers_order_or_the_datas_seed(module):
    variants = {"noise": Variant(corruption=GaussianNoise(40.0))}
    images = []
    for options in ({}, {"seed": 7}, {"num_workers": 2, "eval_batch_size": 1}):
        loader = module(variants=variants, **options).test_dataloader()[1]
        images.append(torch.cat([batch["image"] for batch in loader]))
    assert torch.equal(images[0], images[1])
    assert torch.equal(images[0], images[2])


def test_further_test_sets_have_them_too(tmp_path):
    write_tiny_nyu(tmp_path / "nyuv2")
    maps = tmp_path / "nyuv2_oc" / "NYUv2_OCpp" / "oc"
    maps.mkdir(parents=True)
    for index in range(4, 8):
        cv2.imwrite(str(maps / f"{index:04d}_oc.png"), np.full((48, 64), 255, np.uint8))
    further = NYUv2OCDataModule(str(tmp_path / "nyuv2"))
    made = NYUv2DataModule(
        str(tmp_path / "nyuv2"), extra_tests=[further], variants={"whole": Variant(eval_size="whole")},
        **{**PLAIN, "eval_size": (32, 32)},
    )  # fmt: skip
    made.setup()
    made.setup()  # as Lightning does for `fit` and again for `test`
    assert made.test_names() == ["nyuv2", "nyuv2_oc", "nyuv2_whole", "nyuv2_oc_whole"]
    said = made.describe()
    assert [shown["name"] for shown in said["variants"]] == ["nyuv2_whole"]
    assert said["extra_tests"][0]["variants"] == [
        {"name": "nyuv2_oc_whole", "variant": "whole", "eval_size": "whole", "corruption": None, "input_size": [48, 64]}
    ]
    assert said["input_size"] == [32, 32]
    batch = next(iter(made.test_dataloader()[3]))
    assert batch["occlusion"].all()
    assert batch["image"].shape[-2:] == (48, 64)


def test_the_fingerprint_is_of_the_data_alone(module):
    plain = module().fingerprint
    variants = {"noise": Variant(corruption=GaussianNoise(40.0)), "whole": Variant(eval_size="whole")}
    assert module(variants=variants).fingerprint == plain
    assert module(eval_size=None).fingerprint == plain


def test_a_size_that_superpixels_do_not_fit_is_refused(module):
    with pytest.raises(ValueError, match=r"OpenCV makes .* superpixels of a 30x100 image"):
        module(
            superpixels=SeedsSuperpixels(size=16, num_levels=1),
            variants={"odd": Variant(eval_size=(30, 100))},
        )


def test_a_variant_called_like_another_test_set_is_refused(tmp_path):
    write_tiny_nyu(tmp_path / "nyuv2")
    further = NYUv2DataModule(str(tmp_path / "nyuv2"))
    further.data_set = "nyuv2_whole"
    made = NYUv2DataModule(
        str(tmp_path / "nyuv2"), extra_tests=[further], variants={"whole": Variant(eval_size="whole")}, **PLAIN
    )
    with pytest.raises(ValueError, match="two test sets are called `nyuv2_whole`"):
        made.setup()
