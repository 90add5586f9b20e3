import pytest
import timm
import torch

from lightning_modules.backbones import (
    Backbone,
    FeatureInfo,
    HybridBackbone,
    PretrainedUnavailableError,
    class_token_start,
    create_backbone,
    create_hybrid_parts,
    pretrained,
    register_backbone,
    registry,
)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet18", {}),
        ("resnet18", {"strides": (4, 8)}),
        ("mobilenetv3_small_050", {"strides": (8, 16)}),
        ("convnext_atto", {}),
        ("vit_tiny_patch16_224", {}),
        ("deit_tiny_patch16_224", {"blocks": (2, 5)}),
        ("smp:resnet18", {}),
        ("smp:mobilenet_v2", {"depth": 4}),
        ("resnet18+vit_tiny_patch16_224", {}),
    ],
)
def test_maps_are_as_declared(name, options):
    backbone = create_backbone(name, pretrained=False, **options).eval()
    height, width = 2 * backbone.input_multiple, 4 * backbone.input_multiple
    with torch.no_grad():
        maps = backbone(torch.randn(2, 3, height, width))
    declared = [(2, channels, height // stride, width // stride) for channels, stride in backbone.feature_info]
    assert [tuple(m.shape) for m in maps] == declared
    assert len(backbone.mean) == len(backbone.std) == 3


def test_statistics_are_those_of_the_weights():
    assert create_backbone("resnet18", pretrained=False).mean == (0.485, 0.456, 0.406)
    assert create_backbone("vit_tiny_patch16_224", pretrained=False).mean == (0.5, 0.5, 0.5)
    # only the stem of a hybrid sees the image
    assert create_backbone("resnet18+vit_tiny_patch16_224", pretrained=False).mean == (0.485, 0.456, 0.406)


def test_vit_maps_are_timms_tokens():
    backbone = create_backbone("vit_tiny_patch16_224", pretrained=False).eval()
    image = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        tokens = backbone.network.patch_embed(image).flatten(1, 2)
        tokens = torch.cat([backbone.network.cls_token, tokens], 1) + backbone.network.pos_embed
        tokens = backbone.network.blocks(tokens)
        torch.testing.assert_close(backbone(image)[-1], tokens[:, 1:].mT.unflatten(2, (14, 14)))


def test_hybrid_shares_its_parts_with_timm():
    backbone = create_backbone("resnet50+vit_small_patch16_384", pretrained=False)
    assert isinstance(backbone, HybridBackbone)
    vit = timm.create_model("vit_small_patch16_384", pretrained=False)
    resnet = timm.create_model("resnet50", pretrained=False)
    assert parameters(backbone.blocks) == parameters(vit.blocks)
    assert backbone.pos_embed.shape == vit.pos_embed.shape
    to_stage3 = (resnet.conv1, resnet.bn1, resnet.layer1, resnet.layer2, resnet.layer3)
    assert parameters(backbone.stem) == sum(map(parameters, to_stage3))
    assert backbone.feature_info == (
        FeatureInfo(256, 4),
        FeatureInfo(512, 8),
        FeatureInfo(384, 16),
        FeatureInfo(384, 16),
    )


def test_hybrid_tokens_are_blocks_over_the_projected_map():
    backbone = create_backbone("resnet18+vit_tiny_patch16_224", pretrained=False).eval().double()
    image = torch.randn(2, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        maps, tokens = backbone.forward_tokens(image)
        stem = backbone.stem(image)
        grid = backbone.project(stem[-1]).flatten(2).mT  # 14x14, the table's own size: nothing is resampled
        sequence = torch.cat([backbone.cls_token.expand(2, -1, -1), grid], 1) + backbone.pos_embed
        for index, block in enumerate(backbone.blocks):
            sequence = block(sequence)
            if index == 8:
                torch.testing.assert_close(tokens[0], sequence)
    torch.testing.assert_close(tokens[1], sequence)
    assert [tuple(m.shape[1:]) for m in maps] == [(64, 56, 56), (128, 28, 28)]


def test_in_channels():
    image = torch.randn(1, 5, 64, 64)
    for name in ("resnet18", "smp:resnet18", "resnet18+vit_tiny_patch16_224"):
        assert len(create_backbone(name, pretrained=False, in_channels=5)(image)) > 1


def test_input_size_is_checked():
    with pytest.raises(ValueError, match=r"100x128 pixels.*multiples of 32"):
        create_backbone("resnet18", pretrained=False)(torch.randn(1, 3, 100, 128))


def test_unknown_names():
    with pytest.raises(ValueError, match=r"unknown backbone `resnet55`; did you mean .*resnet50"):
        create_backbone("resnet55")
    with pytest.raises(ValueError, match="`resnet50` is no plain vision transformer"):
        create_backbone("resnet18+resnet50", pretrained=False)
    with pytest.raises(ValueError, match=r"none of stride \[5\]"):
        create_backbone("resnet18", pretrained=False, strides=(4, 5))
    with pytest.raises(ValueError, match="12 transformer blocks"):
        create_backbone("resnet18+vit_tiny_patch16_224", pretrained=False, taps=(11, 12))
    with pytest.raises(ValueError, match="must be"):
        create_hybrid_parts("resnet18", strides=(4, 8), pretrained=False)


def test_missing_weights_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "_hub_is_unreachable", lambda: True)
    monkeypatch.setattr(pretrained.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(PretrainedUnavailableError, match=r"weights of `resnet18.*pretrained false") as error:
        create_backbone("resnet18.a1_in1k", pretrained=True)
    assert "\n" not in str(error.value)
    assert not pretrained.constants.HF_HUB_OFFLINE  # restored


def test_own_backbone_by_decorator(monkeypatch):
    monkeypatch.setattr(registry, "_FAMILIES", list(registry._FAMILIES))

    @register_backbone("resnet18")
    def mine(name, **options):
        backbone = Backbone()
        backbone.feature_info = (FeatureInfo(7, 4),)
        return backbone

    assert create_backbone("resnet18").feature_info[0].channels == 7  # newer registrations take precedence
    assert create_backbone("resnet34", pretrained=False).feature_info[0].channels == 64


@pytest.mark.parametrize(
    ("name", "has"),
    [("vit_tiny_patch16_224", "both"), ("vit_base_patch16_gap_224", "none"), ("deit3_small_patch16_224", "token")],
)
def test_class_token_start_is_what_the_transformer_itself_puts_first(name, has):
    """Found from outside: with blocks and norms gone, the first token of the sequence."""
    transformer = timm.create_model(name, pretrained=False, num_classes=0)
    start = class_token_start(transformer)
    if has == "none":
        assert start is None
        return
    torch.nn.init.normal_(transformer.cls_token)
    transformer.blocks, transformer.norm = torch.nn.Identity(), torch.nn.Identity()
    sequence = transformer.eval().forward_features(torch.randn(1, 3, 224, 224))
    torch.testing.assert_close(class_token_start(transformer), sequence[0, 0], rtol=0, atol=1e-6)
