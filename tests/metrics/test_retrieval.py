"""Retrieval of layouts against a sorted list per query in plain Python, and worked examples."""

import math

import pytest
import torch
from torch import distributed as dist

from lightning_modules.metrics.retrieval import LayoutRetrieval
from tests.helpers.metric_tester import MetricTester, evaluate_shard


def loop_reference(embedding, scene, frame, ks, window):
    """All frames but the query, sorted by falling cosine; of equal ones the targets come last."""
    vectors = [tuple(row) for row in embedding.double().tolist()]
    frames = list(zip(vectors, scene.tolist(), frame.tolist(), strict=True))

    def cosine(a, b):
        # Rounded, so that what is equal up to round-off is equal.
        return round(sum(x * y for x, y in zip(a, b, strict=True)) / (math.hypot(*a) * math.hypot(*b)), 9)

    figures = {"nonfinite": 0.0}
    for setting, reach in (("scene", math.inf), ("frame", window)):
        hits, excluded = {k: [] for k in ks}, 0
        for i, (query, own_scene, number) in enumerate(frames):
            gallery = [
                (-cosine(query, other), own_scene == other_scene and abs(number - other_number) <= reach)
                for j, (other, other_scene, other_number) in enumerate(frames)
                if j != i
            ]
            targets = [is_target for _, is_target in sorted(gallery)]
            if not any(targets):
                excluded += 1
                continue
            for k in ks:
                hits[k].append(any(targets[:k]))
        figures[f"excluded_{setting}"] = excluded
        figures |= {f"{setting}_recall@{k}": sum(hits[k]) / len(hits[k]) for k in ks}
    return figures


class TestLayoutRetrieval(MetricTester):
    # Frames have no figures of their own here, and no size.
    test_figures_of_an_image_do_not_depend_on_its_batch = None
    test_images_of_two_sizes_in_one_set = None
    # These three ask about a depth map.
    test_without_a_valid_pixel_there_is_no_figure = None
    test_one_nonfinite_prediction_is_counted_and_spoils_every_figure = None
    test_a_nonfinite_prediction_off_the_truth_is_ignored = None

    def make(self):
        return LayoutRetrieval(ks=(1, 3, 10), frame_window=2, chunk=7)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        scene = torch.randint(0, 8, (60,), generator=generator)
        scene[-1] = 99  # alone in its scene
        frame = torch.randperm(60, generator=generator) // 2
        centres = torch.randn(100, 5, generator=generator)
        embedding = centres[scene] + 0.2 * frame[:, None] + 0.8 * torch.randn(60, 5, generator=generator)
        embedding[10:20] = embedding[30:40]  # ties over scenes
        return embedding, scene, frame

    def reference(self, *inputs):
        return loop_reference(*inputs, ks=(1, 3, 10), window=2)

    def test_the_inputs_tell_the_settings_apart(self):
        figures = self.reference(*self.inputs())
        recalls = [figures[f"{setting}_recall@{k}"] for setting in ("scene", "frame") for k in (1, 3, 10)]
        assert len(set(recalls)) == 6
        assert 0 < min(recalls) < max(recalls) < 1
        assert 1 == figures["excluded_scene"] < figures["excluded_frame"] < 60

    @pytest.mark.parametrize("chunk", [1, 13, 59, 60, 4096])
    def test_the_chunk_does_not_matter(self, chunk):
        metric = LayoutRetrieval(ks=(1, 3, 10), frame_window=2, chunk=chunk)
        metric.update(*self.inputs())
        self.check(metric.compute(), self.reference(*self.inputs()))

    def test_the_order_of_the_frames_does_not_matter(self):
        metric = self.make()
        metric.update(*(part.flip(0) for part in self.inputs()))
        self.check(metric.compute(), self.reference(*self.inputs()))


def evaluate(embedding, scene, frame, **options):
    metric = LayoutRetrieval(**options)
    metric.update(torch.tensor(embedding), scene, torch.tensor(frame))
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_worked_example():
    # Angles 0, 10 and 60 degrees in the kitchen, 15 in the hall. Nearest of 0 is 10, of 10 is 15, of 60 and 15 the
    # hall and a kitchen; frames 1 and 9 of the kitchen are too far apart to be one view.
    angles = torch.tensor([0.0, 10.0, 60.0, 15.0]).deg2rad()
    embedding = torch.stack([angles.cos(), angles.sin()], 1).tolist()
    figures = evaluate(embedding, ["kitchen", "kitchen", "kitchen", "hall"], [1, 2, 9, 1], ks=(1, 2))
    assert figures == pytest.approx(
        {
            **{"scene_recall@1": 1 / 3, "scene_recall@2": 1, "excluded_scene": 1},
            **{"frame_recall@1": 1 / 2, "frame_recall@2": 1, "excluded_frame": 2},
            **{"nonfinite": 0},
        }
    )


def test_the_window_is_closed_on_both_sides():
    embedding = [[1.0, 0.0], [0.9, 0.1], [0.8, 0.2]]
    assert evaluate(embedding, ["a"] * 3, [0, 5, 11], ks=(1,))["excluded_frame"] == 1
    assert evaluate(embedding, ["a"] * 3, [0, 5, 10], ks=(1,))["excluded_frame"] == 0


def test_length_does_not_matter():
    figures = evaluate([[1.0, 0.0], [500.0, 5.0], [0.0, 0.1], [1.0, 90.0]], ["a", "a", "b", "b"], [0] * 4, ks=(1,))
    assert figures["scene_recall@1"] == 1


def test_a_collapsed_descriptor_finds_nothing():
    scenes = ["a", "b", "c"] * 5
    figures = evaluate([[0.3, 0.7, 0.1]] * 15, scenes, [0] * 15, ks=(1, 10, 11), chunk=4)
    # Ten frames of other scenes are just as similar.
    assert [figures[f"scene_recall@{k}"] for k in (1, 10, 11)] == [0, 0, 1]


def test_one_image_has_no_target():
    figures = evaluate([[1.0, 2.0]], ["a"], [0])
    assert (figures["excluded_scene"], figures["excluded_frame"]) == (1, 1)
    assert all(math.isnan(figures[f"{setting}_recall@{k}"]) for setting in ("scene", "frame") for k in (1, 5, 10))


def test_fewer_images_than_k():
    assert evaluate([[1.0, 2.0], [2.0, -1.0]], ["a", "a"], [0, 1])["scene_recall@10"] == 1


def test_names_and_numbers_of_scenes_are_the_same_to_it():
    embedding, scene, frame = TestLayoutRetrieval().inputs()
    by_name = evaluate(embedding.tolist(), [f"room_{number}" for number in scene.tolist()], frame.tolist())
    assert by_name == evaluate(embedding.tolist(), scene, frame.tolist())


@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_one_descriptor_without_a_direction_is_counted_and_spoils_every_recall(value):
    figures = evaluate([[1.0, 0.0], [1.0, 0.1], [value, value]], ["a", "a", "b"], [0, 1, 0], ks=(1,))
    assert figures.pop("nonfinite") == 1
    assert (figures.pop("excluded_scene"), figures.pop("excluded_frame")) == (1, 1)
    assert all(math.isnan(figure) for figure in figures.values())


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_a_frame_there_is_no_recall():
    with pytest.raises(ValueError, match="without a frame"):
        LayoutRetrieval().compute()


@pytest.mark.ddp
def test_without_a_frame_in_any_process_there_is_no_recall(tmp_path, two_processes):
    for run in [two_processes.submit(evaluate_shard, rank, LayoutRetrieval(), [], tmp_path) for rank in range(2)]:
        with pytest.raises(ValueError, match="without a frame"):
            run.result()


@pytest.mark.parametrize("options", [{"ks": (0,)}, {"chunk": 0}, {"frame_window": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LayoutRetrieval(**options)


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 2\), 2 and 3"):
        LayoutRetrieval().update(torch.ones(3, 2), ["a", "b"], torch.arange(3))


def nearest_by_hand(embedding, scene, frame, query, k, window):
    """The k others by falling cosine, equal ones by scene and frame, as (row, cosine, same scene, same view)."""
    units = embedding.double() / embedding.double().norm(dim=1, keepdim=True)
    cosines = [float(units[query] @ unit) for unit in units]
    others = sorted((row for row in range(len(units)) if row != query), key=lambda row: (-cosines[row], row))[:k]
    same = [bool(scene[row] == scene[query]) for row in others]
    view = [s and abs(int(frame[row] - frame[query])) <= window for s, row in zip(same, others, strict=True)]
    return others, [cosines[row] for row in others], same, view


def check_neighbours(found, inputs, queries, k, window):
    for query, rows, similarity, same_scene, same_view in zip(queries, *found, strict=True):
        others, cosines, same, view = nearest_by_hand(*inputs, query, k, window)
        assert rows.tolist() == others
        assert similarity.tolist() == pytest.approx(cosines, abs=1e-9)
        assert (same_scene.tolist(), same_view.tolist()) == (same, view)


def separate_frames():
    """Inputs without ties, and with hits of all three kinds among the nearest."""
    generator = torch.Generator().manual_seed(1)
    scene, frame = torch.arange(40) // 8, torch.arange(40) % 8
    centres = torch.randn(5, 6, generator=generator)
    return centres[scene] + 0.1 * frame[:, None] + 0.7 * torch.randn(40, 6, generator=generator), scene, frame


def test_neighbours_are_those_of_brute_force():
    inputs, queries = separate_frames(), [0, 17, 39, 8]
    metric = LayoutRetrieval(frame_window=2)
    for batch in zip(*(part.split([1, 9, 30]) for part in inputs), strict=True):
        metric.update(*batch)
    found = metric.neighbours(queries, 5)
    check_neighbours(found, inputs, queries, 5, window=2)
    assert 0 < found.same_view.sum() < found.same_scene.sum() < found.rows.numel()
    assert metric.neighbours([3], 100).rows.shape == (1, 39)


def test_neighbours_agree_with_the_recall():
    inputs = separate_frames()
    metric = LayoutRetrieval(ks=(1, 3), frame_window=2)
    metric.update(*inputs)
    figures, found = metric.compute(), metric.neighbours(range(40), 3)
    for k in (1, 3):
        assert found.same_scene[:, :k].any(1).double().mean() == figures[f"scene_recall@{k}"]
        assert found.same_view[:, :k].any(1).double().mean() == figures[f"frame_recall@{k}"]


def test_equally_similar_neighbours_come_in_order_and_broken_ones_last():
    metric = LayoutRetrieval(frame_window=1)
    embedding = torch.tensor([[0.0, 1.0], [math.nan, 0.0], [1.0, 1.0], [2.0, 2.0], [1.0, 1.0]])
    metric.update(embedding, torch.tensor([1, 1, 2, 1, 1]), torch.tensor([0, 1, 0, 9, 3]))
    found = metric.neighbours([0], 4)
    assert found.rows.tolist() == [[4, 3, 2, 1]]
    assert found.similarity[0, :3].tolist() == pytest.approx([0.5**0.5] * 3)
    assert found.similarity[0, 3].isnan()
    assert found.same_view.tolist() == [[False, False, False, True]]


def neighbours_of_shard(rank, shard, queries, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    try:
        metric = LayoutRetrieval(frame_window=2)
        metric.update(*shard)
        found = metric.neighbours(queries, 5)
        assert len(metric.embeddings[0]) == len(shard[0])  # the process has its own frames again
        return found
    finally:
        dist.destroy_process_group()


@pytest.mark.ddp
def test_neighbours_over_two_processes(tmp_path, two_processes):
    inputs, queries = separate_frames(), [0, 17, 39, 8]
    shards = [[part[:13] for part in inputs], [part[13:] for part in inputs]]
    runs = [two_processes.submit(neighbours_of_shard, r, shard, queries, tmp_path) for r, shard in enumerate(shards)]
    for run in runs:
        check_neighbours(run.result(), inputs, queries, 5, window=2)
