"""Object-wise errors against worked examples and plain loops over objects and pixels in float64."""

import math

import pytest
import torch

from lightning_modules.metrics.objectwise import ObjectwiseErrors
from lightning_modules.metrics.protocol import EvalProtocol
from tests.helpers.metric_tester import MetricTester

PROTOCOL = EvalProtocol("test", min_depth=0.1, max_depth=8.0)
FIGURES = ("object_delta1", "object_abs_rel", "object_rmse", "object_log10", "object_gradient")


def loop_object(pixels: dict[tuple[int, int], tuple[float, float]]) -> list[float | None]:
    """The five figures of one object, given as {(row, column): (prediction, truth)}; the gradient may be missing."""
    n, pairs = len(pixels), pixels.values()
    gradients = [
        abs((math.log(pixels[q][0]) - math.log(p)) - (math.log(pixels[q][1]) - math.log(d)))
        for (row, column), (p, d) in pixels.items()
        for q in ((row + 1, column), (row, column + 1))
        if q in pixels
    ]
    return [
        sum(max(p / d, d / p) < 1.25 for p, d in pairs) / n,
        sum(abs(p - d) / d for p, d in pairs) / n,
        math.sqrt(sum((p - d) ** 2 for p, d in pairs) / n),
        sum(abs(math.log10(p) - math.log10(d)) for p, d in pairs) / n,
        sum(gradients) / len(gradients) if gradients else None,
    ]


def loop_images(prediction, target, valid, instances):
    """[{id: {(row, column): (prediction, truth)}} of each image], clamped and within the range of `PROTOCOL`."""
    images = []
    for p_map, d_map, v_map, ids in zip(prediction.double(), target.double(), valid, instances, strict=True):
        objects: dict[int, dict] = {}
        for row, column in torch.cartesian_prod(*map(torch.arange, ids.shape)).tolist():
            p, d, i = float(p_map[0, row, column]), float(d_map[0, row, column]), int(ids[row, column])
            if i > 0 and v_map[0, row, column] and 0.1 < d < 8:
                objects.setdefault(i, {})[row, column] = (min(max(p, 0.1), 8.0), d)
        images.append(objects)
    return images


def weighted_mean(values_and_weights):
    pairs = [(value, weight) for value, weight in values_and_weights if value is not None]
    return sum(value * weight for value, weight in pairs) / sum(weight for _, weight in pairs) if pairs else None


def loop_reference(averaging, min_pixels, *inputs):
    images = [
        [(loop_object(pixels), len(pixels)) for pixels in objects.values() if len(pixels) >= min_pixels]
        for objects in loop_images(*inputs)
    ]
    counts = {"objects": sum(map(len, images)), "excluded": sum(not image for image in images), "nonfinite": 0}
    figures = {}
    for k, name in enumerate(FIGURES):
        if averaging == "per_image":
            figures[name] = weighted_mean((weighted_mean((o[k], 1) for o, _ in image), 1) for image in images)
        else:
            by_area = averaging == "area"
            figures[name] = weighted_mean((o[k], n if by_area else 1) for image in images for o, n in image)
    return figures | counts


class TestPerObject(MetricTester):
    averaging = "per_object"
    min_pixels = 1
    counts = ("objects", "excluded", "nonfinite")

    def make(self):
        return ObjectwiseErrors(PROTOCOL, self.averaging, self.min_pixels)

    def inputs(self):
        generator = torch.Generator().manual_seed(0)
        target = 9 * torch.rand(7, 1, 9, 11, generator=generator)  # some beyond the range
        prediction = target * (0.4 * torch.randn(target.shape, generator=generator)).exp()
        prediction[1, 0, 0] = -1.0  # clamped
        instances = torch.arange(99).view(9, 11) // 11 // 3 * 4 + torch.arange(11) // 3 + 1  # blocks of 3 x 3
        instances = instances.repeat(7, 1, 1)
        instances[0] = 3  # one object; the tester spoils the first valid pixel, which must be on one
        instances[2] *= torch.rand(9, 11, generator=generator) < 0.4  # torn ones, some without neighbours
        instances[3] = 0
        instances[5, 4, 4] = 77  # of one pixel
        target[5, 0, 4, 4] = 2.0
        valid = torch.rand(target.shape, generator=generator) < 0.8
        valid[4] = False
        valid[5, 0, 4, 4] = valid[0, 0, 0, 0] = True
        target[0, 0, 0, 0] = 2.0
        valid &= (target > 0.1) & (target < 8)
        return prediction, target.where(valid, 0.0), valid, instances

    def reference(self, *inputs):
        return loop_reference(self.averaging, self.min_pixels, *inputs)


class TestPerImage(TestPerObject):
    averaging = "per_image"
    averages_images = True


class TestAreaOfLargeObjects(TestPerObject):
    averaging = "area"
    min_pixels = 6


def evaluate(prediction, target, instances, valid=None, **options):
    """Figures of one image given as nested lists of rows."""
    prediction, target = (torch.tensor(rows, dtype=torch.float64)[None, None] for rows in (prediction, target))
    valid = torch.ones_like(target, dtype=torch.bool) if valid is None else torch.tensor(valid)[None, None]
    metric = ObjectwiseErrors(PROTOCOL, **options)
    metric.update(prediction, target, valid, torch.tensor(instances)[None])
    return {name: float(figure) for name, figure in metric.compute().items()}


def test_worked_example():
    # Object 1: twice too deep throughout. Object 2: one pixel right, one 4 m instead of 2 m.
    figures = evaluate([[2.0, 4.0, 2.0, 4.0]], [[1.0, 2.0, 2.0, 2.0]], [[1, 1, 2, 2]])
    log2 = math.log10(2)
    assert figures == pytest.approx(
        {
            **{"object_delta1": (0 + 0.5) / 2, "object_abs_rel": (1 + 0.5) / 2},
            "object_rmse": (math.sqrt(2.5) + math.sqrt(2)) / 2,
            **{"object_log10": (log2 + log2 / 2) / 2, "object_gradient": (0 + math.log(2)) / 2},
            **{"objects": 2, "excluded": 0, "nonfinite": 0},
        }
    )


def test_the_three_averagings_differ():
    # Image 1: one object of one pixel, abs_rel 1. Image 2: the objects of 3 and 1 pixels, abs_rel 0 and 0.5.
    metrics = {averaging: ObjectwiseErrors(PROTOCOL, averaging) for averaging in ("per_object", "per_image", "area")}
    prediction, target = torch.tensor([[2.0, 2, 2, 2], [1, 1, 1, 3]]), torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 2]])
    prediction, target = prediction.view(2, 1, 1, 4), target.view(2, 1, 1, 4)
    instances = torch.tensor([[[1, 0, 0, 0]], [[1, 1, 1, 2]]])
    for metric in metrics.values():
        metric.update(prediction, target, torch.ones_like(target, dtype=torch.bool), instances)
    figures = {averaging: float(metric.compute()["object_abs_rel"]) for averaging, metric in metrics.items()}
    assert figures == pytest.approx({"per_object": 1.5 / 3, "per_image": (1 + 0.25) / 2, "area": 1.5 / 5})


def test_an_object_of_one_pixel_has_errors_but_no_gradient():
    figures = evaluate([[2.0, 1.0]], [[1.0, 1.0]], [[5, 0]])
    assert (figures["object_abs_rel"], figures["object_rmse"], figures["objects"]) == (1, 1, 1)
    assert math.isnan(figures["object_gradient"])


def test_gradients_are_taken_neither_across_objects_nor_through_invalid_pixels():
    prediction, target = [[1.0, 4.0, 1.0, 1.0, 4.0]], [[1.0, 1.0, 1.0, 1.0, 1.0]]
    assert math.isnan(evaluate([prediction[0][:2]], [target[0][:2]], [[1, 2]])["object_gradient"])
    valid = [[True, False, True, True, False]]
    assert evaluate(prediction, target, [[1, 1, 1, 1, 1]], valid)["object_gradient"] == 0


def test_the_gradient_does_not_see_the_scale_of_an_object():
    target = [[1.0, 2.0, 3.0], [1.5, 2.5, 3.5]]
    figures = evaluate([[1.7 * d for d in row] for row in target], target, [[1, 1, 1], [1, 1, 1]])
    assert figures["object_gradient"] == pytest.approx(0, abs=1e-12)
    assert figures["object_abs_rel"] == pytest.approx(0.7)


def test_an_image_without_objects_is_excluded():
    figures = evaluate([[1.0, 2.0]], [[1.0, 1.0]], [[0, 0]])
    assert (figures["objects"], figures["excluded"]) == (0, 1)
    assert all(math.isnan(figures[name]) for name in FIGURES)


def test_a_nonfinite_prediction_on_no_averaged_object_is_not_evaluated():
    prediction, target, instances = [[math.nan, 1.0, 1.0, math.inf]], [[1.0, 1.0, 1.0, 1.0]], [[0, 1, 1, 2]]
    figures = evaluate(prediction, target, instances, min_pixels=2)
    assert (figures["nonfinite"], figures["objects"], figures["object_rmse"]) == (0, 1, 0)


def test_sparse_ids_are_objects_like_others():
    inputs = TestPerObject().inputs()
    small, large = ObjectwiseErrors(PROTOCOL), ObjectwiseErrors(PROTOCOL)
    small.update(*inputs)
    large.update(*inputs[:3], inputs[3] * 2**40)
    assert {name: float(figure) for name, figure in large.compute().items()} == pytest.approx(
        {name: float(figure) for name, figure in small.compute().items()}, rel=1e-12
    )


def test_the_prediction_is_resized_and_the_objects_are_not():
    generator = torch.Generator().manual_seed(1)
    target, instances = 1 + torch.rand(1, 1, 8, 8, generator=generator), torch.ones(1, 8, 8, dtype=torch.int64)
    metric = ObjectwiseErrors(PROTOCOL)
    metric.update(torch.full((1, 1, 4, 4), 1.5), target, torch.ones_like(target, dtype=torch.bool), instances)
    assert float(metric.compute()["object_rmse"]) == pytest.approx(float((target - 1.5).square().mean().sqrt()))


def test_unusable_input_is_refused():
    with pytest.raises(ValueError, match=r"averaging.*'pixel'"):
        ObjectwiseErrors(PROTOCOL, "pixel")
    with pytest.raises(ValueError, match=r"min_pixels.*0"):
        ObjectwiseErrors(PROTOCOL, min_pixels=0)
    maps = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"instances.*\(1, 4, 4\).*\(1, 2, 2\)"):
        ObjectwiseErrors(PROTOCOL).update(*maps, torch.ones(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"integers.*float32"):
        ObjectwiseErrors(PROTOCOL).update(*maps, torch.ones(1, 4, 4))
