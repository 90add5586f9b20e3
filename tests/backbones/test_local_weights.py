"""Initial weights from files and packages, held against timm's and smp's own loading of the same weights."""

import os

import pytest
import segmentation_models_pytorch as smp
import timm
import torch
from safetensors.torch import save_file

from lightning_modules.backbones import create_backbone, create_hybrid_parts, weights_left_out
from lightning_modules.backbones.timm_backbones import create_timm_model
from lightning_modules.networks.region_support.generation import FeatureExtractor
from lightning_modules.networks.region_support.resnet34 import take_resnet34_weights
from lightning_modules.networks.semantic_md.multi_head import MultiHeadNetwork

IMAGE = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def save(tmp_path):
    """Write weights to a file, and return its path."""

    def save_(content, name="weights.pth"):
        path = tmp_path / name
        if name.endswith(".safetensors"):
            save_file({key: value.contiguous() for key, value in content.items()}, path)
        else:
            torch.save(content, path)
        return str(path)

    return save_


def trained(name, **options):
    """A network of timm whose running statistics are not those of a new one either."""
    torch.manual_seed(1)
    network = timm.create_model(name, pretrained=False, **options)
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return network.eval()


def maps(backbone, image=IMAGE):
    with torch.no_grad():
        return backbone.eval()(image)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_050", "convnext_atto"])
@pytest.mark.parametrize("file", ["weights.pth", "weights.safetensors"])
def test_maps_are_those_of_the_network_that_was_saved(save, name, file):
    network = trained(name)
    path = save(network.state_dict(), file)
    whole = timm.create_model(name, features_only=True, out_indices=(1, 2, 3),
                              pretrained=True, pretrained_cfg_overlay={"file": path})  # fmt: skip
    strides = tuple(whole.feature_info.reduction())
    backbone = create_backbone(name, pretrained=path, strides=strides)
    torch.testing.assert_close(maps(backbone), maps(whole))
    assert "state_dict" not in backbone.network.pretrained_cfg


def test_tokens_are_those_of_the_transformer_that_was_saved(save):
    network = trained("vit_tiny_patch16_224")
    backbone = create_backbone("vit_tiny_patch16_224", pretrained=save(network.state_dict()))
    image = torch.rand(1, 3, 224, 224)
    ours = maps(backbone, image)[-1]
    theirs = network.forward_intermediates(image, indices=[11], norm=False, intermediates_only=True)[0]
    torch.testing.assert_close(ours, theirs)


def test_position_embeddings_are_resampled_as_timm_does_it(save):
    path = save(trained("vit_tiny_patch16_224").state_dict())
    theirs = timm.create_model("vit_tiny_patch16_384", num_classes=0,
                               pretrained=True, pretrained_cfg_overlay={"file": path})  # fmt: skip
    ours = create_timm_model("vit_tiny_patch16_384", pretrained=path, num_classes=0)
    assert theirs.pos_embed.shape[1] == 24 * 24 + 1
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


@pytest.mark.parametrize(
    ("prefix", "part"),
    [("module.", None), ("model.", "state_dict"), ("backbone.", "model"), ("encoder.", None), ("_orig_mod.", "model"),
     ("", "state_dict"), ("module.model.", None), ("network.backbone.encoder.model.", "state_dict")],
)  # fmt: skip
def test_prefixes_and_nesting(save, prefix, part):
    state = {f"{prefix}{key}": value for key, value in trained("resnet18").state_dict().items()}
    path = save(state if part is None else {part: state, "epoch": 3})
    loaded = create_timm_model("resnet18", pretrained=path).state_dict()
    torch.testing.assert_close(loaded, trained("resnet18").state_dict())


def test_parts_of_a_file_that_are_no_encoder_are_left_alone(save):
    state = {f"encoder.{key}": value for key, value in trained("resnet18").state_dict().items()}
    path = save({**state, "decoder.conv1.weight": torch.zeros(3)})
    torch.testing.assert_close(
        create_timm_model("resnet18", pretrained=path).state_dict(), trained("resnet18").state_dict()
    )


def test_a_classifier_may_be_missing_or_of_other_classes(save):
    for state in (trained("resnet18", num_classes=7).state_dict(), trained("resnet18", num_classes=0).state_dict()):
        backbone = create_backbone("resnet18", pretrained=save(state))
        torch.testing.assert_close(backbone.network.conv1.weight.detach(), state["conv1.weight"])
    vit = trained("vit_tiny_patch16_224", num_classes=5).state_dict()
    ours = create_timm_model("vit_tiny_patch16_224", pretrained=save(vit), num_classes=0)
    torch.testing.assert_close(ours.blocks[3].mlp.fc1.weight.detach(), vit["blocks.3.mlp.fc1.weight"])


def test_what_a_cut_network_has_no_use_for_may_be_missing(save):
    """An encoder's own weights, such as those in a checkpoint of a run."""
    cut = timm.create_model("tf_efficientnet_lite0", features_only=True).state_dict()
    assert "conv_head.weight" not in cut
    backbone = create_backbone("tf_efficientnet_lite0", pretrained=save(cut))
    torch.testing.assert_close(backbone.network.state_dict()["blocks.6.0.bn3.bias"], cut["blocks.6.0.bn3.bias"])


def test_what_does_not_fit_is_listed_in_one_line(save):
    state = trained("resnet18").state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(3, 3)
    state["layer5.weight"] = state.pop("layer4.1.conv2.weight")
    with pytest.raises(ValueError, match="does not fit `resnet18`") as error:
        create_backbone("resnet18", pretrained=save(state))
    line = str(error.value)
    assert "1 missing (layer4.1.conv2.weight)" in line
    assert "1 unexpected (layer5.weight)" in line
    assert "layer1.0.conv1.weight is (3, 3) in the file and (64, 64, 3, 3) in the network" in line
    assert "\n" not in line
    with pytest.raises(ValueError, match=r"`resnet34`: \d+ missing \(layer1.2.conv1.weight.* and \d+ more\)"):
        create_backbone("resnet34", pretrained=save(trained("resnet18").state_dict()))
    with pytest.raises(ValueError, match=r"none of the weights of `resnet18` by name \(its first is `a`"):
        create_backbone("resnet18", pretrained=save({"a": torch.zeros(1)}))
    with pytest.raises(ValueError, match="1 of another shape"):
        create_backbone("resnet18", pretrained=save(trained("resnet18", in_chans=1).state_dict()))


def test_first_convolutions_are_widened_as_timm_does_it(save):
    path = save(trained("resnet18").state_dict())
    theirs = timm.create_model("resnet18", in_chans=5, features_only=True,
                               pretrained=True, pretrained_cfg_overlay={"file": path})  # fmt: skip
    ours = create_backbone("resnet18", pretrained=path, in_channels=5)
    torch.testing.assert_close(ours.network.conv1.weight.detach(), theirs.conv1.weight.detach())


def test_code_in_a_file_is_not_run(save, tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "run"),))

    for content in ({"conv1.weight": Evil()}, {"state_dict": {}, "args": Evil()}):
        with pytest.raises(ValueError, match=r"holds Python code \(`posix.mkdir`\), which is not run") as error:
            create_backbone("resnet18", pretrained=save(content))
        assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_files_that_are_none(tmp_path, name):
    for content in (b"", b"text, no weights", b"\x80\x02}"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"no file of weights|holds no weights") as error:
            create_backbone("resnet18", pretrained=str(tmp_path / name))
        assert "\n" not in str(error.value)
    with pytest.raises(FileNotFoundError, match="no such file; `pretrained` takes true, false, `lite`, or a file"):
        create_backbone("resnet18", pretrained="nowhere.pth")


def test_the_home_folder(save, monkeypatch, tmp_path):
    save(trained("resnet18").state_dict())
    monkeypatch.setenv("HOME", str(tmp_path))
    create_backbone("resnet18", pretrained="~/weights.pth")


def test_the_parts_of_a_hybrid_have_sources_of_their_own(save):
    stem = save(trained("resnet18").state_dict(), "stem.pth")
    vit = save(trained("vit_tiny_patch16_224").state_dict(), "vit.safetensors")
    name = "resnet18+vit_tiny_patch16_224"
    parts = create_hybrid_parts(name, strides=(4, 8), pretrained={"stem": stem, "transformer": vit})
    theirs = trained("vit_tiny_patch16_224").state_dict()
    torch.testing.assert_close(parts.transformer.state_dict(), {k: v for k, v in theirs.items() if "head" not in k})
    torch.testing.assert_close(parts.stem.network.bn1.running_var, trained("resnet18").bn1.running_var)
    half = create_backbone(name, pretrained={"stem": stem, "transformer": False})
    torch.testing.assert_close(half.stem.network.bn1.running_var, trained("resnet18").bn1.running_var)
    for wrong in (stem, {"stem": stem}, {"stem": stem, "vit": vit}):
        with pytest.raises(ValueError, match=r"is a hybrid, .*`pretrained: \{stem: FILE, transformer: FILE\}`"):
            create_backbone(name, pretrained=wrong)
    with pytest.raises(ValueError, match="`resnet18` is no hybrid"):
        create_backbone("resnet18", pretrained={"stem": stem, "transformer": vit})


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-b0", "mobilenet_v2", "timm-tf_efficientnet_lite0"])
def test_encoders_of_smp(save, name):
    torch.manual_seed(2)
    encoder = smp.encoders.get_encoder(name).eval()
    path = save({**encoder.state_dict(), "fc.weight": torch.zeros(10, 3)})
    ours = create_backbone(f"smp:{name}", pretrained=path)
    torch.testing.assert_close(maps(ours), maps(encoder)[1:])
    assert create_backbone(f"smp:{name}", pretrained=path, in_channels=4)(torch.rand(1, 4, 64, 64))
    with pytest.raises(ValueError, match=f"does not fit `smp:{name}`"):
        create_backbone(f"smp:{name}", pretrained=save(dict(list(encoder.state_dict().items())[1:])))


@pytest.mark.parametrize(
    ("encoder", "decoder"), [("resnet18", "unet"), ("smp:resnet18", "unet"), ("resnet18", "deeplabv3")]
)
def test_encoders_of_semantic_md(save, encoder, decoder):
    state = trained("resnet18").state_dict()
    network = MultiHeadNetwork(encoder, decoder, {"depth": 1, "semantics": 4}, pretrained=save(state), in_channels=5)
    loaded = {name.removeprefix("model."): value for name, value in network.encoder.state_dict().items()}
    torch.testing.assert_close(loaded["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    torch.testing.assert_close(loaded["conv1.weight"][:, :3], state["conv1.weight"])


def test_region_support_begins_with_a_file(save):
    state = trained("resnet34").state_dict()
    features = FeatureExtractor(backbone="resnet34_dilated")
    taken = take_resnet34_weights(features, pretrained=save(state))
    assert not taken.left
    torch.testing.assert_close(features.state_dict()["layer3.2.conv1.weight"], state["layer3.2.conv1.weight"])


def test_weights_that_are_left_out_are_not_looked_for():
    with weights_left_out():
        create_backbone("resnet18", pretrained="nowhere.pth")
        create_backbone("smp:resnet18", pretrained="nowhere.pth")
        create_backbone("resnet18+vit_tiny_patch16_224", pretrained={"stem": "lite", "transformer": "nowhere.pth"})
        create_timm_model("tf_efficientnet_lite0", pretrained=True)
        MultiHeadNetwork("resnet18", "unet", {"depth": 1}, pretrained="nowhere.pth")
    with pytest.raises(FileNotFoundError):
        create_backbone("resnet18", pretrained="nowhere.pth")
