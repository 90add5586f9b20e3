"""Semantic-MD as a method: what it predicts, what it is trained on, what it reads, and what it says of itself."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from torch.nn import functional as F

from lightning_modules import SemanticMD
from lightning_modules.losses import SegmentationLoss, SobelCorrelationLoss
from lightning_modules.losses.sobel import depth_edges
from lightning_modules.metrics import EvalProtocol
from lightning_modules.networks.semantic_md.semantic_inputs import (
    LabelContours,
    OneHotClasses,
    RawLabels,
    SemanticConvolution,
)
from tests.helpers.described_data import described

PROTOCOL = EvalProtocol("hypersim_semantic_md", 0.0015, 15.0, clip_truth=True, averaging="pooled")
SMALL = {
    "encoder": "mobilenetv3_small_050", "pretrained": False, "protocol": PROTOCOL,
    "decoder_options": {"decoder_channels": [16, 8, 8, 8, 8]},
}  # fmt: skip
INPUTS = {"concat": RawLabels, "onehot": OneHotClasses, "conv": SemanticConvolution, "contour": LabelContours}


def made(**options):
    torch.manual_seed(0)
    method = SemanticMD(**{**SMALL, **options})
    if isinstance(method.network.semantic_input, OneHotClasses):
        method.network.semantic_input.choose(range(1, 41))
    return method


def batch(size=(64, 64), images=2):
    generator = torch.Generator().manual_seed(5)
    depth = 18 * torch.rand(images, 1, *size, generator=generator)  # some beyond 15 m
    valid = torch.rand(depth.shape, generator=generator) < 0.8
    semantics = F.interpolate(
        torch.randint(0, 41, (images, 1, 8, 8), generator=generator).float(), size, mode="nearest"
    )[:, 0].long()
    return {
        "image": torch.randn(images, 3, *size, generator=generator),
        "depth": depth.where(valid, 0.0),
        "valid": valid,
        "semantics": semantics,
        "edges": LabelContours()(semantics),
    }


def data(**options):
    return described(**{"provides": frozenset({"semantics", "edges"}), **options})


# --- predictions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heads", "activation", "bounded"),
    [
        (["depth"], "auto", True), (["depth", "semantics"], "auto", False), (["depth", "contours"], "auto", False),
        (["depth"], "none", False), (["depth", "semantics"], "sigmoid", True),
    ],
)  # fmt: skip
def test_depth_is_in_metres_and_bounded_where_it_is_the_only_task(heads, activation, bounded):
    method = made(heads=heads, depth_activation=activation).eval()
    raw = []
    method.network.backbone.heads["depth"].register_forward_hook(lambda module, inputs, output: raw.append(output))
    depth = method(batch()).depth
    expected = 15 * (raw[0].sigmoid() if bounded else raw[0])
    assert torch.equal(depth, expected)
    assert depth.shape == (2, 1, 64, 64)


def test_each_head_fills_its_field_of_the_prediction():
    alone, three = made().eval(), made(heads=["depth", "semantics", "contours"]).eval()
    prediction = alone(batch())
    assert (prediction.semantics, prediction.edges) == (None, None)
    raw = []
    three.network.backbone.heads["contours"].register_forward_hook(lambda module, inputs, output: raw.append(output))
    prediction = three(batch())
    assert prediction.semantics.shape == (2, 40, 64, 64)
    assert prediction.edges.shape == (2, 1, 64, 64)
    assert torch.allclose(prediction.edges.sigmoid(), raw[0].softmax(1)[:, 1:], atol=1e-6)


@pytest.mark.parametrize("name", INPUTS)
def test_semantics_change_the_prediction_of_those_that_read_them_only(name):
    method, blind = made(semantic_input=INPUTS[name]()).eval(), made().eval()
    one = batch()
    other = {**one, "semantics": one["semantics"].flip(2)}
    with torch.no_grad():
        assert not torch.allclose(method(one).depth, method(other).depth, atol=1e-4)
        assert torch.equal(blind(one).depth, blind(other).depth)


def test_labels_of_another_size_are_brought_to_the_image_s():
    method = made(semantic_input=RawLabels()).eval()
    one = batch()
    large = {**one, "semantics": one["semantics"].repeat_interleave(3, 1).repeat_interleave(3, 2)}
    with torch.no_grad():
        assert torch.equal(method(large).depth, method(one).depth)


@pytest.mark.parametrize("name", INPUTS)
def test_images_of_a_batch_do_not_see_each_other(name):
    method = made(semantic_input=INPUTS[name]()).eval()
    whole = batch(images=3)
    with torch.no_grad():
        alone = torch.cat([method({k: v[i : i + 1] for k, v in whole.items()}).depth for i in range(3)])
        assert torch.allclose(method(whole).depth, alone, atol=1e-4)


def test_images_are_normalised_as_the_encoder_s_weights_expect():
    for encoder in ("efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "resnet50"):
        with torch.device("meta"):
            method = SemanticMD(encoder=encoder, pretrained=False, protocol=PROTOCOL)
        assert method.normalization == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # ImageNet's


# --- training ---------------------------------------------------------------------------------------------------------


def test_the_loss_is_the_weighted_sum_of_equation_7():
    method = made(heads=["depth", "semantics", "contours"], sobel_weight=0.5)
    one = batch()
    prediction = method(one)
    losses = {name: float(loss) for name, loss in method.losses(prediction, one).items()}
    depth, valid = prediction.depth.detach().numpy() / 15, one["valid"].numpy()
    truth = np.minimum(one["depth"].numpy(), 15) / 15
    assert losses.keys() == {"depth", "semantics", "contours", "sobel"}
    assert losses["depth"] == pytest.approx(np.abs(depth - truth)[valid].mean(), rel=1e-5)
    ce = F.cross_entropy(prediction.semantics, one["semantics"] - 1, ignore_index=-1)
    assert losses["semantics"] == pytest.approx(0.07 * float(ce), rel=1e-5)
    bce = F.binary_cross_entropy_with_logits(prediction.edges, one["edges"])
    assert losses["contours"] == pytest.approx(0.07 * float(bce), rel=1e-5)
    sobel = method.sobel_loss(prediction.depth / 15, one["edges"], one["valid"])
    assert losses["sobel"] == pytest.approx(0.5 * float(sobel))


def test_weights_are_those_configured():
    options = {"semantic_weight": 0.2, "contour_weight": 0.1, "semantic_loss": SegmentationLoss(0.0, dice=1.0)}
    heads = ["depth", "semantics", "contours"]
    one = batch()
    plain, method = made(heads=heads), made(heads=heads, **options)
    prediction = plain(one)
    theirs, mine = plain.losses(prediction, one), method.losses(prediction, one)
    assert float(mine["contours"] / theirs["contours"]) == pytest.approx(0.1 / 0.07, rel=1e-5)
    dice = SegmentationLoss(0.0, dice=1.0)(prediction.semantics, one["semantics"])
    assert float(mine["semantics"]) == pytest.approx(0.2 * float(dice), rel=1e-5)


def test_the_edge_head_may_learn_the_depth_s_own_edges():
    one = batch()
    method = made(heads=["depth", "contours"], edge_target="sobel", sobel_loss=SobelCorrelationLoss(threshold=9.0))
    prediction = method(one)
    one["valid"] = torch.rand(one["depth"].shape, generator=torch.Generator().manual_seed(8)) < 0.99
    edges = depth_edges(one["depth"].clamp(max=15) / 15, 9.0)
    unseen = binary_dilation(~one["valid"].numpy(), np.ones((1, 1, 5, 5)))  # by the filter at those pixels
    bce = F.binary_cross_entropy_with_logits(prediction.edges, edges.float(), reduction="none")
    bce = bce[torch.from_numpy(~unseen)].mean()
    assert float(method.losses(prediction, one)["contours"]) == pytest.approx(0.07 * float(bce), rel=1e-5)


def test_pixels_without_depth_have_no_slope():
    method = made(heads=["depth", "semantics"])
    one = batch()
    prediction = method(one)
    prediction.depth.retain_grad()
    method.losses(prediction, one)["depth"].backward()
    assert (prediction.depth.grad[~one["valid"]] == 0).all()
    assert (prediction.depth.grad[one["valid"]] != 0).all()


@pytest.mark.parametrize(
    "options",
    [
        {"semantic_input": OneHotClasses(20)},
        {"semantic_input": SemanticConvolution()},
        {"heads": ["depth", "semantics", "contours"], "sobel_weight": 0.07},
        {"decoder": "deeplabv3", "decoder_options": {"decoder_channels": 8}, "heads": ["depth", "semantics"]},
    ],
    ids=["onehot", "conv", "three_heads", "deeplab"],
)
def test_training_lowers_the_loss(options):
    method = made(**options).train()
    one = batch()
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    values = []
    for _ in range(12):
        loss = torch.stack(list(method.losses(method(one), one).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())
        optimizer.step()
        values.append(float(loss.detach()))
    assert min(values[-3:]) < 0.9 * values[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_low_precision_leaves_the_loss_finite(dtype):
    method = made(heads=["depth", "semantics", "contours"], sobel_weight=0.07)
    one = batch()
    with torch.autocast("cpu", dtype=dtype):
        losses = method.losses(method(one), one)
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses.values())


# --- data -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "needed", "oracle"),
    [
        ({}, set(), ""),
        ({"semantic_input": RawLabels()}, {"semantics"}, "semantics"),
        ({"heads": ["depth", "semantics"]}, {"semantics"}, ""),
        ({"heads": ["depth", "contours"]}, {"edges"}, ""),
        ({"sobel_weight": 0.1}, {"edges"}, ""),
    ],
)
def test_it_says_what_it_reads_and_whether_in_tests_too(options, needed, oracle):
    method = made(**options)
    assert method.requires == needed
    assert method.oracle == oracle
    assert method.facts.get("oracle", "") == oracle
    if needed:
        with pytest.raises(ValueError, match=f"SemanticMD requires {min(needed)}, which `tiny` does not provide"):
            method.check_data(data(provides=frozenset()))


def test_the_classes_are_chosen_of_the_training_frames_and_kept():
    torch.manual_seed(0)
    method = SemanticMD(**SMALL, semantic_input=OneHotClasses(3))
    method.check_data(data())
    assert method.network.semantic_input.ids.tolist() == [40, 39, 38]
    assert method.facts == {"oracle": "semantics", "onehot_classes": [40, 39, 38], "onehot_pixels": [40, 39, 38]}
    method.check_data(data(class_order=lambda *counted: list(range(1, 41))))  # chosen once
    assert method.network.semantic_input.ids.tolist() == [40, 39, 38]
    assert method.state_dict()["network.semantic_input.ids"].tolist() == [40, 39, 38]


def test_data_to_test_on_only_choose_no_classes():
    method = SemanticMD(**SMALL, semantic_input=OneHotClasses(3))
    method.check_data(data(splits=SimpleNamespace(train=range(0))))
    assert not method.network.semantic_input.is_chosen


def test_training_frames_that_are_not_there_are_missed_in_training_alone():
    def missing(*counted):
        raise FileNotFoundError("frame")

    method = SemanticMD(**SMALL, semantic_input=OneHotClasses(3))
    method.check_data(data(class_pixels=missing))  # of a test, whose checkpoint has the classes
    assert not method.network.semantic_input.is_chosen
    with pytest.raises(FileNotFoundError, match="frame"):
        method.check_data(data(class_pixels=missing), training=True)


def test_the_authors_order_is_asked_for_by_name():
    asked = []
    method = SemanticMD(**SMALL, semantic_input=OneHotClasses(3, order="semantic_md", counted_frames=None))
    method.check_data(data(class_order=lambda *counted: asked.append(counted) or [1, 2, 22, 9]))
    assert asked == [("semantic_md", None)]
    assert method.network.semantic_input.ids.tolist() == [1, 2, 22]


def test_what_does_not_fit_is_named_before_the_first_batch():
    method = made(heads=["depth", "semantics"])
    with pytest.raises(
        ValueError, match=r"`tiny` has 13 classes, the method 40: set `model\.init_args\.classes` to 13"
    ):
        method.check_data(data(classes=13))
    with pytest.raises(ValueError, match=r"input of 64x90 pixels: .* needs multiples of 32"):
        method.check_data(data(input_size=(64, 90)))
    for heads in (["semantics"], ["depth", "depth"], ["depth", "normals"]):
        with pytest.raises(ValueError, match="`heads` must have depth, and each of depth, semantics, contours"):
            made(heads=heads)


@pytest.mark.parametrize("radial", [True, False])
def test_point_clouds_go_by_what_the_data_call_depth(radial):
    method = made()
    method._trainer = SimpleNamespace(datamodule=data(radial=radial))
    method.setup("test")
    assert method.protocol.radial is radial
    assert method.evaluations["test/tiny"].metrics["cloud"].protocol.radial is radial
