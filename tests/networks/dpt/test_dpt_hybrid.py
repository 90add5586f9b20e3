import pytest
import timm
import torch
from segmentation_models_pytorch.decoders.dpt.decoder import FusionBlock as SmpFusionBlock
from torch import nn

from lightning_modules.backbones import create_backbone
from lightning_modules.networks.depth_head import DepthHead, to_depth
from lightning_modules.networks.dpt.dpt_hybrid import DPTHybridNetwork
from lightning_modules.networks.dpt.fusion import FusionBlock


def smp_twin(block: FusionBlock, width: int) -> SmpFusionBlock:
    """The fusion block of segmentation-models-pytorch with the same weights; its normalisation only adds the bias."""
    twin = SmpFusionBlock(width).double().eval()
    pairs = [(block.skip_unit, twin.residual_conv_block1), (block.unit, twin.residual_conv_block2)]
    for mine, theirs in pairs:
        if mine is None:
            continue
        for conv, conv_, norm in (
            (mine.conv1, theirs.conv_1, theirs.batch_norm_1),
            (mine.conv2, theirs.conv_2, theirs.batch_norm_2),
        ):
            conv_.weight.data.copy_(conv.weight)
            norm.bias.data.copy_(conv.bias)
            norm.eps = 0.0
    twin.project.load_state_dict(block.project.state_dict())
    return twin


def test_fusion_equals_smps_block():
    """Theirs adds the path to the refined skip and projects after resizing, as the release does."""
    block = FusionBlock(8).double().eval()
    twin = smp_twin(block, 8)
    path, skip = torch.randn(2, 2, 8, 6, 10, dtype=torch.float64)
    torch.testing.assert_close(block(path, skip, size=(12, 20)), twin(skip, path), rtol=1e-12, atol=1e-12)


def test_fusion_without_skip_or_resize():
    block = FusionBlock(8, refine_skip=False)
    path = torch.randn(1, 8, 5, 7)
    assert block.skip_unit is None
    torch.testing.assert_close(block(path), block.project(block.unit(path)))


def test_fusion_adds_a_skip_that_is_not_refined():
    block = FusionBlock(8, refine_skip=False)
    path, skip = torch.randn(2, 1, 8, 5, 7)
    torch.testing.assert_close(block(path, skip), block(path + skip))


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("sigmoid_max", 0.0, 5.0),
        ("sigmoid_max", 100.0, 10.0),
        ("softplus", 0.0, 0.6931472),
        ("exp", 1.0, 2.7182818),
        ("inverse_affine", -3.0, 1 / 0.1378),  # the ceiling of 7.26 m
        ("inverse_affine", 1000.0, 1 / (0.305 + 0.1378)),
    ],
)
def test_depth_parametrisations(name, x, expected):
    depth = to_depth(torch.tensor([x], dtype=torch.bfloat16), name, 10.0)
    assert depth.dtype == torch.float32
    assert depth.item() == pytest.approx(expected, rel=1e-5)


def test_unknown_depth_parametrisation():
    with pytest.raises(ValueError, match="unknown `depth_param`"):
        to_depth(torch.zeros(1), "linear", 10.0)


def test_head_reaches_the_size_asked_for():
    assert DepthHead(16)(torch.randn(2, 16, 9, 12), (18, 24)).shape == (2, 1, 18, 24)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return DPTHybridNetwork(create_backbone("resnet18+vit_tiny_patch16_224", pretrained=False), width=16).eval()


@pytest.mark.parametrize("size", [(64, 64), (48, 80), (144, 192)])  # the last two are no multiples of 32
def test_output_has_the_size_of_the_input(small, size):
    with torch.no_grad():
        output = small(torch.randn(2, 3, *size))
    assert output.depth.shape == (2, 1, *size)
    assert output.embedding.shape == (2, 192)
    assert ((output.depth > 0) & (output.depth < 10)).all()


def test_gradient_reaches_every_parameter(small):
    network = small.train()
    network(torch.randn(2, 3, 64, 64)).depth.sum().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    network.zero_grad()
    assert without == []


def test_bfloat16_autocast(small):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        depth = small(torch.randn(1, 3, 64, 64)).depth
    assert depth.dtype == torch.float32
    assert depth.isfinite().all()


def test_wrong_strides_are_refused():
    backbone = create_backbone("resnet18+vit_tiny_patch16_224", pretrained=False, strides=(8, 16, 32))
    with pytest.raises(ValueError, match="strides 4, 8"):
        DPTHybridNetwork(backbone)


def test_added_maps_leave_out_two_residual_units():
    backbone = create_backbone("resnet18+vit_tiny_patch16_224", pretrained=False)
    refined, added = (DPTHybridNetwork(backbone, width=16, map_fusion=rule) for rule in ("refine", "add"))
    left_out = set(refined.state_dict()) - set(added.state_dict())
    parts = [f"{conv}.{kind}" for conv in ("conv1", "conv2") for kind in ("weight", "bias")]
    assert left_out == {f"fusion.{level}.skip_unit.{part}" for level in (0, 1) for part in parts}
    added(torch.randn(1, 3, 64, 96)).depth.sum().backward()
    assert all(p.grad is not None for name, p in added.named_parameters() if not name.startswith("backbone."))
    with pytest.raises(ValueError, match="map_fusion"):
        DPTHybridNetwork(backbone, map_fusion="concatenate")


@pytest.mark.slow
def test_paper_size():
    """Full size: shapes, one backward pass, and parameters against a count by parts."""
    network = DPTHybridNetwork(create_backbone("resnet50+vit_small_patch16_384", pretrained=False))
    network(torch.randn(1, 3, 384, 384)).depth.mean().backward()

    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    resnet, vit = (timm.create_model(n, pretrained=False) for n in ("resnet50", "vit_small_patch16_384"))
    stem = sum(map(count, (resnet.conv1, resnet.bn1, resnet.layer1, resnet.layer2, resnet.layer3)))
    transformer = count(vit.blocks) + vit.cls_token.numel() + vit.pos_embed.numel()
    projection = 1024 * 384 + 384
    d, w = 384, 256
    readout = 2 * (2 * d * d + d)
    reassemble = 2 * (d * d + d) + (9 * d * d + d) + 2 * 9 * d * w
    maps = 9 * 256 * w + 9 * 512 * w
    unit = 2 * (9 * w * w + w)
    fusion = 7 * unit + 4 * (w * w + w)
    head = (9 * w * 128 + 128) + (9 * 128 * 32 + 32) + 33
    expected = stem + transformer + projection + readout + reassemble + maps + fusion + head
    assert count(network) == expected
