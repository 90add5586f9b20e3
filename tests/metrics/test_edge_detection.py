"""Edge detection against loops with scikit-image's thinning and augmenting paths, and worked examples."""

import math

import numpy as np
import pytest
import torch
from skimage.morphology import thin as skimage_thin

from lightning_modules.metrics import EdgeDetection
from lightning_modules.metrics.edge_matching import count_matches, match_levels, thin
from tests.helpers.bilinear import loop_bilinear
from tests.helpers.metric_tester import MetricTester

FIGURES = ("edge_precision", "edge_recall", "edge_f1", "edge_ods", "edge_ois")
LEVELS, TOLERANCE = 4, 0.12


def loop_matches(predicted, true, radius):
    """Size of a maximum matching, grown by one augmenting path after the other (Berge 1957)."""
    true = [tuple(pixel) for pixel in np.argwhere(true)]
    near = [[j for j, t in enumerate(true) if math.dist(p, t) <= radius] for p in np.argwhere(predicted)]
    partner = {}

    def augment(i, tried):
        for j in near[i]:
            if j not in tried:
                tried.add(j)
                if j not in partner or augment(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    return sum(augment(i, set()) for i in range(len(near)))


def f_measure(matched, predicted, true):
    precision, recall = matched / predicted if predicted else 0, matched / true if true else 0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0


def loop_reference(logits, edges, threshold, levels, tolerance):
    hits = predicted = true = thin_true = excluded = 0
    by_level, best = np.zeros((levels, 2)), np.zeros(2)
    for logit, edge in zip(logits[:, 0].double().numpy(), edges[:, 0].numpy() == 1, strict=True):
        probability = 1 / (1 + np.exp(-loop_bilinear(logit, edge.shape)))
        hits += (edge & (probability >= threshold)).sum()
        predicted += (probability >= threshold).sum()
        true += edge.sum()
        excluded += not edge.any()
        line = skimage_thin(edge)
        counts = []
        for k in range(1, levels + 1):
            found = skimage_thin(probability >= k / (levels + 1))
            counts.append((loop_matches(found, line, tolerance * math.hypot(*edge.shape)), found.sum()))
        by_level += counts
        best += max(reversed(counts), key=lambda pair: f_measure(*pair, line.sum()))
        thin_true += line.sum()
    return {
        "edge_precision": hits / predicted,
        "edge_recall": hits / true,
        "edge_f1": f_measure(hits, predicted, true),
        "edge_ods": max(f_measure(*pair, thin_true) for pair in by_level),
        "edge_ois": f_measure(*best, thin_true),
        "excluded": excluded,
        "nonfinite": 0,
    }


class TestEdgeDetection(MetricTester):
    # These three ask about a depth map and its valid pixels.
    test_without_a_valid_pixel_there_is_no_figure = None
    test_one_nonfinite_prediction_is_counted_and_spoils_every_figure = None
    test_a_nonfinite_prediction_off_the_truth_is_ignored = None

    def make(self):
        return EdgeDetection(0.4, LEVELS, TOLERANCE)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        edges = torch.zeros(7, 1, 12, 16)
        edges[:, :, 4:6] = 1  # a border two pixels wide
        edges[1:4, :, :, 9] = 1
        edges[4] = 0
        edges[6] = (torch.rand(1, 12, 16, generator=generator) < 0.1).float()
        logits = 4 * edges[..., ::2, ::2] - 2 + 1.5 * torch.randn(7, 1, 6, 8, generator=generator)
        logits[2] -= 2  # another best level
        logits[5] = -9  # no edge predicted
        return logits, edges

    def reference(self, *inputs):
        return loop_reference(*inputs, 0.4, LEVELS, TOLERANCE)

    def test_the_inputs_tell_the_figures_apart(self):
        figures = self.reference(*self.inputs())
        assert len({figures[name] for name in FIGURES}) == 5
        assert 0 < figures["edge_ods"] < figures["edge_ois"] < 1
        assert figures["excluded"] == 1

    def test_per_image_figures(self):
        logits, edges = self.inputs()
        metric = self.make()
        metric.update(logits, edges)
        expected = [
            loop_reference(logits[i : i + 1], edges[i : i + 1], 0.4, 1, TOLERANCE)["edge_f1"] for i in (0, 1, 2, 3, 6)
        ]
        figures = metric.per_image["edge_f1"]
        assert list(metric.per_image) == ["edge_f1"]
        assert figures[[0, 1, 2, 3, 6]].tolist() == pytest.approx(expected)
        assert figures[[4, 5]].tolist() == [0, 0]  # either has edges


@pytest.mark.parametrize("density", [0.05, 0.3, 0.5, 0.8, 1.0])
def test_thinning_leaves_the_pixels_that_scikit_image_leaves(density):
    generator = np.random.default_rng(0)
    noise = generator.random((40, 50)) < density
    blocks = np.kron(generator.random((8, 10)) < density, np.ones((6, 5), dtype=bool))
    for mask in (noise, blocks):
        assert np.array_equal(thin(mask), skimage_thin(mask))


@pytest.mark.parametrize("radius", [0, 0.9, 1, 1.5, 2.9, 5])
def test_matching_is_as_large_as_augmenting_paths_make_it(radius):
    generator = np.random.default_rng(0)
    for densities in ((0.1, 0.1), (0.4, 0.05), (0.03, 0.5)):
        predicted, true = (generator.random((13, 17)) < density for density in densities)
        expected = loop_matches(predicted, true, radius)
        assert count_matches(predicted, true, radius) == expected
        assert count_matches(true, predicted, radius) == expected


def test_matching_does_not_take_the_nearest_first():
    # Columns: predicted 1 and 3, true 3 and 5; the pair at distance 0 would leave the two others too far apart.
    predicted, true = np.zeros((1, 7), dtype=bool), np.zeros((1, 7), dtype=bool)
    predicted[0, [1, 3]] = true[0, [3, 5]] = True
    assert [count_matches(predicted, true, radius) for radius in (1, 2)] == [1, 2]


def test_levels_that_change_nothing_are_counted_again():
    generator = np.random.default_rng(0)
    probability = np.where(generator.random((20, 20)) < 0.3, 0.95, 0.35)
    true = skimage_thin(generator.random((20, 20)) < 0.3)
    counts = match_levels(probability, true, [0.1, 0.2, 0.5, 0.6, 0.97], 2)
    maps = [skimage_thin(probability >= threshold) for threshold in (0.2, 0.5)]
    once = [(loop_matches(found, true, 2), found.sum()) for found in maps]
    assert counts.T.tolist() == [list(pair) for pair in (once[0], once[0], once[1], once[1], (0, 0))]


def line(column, height=20, width=30):
    """(1, 1, H, W) edges with one vertical line."""
    edges = torch.zeros(1, 1, height, width)
    edges[..., column] = 1
    return edges


def logits_of(edges, probability=0.99):
    """Logits of a probability on edges, and nearly none elsewhere."""
    return torch.where(edges > 0, math.log(probability / (1 - probability)), -9.0)


def evaluate(*batches, **options):
    metric = EdgeDetection(**options)
    for logits, edges in batches:
        metric.update(logits, edges)
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_the_truth_itself_is_perfect_be_it_one_or_two_pixels_wide():
    for edges in (line(7), line(7) + line(8)):
        figures = evaluate((logits_of(edges), edges))
        assert figures == dict.fromkeys(FIGURES, 1) | {"excluded": 0, "nonfinite": 0}


@pytest.mark.parametrize(("offset", "found"), [(0, 1), (6, 1), (7, 0)])
def test_the_benchmarks_tolerance_is_six_pixels_of_a_frame_of_nyu(offset, found):
    edges = line(300, 480, 640)
    figures = evaluate((logits_of(line(300 + offset, 480, 640)), edges), levels=1)
    assert (figures["edge_ods"], figures["edge_ois"]) == (found, found)
    assert figures["edge_f1"] == (offset == 0)


def test_a_true_pixel_is_found_once():
    # Two predicted lines beside one true line, all within the tolerance of 0.1 x 36 pixels.
    figures = evaluate((logits_of(line(7) + line(11)), line(9)), tolerance=0.1)
    assert figures["edge_ods"] == pytest.approx(2 * 0.5 * 1 / 1.5)


def test_the_best_threshold_is_one_for_the_set_and_one_per_image():
    # The true line is of probability 0.35 in one image and 0.95 in the other, which has a false one of 0.65.
    first = logits_of(line(7), 0.35), line(7)
    second = torch.maximum(logits_of(line(7), 0.95), logits_of(line(20), 0.65)), line(7)
    figures = evaluate(first, second, tolerance=0.01)
    assert figures["edge_ois"] == 1
    assert figures["edge_ods"] == pytest.approx(2 * 2 / (3 + 2))  # at 0.3: all found, and one line too many
    assert figures["edge_f1"] == pytest.approx(2 * 1 / (2 + 2))


def test_an_image_without_a_true_edge_counts_what_is_predicted_on_it():
    empty = torch.zeros(1, 1, 20, 30)
    truth = logits_of(line(7)), line(7)
    figures = evaluate(truth, (logits_of(line(7), 0.65), empty))
    assert figures["excluded"] == 1
    assert (figures["edge_precision"], figures["edge_recall"]) == (0.5, 1)
    assert (
        figures["edge_ods"] == figures["edge_ois"] == 1
    )  # above 0.65 nothing is predicted on it: equal F, higher level
    figures = evaluate(truth, (logits_of(line(7)), empty))
    assert figures["edge_ods"] == figures["edge_ois"] == pytest.approx(2 / 3)


def test_without_a_predicted_edge_nothing_is_found():
    figures = evaluate((torch.full((1, 1, 20, 30), -9.0), line(7)))
    assert [figures[name] for name in FIGURES] == [0, 0, 0, 0, 0]


def test_without_any_true_edge_there_is_no_figure():
    empty = torch.zeros(2, 1, 6, 8)
    logits = torch.full_like(empty, -9.0)
    logits[1, 0, 3] = 9.0
    metric = EdgeDetection()
    metric.update(logits, empty)
    figures = metric.compute()
    assert figures.pop("excluded") == 2
    assert figures.pop("nonfinite") == 0
    assert all(figure.isnan() for figure in figures.values())
    assert metric.per_image["edge_f1"].tolist() == pytest.approx([math.nan, 0], nan_ok=True)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_tiny_images(shape):
    edges = torch.zeros(1, 1, *shape)
    edges[..., 0, 0] = 1
    assert [evaluate((logits_of(edges), edges))[name] for name in FIGURES] == [1, 1, 1, 1, 1]


def test_a_constant_prediction_is_an_edge_from_its_threshold_on():
    edges = line(7)
    assert evaluate((torch.zeros(1, 1, 5, 5), edges))["edge_precision"] == pytest.approx(1 / 30)
    assert evaluate((torch.zeros(1, 1, 5, 5), edges), threshold=0.51)["edge_recall"] == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_nonfinite_logit_is_counted_and_spoils_every_figure(value, dtype):
    edges = line(7).repeat(2, 1, 1, 1)
    logits = logits_of(edges).to(dtype)
    logits[1, 0, 3, 3] = value
    metric = EdgeDetection()
    metric.update(logits, edges)
    figures = metric.compute()
    assert figures.pop("nonfinite") == 1
    assert figures.pop("excluded") == 0
    assert all(figure.isnan() for figure in figures.values())
    assert metric.per_image["edge_f1"].tolist() == pytest.approx([1, math.nan], nan_ok=True)


def test_batches_of_several_sizes_and_kinds_are_pooled():
    # The tolerance is taken of each image's own diagonal: 1 pixel of the first, 4 of the second.
    first, second = line(4, 6, 8), line(20, 24, 32)
    batches = (logits_of(line(5, 6, 8)), first.bool()), (logits_of(line(24, 24, 32)), second.long())
    assert evaluate(*batches, tolerance=0.1)["edge_ods"] == 1
    assert evaluate(*batches, tolerance=0.099)["edge_ods"] == 0
    assert evaluate(*batches, (logits_of(first), first), tolerance=0.099)["edge_ods"] == pytest.approx(6 / (6 + 24 + 6))


@pytest.mark.parametrize(
    ("logits", "edges", "complaint"),
    [
        (torch.zeros(2, 1, 4, 4), torch.zeros(1, 1, 4, 4), r"\(2, 1, 4, 4\) and \(1, 1, 4, 4\)"),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4), r"logits must be floating \(B, 1, h, w\)"),
        (torch.zeros(1, 1, 4, 4), torch.zeros(1, 4, 4), r"edges \(B, 1, H, W\)"),
        (torch.zeros(1, 1, 4, 4).bool(), torch.zeros(1, 1, 4, 4), "bool"),
        (torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 255), r"255\.0; binarise"),
        (torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), math.nan), "edges must be 0 or 1"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(logits, edges, complaint):
    with pytest.raises(ValueError, match=complaint):
        EdgeDetection().update(logits, edges)


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"threshold": 1.0}, {"levels": 0}, {"tolerance": -0.1}])
def test_impossible_options_are_refused(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        EdgeDetection(**options)
