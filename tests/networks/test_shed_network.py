import pytest
import timm
import torch

from lightning_modules.backbones import create_hybrid_parts
from lightning_modules.networks.shed import SHEDTrunk, level_convolution
from lightning_modules.networks.shed.network import SHEDNetwork
from lightning_modules.networks.shed.options import SHEDOptions


def make_network(**options):
    torch.manual_seed(0)
    parts = create_hybrid_parts("resnet18+vit_tiny_patch16_224", strides=(4, 8), pretrained=False)
    options = SHEDOptions(**({"segments": (8, 4), "width": 16} | options))
    return SHEDNetwork(parts.stem, SHEDTrunk(parts.transformer.blocks, parts.transformer.embed_dim, options))


def grid(height, width, size=16, batch=2):
    rows, columns = torch.arange(height) // size, torch.arange(width) // size
    return (rows[:, None] * (width // size) + columns).expand(batch, -1, -1).contiguous()


@pytest.mark.parametrize("level_fusion", ["tokens", "maps"])
@pytest.mark.parametrize(("readout", "map_fusion"), [("ignore", "refine"), ("project", "add")])
def test_shapes_and_gradients(level_fusion, readout, map_fusion):
    network = make_network(level_fusion=level_fusion, readout=readout, map_fusion=map_fusion)
    output = network(torch.randn(2, 3, 64, 96), grid(64, 96))
    assert output.depth.shape == (2, 1, 64, 96)
    output.depth.sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []  # DDP needs it so


def test_token_fusion_equals_1x1_convolutions_on_the_maps():
    network = make_network(level_fusion="tokens").eval().double()
    image, superpixels = torch.randn(2, 3, 64, 96, dtype=torch.float64), grid(64, 96)
    with torch.no_grad():
        trunk = network(image, superpixels).trunk
        fused = network.level_fusion(trunk)
        expected = torch.zeros_like(fused)
        for projection, tokens in zip(network.level_fusion.projections, trunk.levels, strict=True):
            expected += torch.nn.functional.conv2d(trunk.spread(tokens), projection.weight[..., None, None])
    torch.testing.assert_close(fused, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{}, {"spatial_reduction": "dpt"}, {"s0": "area"}], ids=str)
def test_levels_convolved_from_tokens_give_the_depth_of_convolved_maps(monkeypatch, options):
    network = make_network(**options).eval()
    image, superpixels = torch.randn(2, 3, 96, 128), grid(96, 128)
    depths = []
    for cells_per_token in ({"cpu": 1.0}, {}):
        monkeypatch.setattr(level_convolution, "CELLS_PER_TOKEN", cells_per_token)
        depths.append(network(image, superpixels).depth)
    torch.testing.assert_close(*depths, rtol=1e-5, atol=1e-5)


def test_permuting_superpixel_ids_changes_nothing_in_the_depth():
    network = make_network().eval().double()
    image, superpixels = torch.randn(2, 3, 64, 96, dtype=torch.float64), grid(64, 96)
    permuted = torch.randperm(24)[superpixels]
    with torch.no_grad():
        first, second = network(image, superpixels), network(image, permuted)
    torch.testing.assert_close(first.depth, second.depth, rtol=1e-9, atol=1e-9)
    for a, b in zip(first.trunk.segments(superpixels)[1:], second.trunk.segments(permuted)[1:], strict=True):
        torch.testing.assert_close(a, b)


def test_depth_does_not_depend_on_the_rest_of_the_batch():
    network = make_network().eval().double()
    images, superpixels = torch.randn(2, 3, 64, 96, dtype=torch.float64), grid(64, 96)
    superpixels[1][superpixels[1] > 17] = 17  # empty ids in one image only
    with torch.no_grad():
        together = network(images, superpixels).depth
        alone = torch.cat([network(images[i : i + 1], superpixels[i : i + 1]).depth for i in range(2)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_fused_level_influences_depth(level):
    network = make_network(map_levels=[level])
    output = network(torch.randn(1, 3, 64, 64), grid(64, 64, batch=1))
    (tokens,) = output.trunk.levels
    (gradient,) = torch.autograd.grad(output.depth.sum(), tokens)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(
    "options",
    [
        {"spatial_reduction": "dpt"},
        {"projection_stride": 4},
        {"level_fusion": "tokens", "projection_stride": 4},
        {"reverse": False},
        {"assignment": "own"},
        {"unpool": "hard"},
    ],
    ids=str,
)
def test_ablations_train_and_use_all_they_have(options):
    network = make_network(**options)
    output = network(torch.randn(2, 3, 80, 112), grid(80, 112))
    assert output.depth.shape == (2, 1, 80, 112)
    output.depth.sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []  # DDP needs it so


def test_projection_at_stride_4_shows_thinner_things():
    """A superpixel of one column of stride-4 cells that stride-8 cells pass over has a place on the finer map."""
    superpixels = grid(64, 64, batch=1)
    superpixels[..., 4:8] = 15  # between two samples of stride 8
    superpixels[superpixels.eq(15) & (torch.arange(64) > 7)] = 14
    trunks = [make_network(**options).trunk for options in ({}, {"projection_stride": 4})]
    features = torch.randn(1, 192, 8, 8)
    coarse, fine = (trunk.eval()(features, superpixels) for trunk in trunks)
    assert not coarse.cells.eq(15).any()
    assert fine.cells.view(16, 16)[:, 1].eq(15).all()


@pytest.mark.slow
def test_paper_size():
    """384x384, 576 superpixels, ViT-S: one forward and backward, and the shared parts are timm's own."""
    parts = create_hybrid_parts("resnet50+vit_small_patch16_384", strides=(4, 8), pretrained=False)
    network = SHEDNetwork(parts.stem, SHEDTrunk(parts.transformer.blocks, 384, SHEDOptions()))
    output = network(torch.randn(1, 3, 384, 384), grid(384, 384, batch=1))
    output.depth.mean().backward()
    assert [tuple(p.shape[1:]) for p in output.trunk.assignments] == [(576, 256), (256, 128), (128, 64)]

    vit, resnet = (timm.create_model(n, pretrained=False) for n in ("vit_small_patch16_384", "resnet50"))

    def count(*modules):
        return sum(p.numel() for module in modules for p in module.parameters())

    stages = [*network.trunk.encoder.stages, *network.trunk.decoder.stages]
    assert count(*stages) == count(vit.blocks)
    assert count(network.backbone) == count(resnet.conv1, resnet.bn1, resnet.layer1, resnet.layer2)
