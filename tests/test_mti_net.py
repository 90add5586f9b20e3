"""Guided MTI-Net as a method: what it is trained on, and what it asks of the data."""

import pytest
import torch
from torch.nn import functional as F

from lightning_modules import GuidedMTINet
from lightning_modules.losses import BalancedBCELoss, SemanticCrossEntropy, StructuredDepthLoss
from lightning_modules.metrics import EvalProtocol
from tests.helpers.described_data import described

PROTOCOL = EvalProtocol("test", min_depth=1e-3, max_depth=10.0)


def build(**options):
    torch.manual_seed(0)
    small = {"backbone": "resnet10t", "widths": (8, 8, 8, 8), "width": 16, "attention_dim": 8, "num_classes": 5}
    return GuidedMTINet(protocol=PROTOCOL, pretrained=False, **{**small, **options})


def batch(classes=5):
    rng = torch.Generator().manual_seed(1)
    return {
        "image": torch.randn(2, 3, 64, 64, generator=rng),
        "depth": 1 + 8 * torch.rand(2, 1, 64, 64, generator=rng),
        "valid": torch.rand(2, 1, 64, 64, generator=rng) < 0.8,
        "semantics": torch.randint(0, classes + 1, (2, 64, 64), generator=rng),
        "edges": (torch.rand(2, 1, 64, 64, generator=rng) < 0.1).float(),
    }


def task_losses(depth, logits, edges, data):
    """What the three tasks cost, by the losses themselves."""
    return {
        "depth": StructuredDepthLoss()(depth, data["depth"], data["valid"], data["edges"]),
        "semantics": SemanticCrossEntropy()(logits, data["semantics"]),
        "edges": BalancedBCELoss()(edges, data["edges"]),
    }


def by_task(terms):
    sums = dict.fromkeys(("depth", "semantics", "edges"), 0.0)
    for name, value in terms.items():
        sums[name.partition("_")[0]] += value
    return sums


@pytest.mark.parametrize("deep", [0.0, 0.5])
def test_the_loss_is_weighted_and_deeply_supervised(deep):
    weights = {"depth": 10.0, "edges": 0.3}
    module, data = build(task_weights=weights, deep_supervision=deep), batch()
    prediction = module(data)
    terms = module.losses(prediction, data)
    expected = task_losses(prediction.depth, prediction.class_logits, prediction.edges, data)
    for scale in range(4 if deep else 0):
        maps = (prediction.initial[task][scale] for task in ("depth", "semantics", "edges"))
        enlarged = (F.interpolate(map_, (64, 64), mode="bilinear") for map_ in maps)
        for task, loss in task_losses(*enlarged, data).items():
            expected[task] = expected[task] + deep * loss
    for task, total in by_task(terms).items():
        torch.testing.assert_close(total, weights.get(task, 1.0) * expected[task])
    assert ("depth_initial" in terms) == (deep > 0)


def test_learned_weights_multiply_and_are_learned():
    module, data = build(learned_weights=True), batch()
    with torch.no_grad():
        module.learned.log_variance["depth"].fill_(1.0)
    prediction = module(data)
    terms = module.losses(prediction, data)
    final = task_losses(prediction.depth, prediction.class_logits, prediction.edges, data)
    depth = sum(value for name, value in terms.items() if name in ("depth_l1", "depth_gradient", "depth_edge_aware"))
    torch.testing.assert_close(depth, torch.exp(torch.tensor(-1.0)) * final["depth"])
    assert terms["weights"].item() == pytest.approx(0.5)
    sum(terms.values()).backward()
    assert all(parameter.grad for parameter in module.learned.parameters())


@pytest.mark.parametrize("options", [{"task_weights": {"depth": 7.0}}, {"learned_weights": True}])
def test_validation_costs_are_unweighted(options):
    module, data = build(**options).eval(), batch()
    if module.learned is not None:
        torch.nn.init.ones_(module.learned.log_variance["depth"])
    prediction = module(data)
    expected = task_losses(prediction.depth, prediction.class_logits, prediction.edges, data)
    found = module.validation_losses(prediction, data)
    assert found.keys() == expected.keys()
    for task, loss in expected.items():
        torch.testing.assert_close(found[task], loss)


def test_outputs_beyond_the_datas_classes_are_trained_and_not_evaluated():
    module, data = build(num_classes=256), batch(classes=40)
    module.check_data(described(name="nyuv2", provides=frozenset(batch()), classes=40))
    prediction = module(data)
    assert prediction.class_logits.shape[1] == 256
    assert torch.equal(prediction.semantics, prediction.class_logits[:, :40])
    expected = SemanticCrossEntropy()(prediction.class_logits, data["semantics"])
    torch.testing.assert_close(module.losses(prediction, data)["semantics"], expected)


def test_more_classes_than_outputs_are_refused():
    data = described(name="nyuv2", provides=frozenset(batch()), classes=894)
    with pytest.raises(ValueError, match="`nyuv2` has 894 classes and the network 40 outputs"):
        build(num_classes=40).check_data(data)
    build(num_classes=40, tasks=["depth"], guidance=[]).check_data(data)  # does not care


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({}, {"semantics", "edges"}),
        ({"tasks": ["depth"], "guidance": []}, {"edges"}),  # of the loss
        ({"tasks": ["depth"], "guidance": [], "depth_loss": StructuredDepthLoss(gamma=0.0)}, set()),
        ({"tasks": ["depth"], "guidance": [], "depth_loss": StructuredDepthLoss(edge_source="image")}, set()),
        ({"tasks": ["depth", "semantics"], "guidance": ["semantics"]}, {"semantics", "edges"}),
    ],
)
def test_it_requires_the_truth_that_its_losses_read(options, keys):
    module = build(**options)
    assert module.requires == keys
    data = {key: value for key, value in batch().items() if key in {"image", "depth", "valid", *keys}}
    losses = module.losses(module(data), data)
    assert torch.stack(list(losses.values())).isfinite().all()


def test_missing_truth_is_named():
    data = described(provides=frozenset({"image", "depth", "valid"}), hint=lambda key: "no labels")
    with pytest.raises(ValueError, match="GuidedMTINet requires edges, semantics"):
        build().check_data(data)


def test_the_image_guides_smoothness_in_its_own_units():
    module, data = build(depth_loss=StructuredDepthLoss(edge_source="image"), deep_supervision=0.0), batch()
    prediction = module(data)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in module.normalization)
    pixels = data["image"] * std + mean
    expected = StructuredDepthLoss(edge_source="image").terms(prediction.depth, data["depth"], data["valid"], pixels)
    found = module.losses(prediction, data)["depth_edge_aware"]
    torch.testing.assert_close(found, expected["edge_aware"], rtol=1e-4, atol=1e-8)


def test_initial_predictions_are_for_training():
    module, data = build(), batch()
    assert len(module(data).initial["semantics"]) == 4
    assert module.eval()(data).initial == {}


def test_it_trains_in_bfloat16():
    module, data = build(), batch()
    with torch.autocast("cpu", torch.bfloat16):
        terms = module.losses(module(data), data)
    loss = torch.stack(list(terms.values())).sum()
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(parameter.grad.isfinite().all() for parameter in module.parameters())
    with torch.no_grad():
        exact = sum(module.losses(module(data), data).values())
    torch.testing.assert_close(loss, exact, rtol=0.05, atol=0)


def test_channels_last_is_the_same_network():
    plain, last, data = build(), build(channels_last=True), batch()
    last.configure_model()
    assert last.network.reduce[0].conv.weight.is_contiguous(memory_format=torch.channels_last)
    losses = [module.losses(module(data), data) for module in (plain, last)]
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task_weights": {"normals": 1.0}}, "`task_weights`.*normals"),
        ({"task_weights": {"depth": -1.0}}, "`task_weights`.*depth"),
        ({"deep_supervision": -1.0}, "`deep_supervision` must not be negative"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_without_depth_only_its_cost_can_be_told():
    with pytest.raises(ValueError, match="have no depth"):
        build(tasks=["semantics"], guidance=[]).check_data(None)
