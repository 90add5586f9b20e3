"""Generation and refinement: layers of Table 1, odd sizes, shared iterations, checkpointing, ResNet-34's weights."""

import pytest
import timm
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lightning_modules.networks.region_support import GenerationModule, RefinementModule, take_resnet34_weights
from lightning_modules.networks.region_support.generation import FeatureExtractor
from lightning_modules.networks.region_support.layers import scaled

NARROW = {"width_mult": 1 / 16}


def convolutions(module):
    return [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]


def test_generation_is_table_1():
    with torch.device("meta"):
        module = GenerationModule()
        skip, deep = module.features(torch.zeros(1, 3, 480, 640))
        assert module(torch.zeros(1, 3, 480, 640)).shape == (1, 1, 480, 640)
    assert (skip.shape, deep.shape) == ((1, 128, 480, 640), (1, 512, 240, 320))
    main = [c for c in convolutions(module.features) if c.kernel_size != (1, 1)]  # without projections of shortcuts
    widths = [(c.in_channels, c.out_channels) for c in main]
    assert widths == [
        (3, 64), *[(64, 64)] * 6, (64, 128), (128, 128), (128, 256), *[(256, 256)] * 7, (256, 512), *[(512, 512)] * 19
    ]  # fmt: skip
    assert [c.stride for c in main].count((2, 2)) == 1
    assert main[9].stride == (2, 2)
    assert [(c.in_channels, c.out_channels) for c in convolutions(module.pyramid)] == [(512, 64)] * 8
    decoder = [module.fuse[0], module.upsample, module.reduce[0]]
    assert [(c.in_channels, c.out_channels) for c in decoder] == [(1024, 512), (512, 256), (256, 128)]
    last = convolutions(module.regression)
    assert (len(last), last[0].in_channels, last[-1].out_channels) == (5, 256, 1)


def test_refinement_is_table_1():
    with torch.device("meta"):
        module = RefinementModule()
    features, last = convolutions(module.features), convolutions(module.regression)
    assert [(c.in_channels, c.out_channels) for c in features] == [
        (5, 64), (64, 64), (64, 64), (64, 64), (64, 128), (128, 128)
    ]  # fmt: skip
    assert features[0].kernel_size == (7, 7)
    assert [(c.in_channels, c.out_channels) for c in convolutions(module.pyramid)] == [(128, 16)] * 8
    assert (last[0].in_channels, last[0].out_channels, last[-1].out_channels) == (256, 128, 1)
    assert 1 + len(last) == 8  # "eight convolutional layers": the pyramid's and these


def test_the_refinement_with_table_1s_residual_units():
    module = RefinementModule(width_mult=1 / 8, extractor="residual")
    widths = [(c.in_channels, c.out_channels) for c in convolutions(module.features)]
    assert widths == [(5, 8), *[(8, 8)] * 6, (8, 16), (16, 16)]
    unit = module.features[1].eval()
    with torch.no_grad():
        for norm in (unit.bn1, unit.bn2):
            norm.weight.zero_()
        x = torch.rand(1, 8, 6, 6)
        torch.testing.assert_close(unit(x), x)  # nothing is left but the shortcut
    depth = torch.ones(1, 1, 12, 16)
    assert module(torch.zeros(1, 3, 12, 16), depth, depth)[-1].shape == (1, 1, 12, 16)


def test_cost_at_the_papers_size():
    """Multiply-adds of one 480x640 image, about those counted by hand in the notes (4.9 and 0.23 TMAC)."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        GenerationModule()(torch.zeros(1, 3, 480, 640))
    assert counter.get_total_flops() / 2e12 == pytest.approx(4.8, abs=0.15)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        depth = torch.zeros(1, 1, 480, 640)
        RefinementModule()(torch.zeros(1, 3, 480, 640), depth, depth)
    assert counter.get_total_flops() / 2e12 == pytest.approx(3 * 0.23, abs=0.02)


@pytest.mark.parametrize("size", [(48, 64), (37, 51), (33, 170)])
@pytest.mark.parametrize("backbone", ["table1", "resnet34_dilated"])
def test_generation_at_any_size(size, backbone):
    torch.manual_seed(0)
    module = GenerationModule(backbone=backbone, **NARROW).eval()
    image = torch.randn(2, 3, *size)
    depth = module(image)
    assert depth.shape == (2, 1, *size)
    assert (depth > 0).all()
    torch.testing.assert_close(module(image[1:]), depth[1:], rtol=1e-4, atol=1e-5)


def test_iterations_are_one_module_applied_again():
    torch.manual_seed(0)
    module = RefinementModule(**NARROW).eval()
    image, guidance, coarse = torch.randn(1, 3, 33, 47), torch.rand(1, 1, 33, 47), torch.rand(1, 1, 33, 47)
    depths = module(image, guidance, coarse)
    assert len(depths) == 3
    before = [coarse, *depths]
    for one, next_ in zip(before, depths, strict=False):
        torch.testing.assert_close(module.iterate(image, guidance, one), next_)
    assert min(depth.min() for depth in depths) > 0


@pytest.mark.parametrize("detach", [False, True])
def test_the_last_iteration_reaches_the_first(detach):
    module = RefinementModule(detach_between=detach, **NARROW)
    coarse = torch.rand(2, 1, 16, 24, requires_grad=True)
    guidance = torch.rand(2, 1, 16, 24)
    module(torch.randn(2, 3, 16, 24), guidance, coarse)[-1].sum().backward()
    assert (coarse.grad is None) == detach


def test_four_channels_leave_the_guidance_out():
    module = RefinementModule(in_channels=4, **NARROW).eval()
    image, coarse = torch.randn(1, 3, 16, 24), torch.rand(1, 1, 16, 24)
    one, other = (module(image, guidance, coarse)[-1] for guidance in (coarse, 0 * coarse))
    assert torch.equal(one, other)
    assert module.features[0][0].in_channels == 4


@pytest.mark.parametrize("backbone", ["table1", "resnet34_dilated"])
def test_checkpointing_changes_nothing_but_memory(backbone):
    outcomes = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        generation = GenerationModule(backbone=backbone, checkpointing=checkpointing, **NARROW)
        refinement = RefinementModule(checkpointing=checkpointing, **NARROW)
        image = torch.randn(2, 3, 32, 48)
        support = generation(image)
        torch.stack(refinement(image, support, support)).sum().backward()
        modules = nn.ModuleList([generation, refinement])
        outcomes.append(({n: p.grad for n, p in modules.named_parameters()}, dict(modules.named_buffers())))
    for plain, checkpointed in zip(*outcomes, strict=True):
        assert plain.keys() == checkpointed.keys()
        for name, value in plain.items():
            assert torch.equal(value, checkpointed[name]), name


def test_bfloat16():
    torch.manual_seed(0)
    module = GenerationModule(**NARROW)
    image = torch.randn(2, 3, 32, 48)
    exact = module(image)
    with torch.autocast("cpu", torch.bfloat16):
        depth = module(image)
    assert depth.dtype == torch.float32
    torch.testing.assert_close(depth, exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("backbone", ["table1", "resnet34_dilated"])
def test_resnet34_weights_where_shapes_agree(backbone):
    weights = timm.create_model("resnet34").state_dict()
    features = FeatureExtractor(backbone=backbone)
    before = {name: value.clone() for name, value in features.state_dict().items()}
    loaded, left = take_resnet34_weights(features, weights)
    after = features.state_dict()
    assert set(loaded) | set(left) == after.keys()
    assert all(torch.equal(after[name], weights[name]) for name in loaded)
    assert all(torch.equal(after[name], before[name]) for name in left)
    taken = {name.rsplit(".", 1)[0] for name in loaded}
    assert {"conv1", "bn1", "layer1.0.conv1", "layer1.2.bn2", "layer4.0.conv2", "layer4.2.conv1"} <= taken
    if backbone == "table1":
        assert not any(name.startswith(("layer2", "layer3", "widen", "layer4.3", "layer4.0.conv1")) for name in loaded)
    else:
        assert not left
        assert set(loaded) == {name for name in weights if not name.startswith("fc")}


def test_widths_stay_useful():
    assert [scaled(64, mult) for mult in (1, 0.5, 0.01)] == [64, 32, 8]
    with pytest.raises(ValueError, match="`width_mult` must be positive"):
        GenerationModule(width_mult=0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"iterations": 0}, "`iterations` must be at least 1"),
        ({"in_channels": 6}, "`refinement_channels` must be 5"),
        ({"extractor": "deep"}, "`refinement_extractor` must be plain or residual"),
    ],
)
def test_bad_options(option, message):
    with pytest.raises(ValueError, match=message):
        RefinementModule(**option)
