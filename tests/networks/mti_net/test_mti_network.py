"""Guided MTI-Net's interaction, decoders and ways of gradients."""

import pytest
import torch
from torch import nn

from lightning_modules.backbones import create_backbone
from lightning_modules.networks.mti_net import MTINetwork
from lightning_modules.networks.mti_net.interaction import FeaturePropagation, MultiModalDistillation
from lightning_modules.networks.mti_net.options import MTINetOptions

TASKS = ("depth", "semantics", "edges")


def build(**options):
    torch.manual_seed(0)
    options = {"num_classes": 5, "widths": (8, 8, 8, 8), "width": 16, "attention_dim": 8, **options}
    return MTINetwork(create_backbone("resnet10t", pretrained=False), MTINetOptions(**options))


@pytest.fixture(scope="module")
def small():
    return build().eval()


def with_gradient(network: nn.Module, loss: torch.Tensor) -> set[str]:
    """Parameters that a loss reaches at all, be it with a zero."""
    network.zero_grad()
    loss.backward()
    return {name for name, parameter in network.named_parameters() if parameter.grad is not None}


def moved(network: nn.Module, names: set[str]) -> set[str]:
    """Those of some parameters whose gradient is not zero everywhere."""
    parameters = dict(network.named_parameters())
    return {name for name in names if parameters[name].grad.any()}


def of_task(names: set[str], task: str) -> set[str]:
    """Parameters that belong to a task: its stems, heads, messages to it, branch, attention to it and decoder."""
    own = {name for name in names if task in name.split(".")}
    # `distillation.0.messages.depth.semantics.weight` is depth's, which it is a message to
    return {name for name in own if ".messages." not in name or name.split(".messages.")[1].startswith(task)}


@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_every_task_has_a_map_of_the_images_size(size, stride):
    network = build(attention_stride=stride, key_pool=2).eval()
    with torch.no_grad():
        output = network(torch.randn(2, 3, *size))
    assert output.depth.shape == output.edges.shape == (2, 1, *size)
    assert output.semantics.shape == (2, 5, *size)
    assert ((output.depth > 0) & (output.depth < 10)).all()
    for task, channels in (("depth", 1), ("semantics", 5), ("edges", 1)):
        shapes = [tuple(map_.shape) for map_ in output.initial[task]]
        assert shapes == [(2, channels, size[0] // s, size[1] // s) for s in (4, 8, 16, 32)]


def test_a_size_that_does_not_fit_is_refused(small):
    with pytest.raises(ValueError, match="multiples of 32"):
        small(torch.randn(1, 3, 65, 64))


def test_an_image_is_predicted_alike_alone_and_in_a_batch(small):
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        batch, alone = small(images), small(images[1:2])
    for name in ("depth", "semantics", "edges"):
        torch.testing.assert_close(getattr(batch, name)[1:2], getattr(alone, name), rtol=0, atol=1e-5)


def test_all_losses_together_reach_every_parameter():
    network = build()
    output = network(torch.randn(2, 3, 64, 64))
    maps = [output.depth, output.semantics, output.edges, *(m for maps in output.initial.values() for m in maps)]
    assert with_gradient(network, sum(map_.sum() for map_ in maps)) == dict(network.named_parameters()).keys()


@pytest.mark.parametrize("guide", ["semantics", "edges"])
def test_depth_teaches_a_guide_and_no_other_branch(guide):
    """The branches, that is, what follows the tasks' common interaction."""
    network = build(guidance=[guide])
    reached = with_gradient(network, network(torch.randn(2, 3, 64, 64)).depth.square().mean())
    branches = {name.split(".")[1] for name in reached if name.startswith("branches.")}
    assert branches == {"depth", guide}
    assert moved(network, {name for name in reached if name.startswith(f"branches.{guide}")})
    assert {name.split(".")[1] for name in reached if name.startswith("decoders.")} == {"depth"}


def test_without_guidance_depth_teaches_no_other_branch():
    network = build(guidance=[])
    reached = with_gradient(network, network(torch.randn(2, 3, 64, 64)).depth.square().mean())
    assert {name.split(".")[1] for name in reached if name.startswith(("branches.", "decoders."))} == {"depth"}


@pytest.mark.parametrize("guidance", [["semantics", "edges"], ["semantics"], ["edges"], []])
def test_guidance_alone_is_the_only_way_between_tasks(guidance):
    """Without propagation and distillation: stems, heads, branches and decoders of other tasks, all of them."""
    network = build(guidance=guidance, propagation=False, distillation=False)
    image = torch.randn(2, 3, 64, 64)
    names = set(dict(network.named_parameters()))
    reached = with_gradient(network, network(image).depth.square().mean())
    for task in ("semantics", "edges"):
        expected = {
            name
            for name in of_task(names, task)
            if task in guidance and not name.startswith("decoders.") and ".heads." not in name
        }
        assert of_task(reached, task) == expected
        guides = {name for name in expected if "branches" in name or name.endswith("value.weight")}
        assert guides == moved(network, guides)
    assert any(name.startswith("backbone.") for name in reached)
    # and nothing flows back: depth guides nobody
    output = network(image)
    back = with_gradient(network, output.semantics.square().mean() + output.edges.square().mean())
    assert of_task(back, "depth") == set()
    assert not any(name.startswith("guidance.") for name in back)


def test_detached_guides_guide_and_do_not_learn():
    network = build(propagation=False, distillation=False, detach_guidance=True)
    image = torch.randn(2, 3, 64, 64)
    reached = with_gradient(network, network(image).depth.square().mean())
    kept = {name for name in reached if not name.startswith("guidance.")}
    assert of_task(kept, "semantics") == of_task(kept, "edges") == set()
    assert {name.split(".")[1] for name in reached if name.startswith("guidance.")} == {"semantics", "edges"}


def test_depth_is_guided_by_the_edge_map_if_asked():
    """Keys and values are of the probabilities, averaged to the attention's grid; depth teaches the edges' decoder."""
    network = build(guidance=["edges"], edge_guide="map", propagation=False, distillation=False)
    given = []
    network.guidance["edges"].register_forward_pre_hook(lambda module, arguments: given.append(arguments[1]))
    output = network(torch.randn(2, 3, 64, 64))
    expected = output.edges.sigmoid().unflatten(2, (8, 8)).unflatten(4, (8, 8)).mean((3, 5))
    torch.testing.assert_close(given[0], expected)
    reached = with_gradient(network, output.depth.square().mean())
    assert moved(network, {name for name in reached if name.startswith("decoders.edges")})


def test_the_edge_decoder_is_the_lightest():
    sizes = {task: sum(p.numel() for p in decoder.parameters()) for task, decoder in build(width=256).decoders.items()}
    assert sizes["edges"] < min(sizes["depth"], sizes["semantics"])


def test_depth_changes_with_the_guides_features_through_the_attention_alone():
    network = build(propagation=False, distillation=False, guidance=["semantics"]).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        before = network(image).depth
        network.branches["semantics"].fuse.conv.weight.mul_(2)
        network.branches["semantics"].fuse.conv.weight.add_(0.1)
        assert not torch.equal(network(image).depth, before)
        network.guidance["semantics"].output.weight.zero_()
        cut = network(image).depth
        network.branches["semantics"].fuse.conv.weight.zero_()
        assert torch.equal(network(image).depth, cut)


def test_distillation_is_the_printed_sum():
    """F_t plus, for every other task, a convolution of its features times a sigmoid of another convolution."""
    torch.manual_seed(0)
    module = MultiModalDistillation(TASKS, 4).double()
    features = {task: torch.randn(2, 4, 6, 5).double() for task in TASKS}
    distilled = module(features)
    for task in TASKS:
        expected = features[task].clone()
        for other in TASKS:
            if other != task:
                content, gate = module.messages[task][other].weight.chunk(2)
                convolved = nn.functional.conv2d(features[other], content, padding=1)
                expected += convolved * nn.functional.conv2d(features[other], gate, padding=1).sigmoid()
        torch.testing.assert_close(distilled[task], expected, rtol=0, atol=1e-12)


def test_propagation_chooses_between_tasks_at_every_place_and_channel():
    torch.manual_seed(0)
    module = FeaturePropagation(TASKS, 8).eval()
    features = {task: torch.randn(1, 8, 6, 6) for task in TASKS}
    seen = []
    module.reduce.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        module(features)
    shares = seen[0].unflatten(1, (3, 8)) / torch.stack([features[task] for task in TASKS], dim=1)
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 8, 6, 6), rtol=0, atol=1e-4)
    assert (shares > 0).all()
    with torch.no_grad():  # all that propagation adds is the shared features, which every task re-weights
        module.reduce.conv1.weight.zero_()
        module.reduce.downsample[0].weight.zero_()
        for task, propagated in module(features).items():
            torch.testing.assert_close(propagated, features[task])


def test_a_single_task_is_the_same_network_without_the_others():
    network = build(tasks=["depth"], guidance=[])
    output = network(torch.randn(2, 3, 64, 64))
    assert output.semantics is None
    assert output.edges is None
    everything = [output.depth, *output.initial["depth"]]
    assert with_gradient(network, sum(map_.sum() for map_ in everything)) == dict(network.named_parameters()).keys()
    assert not any(word in name for name, _ in network.named_parameters() for word in ("semantics", "edges"))
    own = {name for name, _ in build().named_parameters()}
    assert {name for name, _ in network.named_parameters()} < own


def test_without_supervision_there_are_no_initial_predictions():
    network = build(deep_supervision=0)
    output = network(torch.randn(2, 3, 32, 32))
    assert all(maps == [] for maps in output.initial.values())
    reached = with_gradient(network, output.depth.sum() + output.semantics.sum() + output.edges.sum())
    assert reached == dict(network.named_parameters()).keys()  # none is left that nothing trains


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": []}, "`tasks`: need at least one"),
        ({"tasks": ["depth", "normals"]}, "`tasks`: choose of depth, semantics, edges"),
        ({"tasks": ["depth", "depth"]}, "each at most once"),
        ({"guidance": ["depth"]}, "`guidance`: choose of semantics, edges"),
        ({"tasks": ["depth", "edges"]}, "needs the task semantics"),
        ({"tasks": ["semantics"], "guidance": ["semantics"]}, "needs the task depth"),
        ({"attention_stride": 2}, "`attention_stride` must be one of"),
        ({"widths": (8, 8)}, "`widths`: need one for each stride"),
        ({"edge_guide": "both"}, "`edge_guide` is 'both'; choose one of features, map"),
        ({"depth_param": "linear"}, "`depth_param` is 'linear'; choose one of sigmoid_max"),
        ({"deep_supervision": -1}, "`deep_supervision` must not be negative"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_a_backbone_of_other_strides_is_refused():
    with pytest.raises(ValueError, match="strides 4, 8, 16 and 32"):
        MTINetwork(create_backbone("resnet10t", pretrained=False, strides=(8, 16, 32)), MTINetOptions())


def test_bfloat16_autocast_trains():
    network = build()
    with torch.autocast("cpu", torch.bfloat16):
        output = network(torch.randn(2, 3, 64, 64))
    assert output.depth.dtype == torch.float32
    loss = output.depth.mean() + output.semantics.float().mean() + output.edges.float().mean()
    with_gradient(network, loss)
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.slow
@pytest.mark.parametrize("autocast", [False, True])
def test_it_compiles_without_a_break(small, autocast):
    image = torch.randn(1, 3, 64, 64)
    compiled = torch.compile(small, fullgraph=True, backend="aot_eager")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for mine, theirs in zip(compiled(image)[:3], small(image)[:3], strict=True):
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_its_gradients_are_the_same_compiled():
    """Training is another graph: batch norm of the batch, initial predictions."""
    image = torch.randn(2, 3, 64, 64)
    gradients = []
    for compiled in (False, True):
        network = build().double()
        run = torch.compile(network, fullgraph=True, backend="eager") if compiled else network
        output = run(image.double())
        initial = sum(map_.square().mean() for maps in output.initial.values() for map_ in maps)
        loss = output.depth.mean() + output.semantics.square().mean() + output.edges.square().mean() + initial
        with_gradient(network, loss)
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-4, atol=1e-7)
