"""Semantic-MD's input transformations on hand-made maps, and on the labels of real frames."""

from itertools import pairwise
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from scipy.ndimage import grey_closing, grey_dilation, grey_erosion, grey_opening
from torch.nn import functional as F

from datamodules import NYUv2DataModule
from datamodules.pipeline.class_counts import SEMANTIC_MD_ORDER
from lightning_modules.networks.semantic_md.semantic_inputs import (
    LabelContours,
    OneHotClasses,
    RawLabels,
    SemanticConvolution,
)

REAL = Path(__file__).parents[4] / "shared/data/real/nyu_depth_v2/converted_labeled_mat"

HYPERSIM = Path(__file__).parents[4] / "shared/data/real/hypersim/preview_ai_001_001"

LABELS = torch.tensor([[[1, 1, 40, 40, 0], [1, 1, 40, 40, 0], [1, 7, 7, 40, 0]]])


def test_raw_labels_lie_in_the_unit_interval():
    channel = RawLabels()(LABELS)
    assert channel.shape == (1, 1, 3, 5)
    assert channel[0, 0, 0].tolist() == pytest.approx([1 / 40, 1 / 40, 1, 1, 0])


def test_raw_labels_as_printed_are_the_ids_themselves():
    channel = RawLabels(scaled=False)(LABELS)
    assert channel[0, 0].tolist() == [[1, 1, 40, 40, -1], [1, 1, 40, 40, -1], [1, 7, 7, 40, -1]]


def test_one_hot_maps_are_of_the_classes_chosen_and_zero_elsewhere():
    maps = OneHotClasses(2)
    maps.choose([40, 1, 7, 3])
    channels = maps(LABELS)
    assert channels.shape == (1, 2, 3, 5)
    assert torch.equal(channels[0, 0], (LABELS[0] == 40).float())
    assert torch.equal(channels[0, 1], (LABELS[0] == 1).float())
    assert (channels[:, :, LABELS[0] == 7] == 0).all()  # another class
    assert (channels[:, :, LABELS[0] == 0] == 0).all()  # none


def test_all_classes_one_hot_leave_only_unlabelled_pixels_zero():
    maps = OneHotClasses(40)
    maps.choose(torch.randperm(40).add(1).tolist())
    labels = torch.arange(41).view(1, 1, 41)
    assert maps(labels).sum(1)[0, 0].tolist() == [0.0] + [1.0] * 40
    assert maps(labels).argmax(1)[0, 0, 1:].unique().numel() == 40  # a channel each, none for an id beyond 40


def test_the_classes_travel_in_the_checkpoint():
    maps, fresh = OneHotClasses(3), OneHotClasses(3)
    assert not fresh.is_chosen
    with pytest.raises(RuntimeError, match="the classes are not chosen"):
        fresh(LABELS)
    maps.choose([40, 7, 1])
    fresh.load_state_dict(maps.state_dict())
    assert fresh.is_chosen
    assert torch.equal(fresh(LABELS), maps(LABELS))


def test_too_many_channels_are_refused():
    with pytest.raises(ValueError, match="`classes` is 14, but the data have 13 classes"):
        OneHotClasses(14).choose(range(1, 14))
    with pytest.raises(ValueError, match="`classes` must be positive"):
        OneHotClasses(0)
    with pytest.raises(ValueError, match="`counted_frames` must be positive or null, is 0"):
        OneHotClasses(counted_frames=0)


@pytest.mark.parametrize("size", [3, 5])
def test_contours_are_the_morphological_gradient(size):
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 41, (2, 4, 5)), np.ones((1, 5, 4), dtype=np.int64))
    channels = LabelContours(size=size)(torch.from_numpy(labels))
    for map_, channel in zip(labels, channels[:, 0].numpy(), strict=True):
        window = (size, size)
        gradient = grey_dilation(map_, window, mode="nearest") - grey_erosion(map_, window, mode="nearest")
        assert np.array_equal(channel, gradient > 0)


def test_contours_are_two_pixels_wide_and_include_unlabelled_borders():
    channel = LabelContours()(LABELS.repeat_interleave(3, 2))[0, 0]
    assert torch.equal(channel[0].nonzero()[:, 0], torch.tensor([5, 6, 11, 12]))


@pytest.mark.parametrize("mode", ["gradient", "opening"])
def test_a_constant_map_has_no_contours(mode):
    channel = LabelContours(mode)(torch.full((1, 6, 7), 20))
    assert (channel == (0.0 if mode == "gradient" else 0.5)).all()


def test_the_opening_as_printed_gives_ids():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 41, (6, 9))
    channel = LabelContours("opening")(torch.from_numpy(labels)[None])[0, 0].numpy() * 40
    inner = (slice(2, -2), slice(2, -2))  # SciPy's border of an opening differs
    assert np.allclose(channel[inner], grey_opening(labels, (3, 3))[inner], atol=1e-4)
    assert not np.allclose(channel[inner], grey_closing(labels, (3, 3))[inner])


def test_an_opening_unscaled_loses_thin_regions_to_smaller_ids_only():
    """By hand: a line of id 9 in a wall of id 1 goes, one of id 1 in a wall of id 9 grows, no label counts as -1."""
    row = torch.tensor([1, 1, 1, 9, 1, 1, 1, 9, 9, 9, 1, 9, 9, 9, 0, 0, 0]).expand(1, 5, 17)
    channel = LabelContours("opening", scaled=False)(row)
    assert channel[0, 0, 2].tolist() == [1, 1, 1, 1, 1, 1, 1, 9, 9, 9, 1, 9, 9, 9, -1, -1, -1]
    assert torch.equal(LabelContours(scaled=False)(row), LabelContours()(row))


def test_the_semantic_convolution_makes_three_bounded_channels():
    torch.manual_seed(0)
    branch = SemanticConvolution()
    channels = branch(LABELS)
    assert channels.shape == (1, 3, 3, 5)
    assert ((channels > 0) & (channels < 1)).all()
    channels.sum().backward()
    assert all(parameter.grad is not None for parameter in branch.parameters())
    # an MBConv block: 6-fold expansion, depthwise 3x3, squeeze and excitation to a quarter of 8 channels, residual
    block = branch.block
    assert block.conv_pw.out_channels == block.conv_dw.groups == 48
    assert block.se.conv_reduce.out_channels == 2
    assert block.has_skip


def test_the_semantic_convolution_as_printed_is_one_mbconv_block_to_three_channels():
    """Layer by layer from its weights: expand to 8, depthwise 3x3, squeeze and excite through 1, project to 3."""
    torch.manual_seed(0)
    branch = SemanticConvolution(width=None).eval()
    weights = {name.removeprefix("block."): parameter for name, parameter in branch.named_parameters()}
    assert sum(w.numel() for w in weights.values()) == (8 + 16) + (72 + 16) + (8 + 1) + (8 + 8) + (24 + 6)

    def norm(x):  # of running statistics 0 and 1, slope 1 and shift 0
        return x / (1 + 1e-5) ** 0.5

    x = LABELS.where(LABELS > 0, -1)[:, None].float()
    x = F.silu(norm(F.conv2d(x, weights["conv_pw.weight"])))
    x = F.silu(norm(F.conv2d(x, weights["conv_dw.weight"], padding=1, groups=8)))
    gate = F.silu(
        F.conv2d(x.mean((2, 3), keepdim=True), weights["se.conv_reduce.weight"], weights["se.conv_reduce.bias"])
    )
    gate = F.conv2d(gate, weights["se.conv_expand.weight"], weights["se.conv_expand.bias"]).sigmoid()
    expected = norm(F.conv2d(x * gate, weights["conv_pwl.weight"]))
    assert expected.shape == (1, 3, 3, 5)
    assert torch.allclose(branch(LABELS), expected, atol=1e-5)
    branch.train()(LABELS).square().sum().backward()
    assert all(weight.grad is not None for weight in weights.values())


def test_the_semantic_convolution_tells_unlabelled_pixels_from_ids():
    branch = SemanticConvolution().eval()
    seen = []
    branch.stem.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    branch(LABELS)
    assert sorted(seen[0].unique().tolist()) == [-1.0, 1.0, 7.0, 40.0]


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="the pack of real frames is not here (../shared/data/real)")
def test_real_labels():
    """Counts, one-hot maps and contours of annotated frames of NYUv2, recounted with NumPy and SciPy."""
    files = {"labeled_file": "nyu_depth_v2_labeled_mini16.mat", "splits_file": "splits_mini16.mat"}
    module = NYUv2DataModule(str(REAL), **files, class_mapping_file=str(REAL.parent / "meta/classMapping40.mat"))
    train = [module.reader.read(i).maps["semantics"] for i in module.splits.train]
    counts = np.bincount(torch.stack(train).numpy().ravel(), minlength=41)
    assert module.class_pixels() == counts[: len(module.class_pixels())].tolist()
    order = module.class_order()
    assert sorted(order) == list(range(1, 41))
    assert all(counts[a] >= counts[b] for a, b in pairwise(order))

    maps, labels = OneHotClasses(20), train[0][None]
    maps.choose(order)
    channels = maps(labels)[0].numpy()
    for channel, id_ in zip(channels, order, strict=False):
        assert np.array_equal(channel, labels[0].numpy() == id_)
    assert np.array_equal(channels.sum(0), np.isin(labels[0].numpy(), order[:20]))
    widest, narrowest = (f(labels[0].numpy(), (3, 3), mode="nearest") for f in (grey_dilation, grey_erosion))
    assert np.array_equal(LabelContours()(labels)[0, 0].numpy(), widest > narrowest)


@pytest.mark.real_data
@pytest.mark.skipif(not HYPERSIM.is_dir(), reason="the pack of real frames is not here (../shared/data/real)")
def test_real_hypersim_labels():
    """One-hot maps, their sums and contours of a released frame, of whose classes 13 are there."""
    with h5py.File(HYPERSIM / "_detail/mesh/metadata_semantic_colors.hdf5") as file:
        colors = file["dataset"][:]
    picture = cv2.imread(str(HYPERSIM / "scene_cam_00_geometry_preview/_frame.0000.semantic.png"))[:, :, ::-1]
    ids = np.zeros(picture.shape[:2], dtype=np.int64)  # black is unlabelled
    for id_ in range(1, 41):
        ids[(picture == colors[id_]).all(-1)] = id_
    labels = torch.from_numpy(ids)[None]

    maps = OneHotClasses(40)
    maps.choose(SEMANTIC_MD_ORDER)
    channels = maps(labels)[0].numpy()
    assert channels[:2].sum((1, 2)).tolist() == [435_617, 71_738]  # wall and floor
    assert np.count_nonzero(channels.any((1, 2))) == 13
    assert np.array_equal(channels.sum(0), ids > 0)
    assert (channels[:, ids == 0] == 0).all()
    assert [channels[SEMANTIC_MD_ORDER.index(id_)].sum() for id_ in range(1, 41)] == np.bincount(
        ids.ravel(), minlength=41
    )[1:].tolist()
    widest, narrowest = (f(ids, (3, 3), mode="nearest") for f in (grey_dilation, grey_erosion))
    assert np.array_equal(LabelContours()(labels)[0, 0].numpy(), widest > narrowest)
    assert float(RawLabels()(labels).max()) == 1.0  # id 40
