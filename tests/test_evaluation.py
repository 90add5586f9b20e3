"""The evaluation of a test set: what is measured follows from data and method, and is what the metrics say."""

import pickle
from dataclasses import asdict, replace

import pytest
import torch

from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.evaluation_options import by_group
from lightning_modules.metrics import (
    SUITE,
    BorderErrors,
    BoundaryError,
    BoundaryProtocol,
    DepthErrors,
    EvalProtocol,
    LayoutFlatness,
    LayoutRetrieval,
    ObjectRoughness,
    ObjectwiseErrors,
    PointCloudChamfer,
    RangeErrors,
    ThinErrors,
)
from lightning_modules.prediction import Prediction

PROTOCOL = EvalProtocol("plain", min_depth=0.1, max_depth=10.0)
EVERYTHING = frozenset({"instances", "occlusion", "semantics", "edges", "planes", "plane_parameters", "regions"})


def make_batch(images: int = 3, height: int = 24, width: int = 32) -> dict:
    generator = torch.Generator().manual_seed(0)
    depth = 1 + 4 * torch.rand(images, 1, height, width, generator=generator)
    camera = torch.tensor([[30.0, 0, width / 2], [0, 30.0, height / 2], [0, 0, 1]])
    columns = torch.arange(width).expand(images, height, width)
    return {
        "depth": depth,
        "valid": torch.rand(depth.shape, generator=generator) > 0.2,
        "instances": 4 * columns // width,
        "semantics": 4 * columns // width,
        "occlusion": (columns % 8 == 0)[:, None],
        "regions": 4 * columns // width,
        "edges": (columns % 8 == 0)[:, None].float(),
        "planes": (columns < width // 2).long(),
        "plane_parameters": torch.full((images, 1, 4), torch.nan),
        "intrinsics": camera.expand(images, 3, 3),
        "scene": ["a", "a", "b"],
        "frame": torch.tensor([0, 1, 0]),
        "index": torch.arange(images),
    }


def make_prediction(batch: dict) -> Prediction:
    generator = torch.Generator().manual_seed(1)
    depth = batch["depth"] * (0.1 * torch.randn(batch["depth"].shape, generator=generator)).exp()
    images, _, height, width = depth.shape
    return Prediction(
        depth=depth,
        semantics=torch.randn(images, 40, height // 2, width // 2, generator=generator),
        edges=torch.randn(images, 1, height, width, generator=generator),
        segments=[8 * torch.arange(width).expand(images, height, width) // width],
        embedding=torch.randn(images, 5, generator=generator),
        image_classes=torch.randn(images, 40, generator=generator),
        covered=torch.ones_like(batch["valid"]),
        uncertainty=torch.rand(images, 1, height // 2, width // 2, generator=generator),
    )


def measured(provides: frozenset[str], **fields) -> set[str]:
    batch = make_batch()
    evaluation = Evaluation(PROTOCOL, provides=provides)
    whole = make_prediction(batch)
    evaluation.update(Prediction(depth=whole.depth, **{name: getattr(whole, name) for name in fields}), batch)
    return set(evaluation.compute())


def test_the_data_decide_first():
    alone = measured(frozenset())
    assert {"abs_rel", "delta1", "chamfer3d_precision", "depth_boundary_f1"} <= alone
    assert not any(name.startswith(("object", "boundary", "planarity", "miou")) for name in alone)
    assert {"object_delta1", "object_excluded"} <= measured(frozenset({"instances"}))
    assert {"boundary_acc", "boundary_excluded"} <= measured(frozenset({"occlusion"}))
    assert "planarity_flatness" in measured(frozenset({"planes", "plane_parameters"}))
    assert "rmse_at_2_5" in alone
    assert not any(name.startswith(("abs_rel_border", "abs_rel_thin", "layout", "object_roughness")) for name in alone)
    assert {"abs_rel_border", "delta1_thin", "layout_flatness"} <= measured(frozenset({"semantics"}))
    assert "object_roughness" in measured(frozenset({"instances"}))


def test_the_layout_is_that_of_nyu40_classes():
    assert "layout" in Evaluation(PROTOCOL, provides=EVERYTHING).metrics
    assert "layout" not in Evaluation(PROTOCOL, provides=EVERYTHING, classes=13).metrics


def test_then_the_method_decides():
    silent = measured(EVERYTHING)
    assert not silent & {"pixel_accuracy", "edge_f1", "scene_recall@1", "level0_boundary_recall"}
    assert not any(name.startswith("ause") for name in silent)
    assert {"ause_rmse", "sparsified_abs_rel@0.5"} <= measured(frozenset(), uncertainty=True)
    speaking = measured(EVERYTHING, semantics=True, edges=True, segments=True, embedding=True)
    assert {"pixel_accuracy", "miou", "edge_f1", "edge_ods", "scene_recall@1", "level0_boundary_recall"} <= speaking


def test_every_group_can_be_measured_and_counts_what_it_leaves_out_under_its_own_name():
    batch = make_batch()
    for name in SUITE:
        evaluation = Evaluation(PROTOCOL, EvaluationOptions(groups=(name,), unit={"unit": 10.0}), EVERYTHING)
        evaluation.update(make_prediction(batch), batch)
        figures = evaluation.compute()
        counts = {key for key in figures if "excluded" in key or "nonfinite" in key}
        assert figures.keys() - counts, name
        assert all(key.startswith(f"{name}_") for key in counts) or name == "depth"


def test_figures_are_those_of_the_metrics():
    batch = make_batch()
    options = EvaluationOptions(
        cloud={"stride": 2}, object={"averaging": "area"}, retrieval={"ks": (1,)}, range={"edges": (0, 3)},
        label_border={"distance": 2}, thin={"radius": 0.2}, layout={"min_area": 0.1, "max_rms": 2.0},
        smoothness={"step": 1, "margin": 3},
    )  # fmt: skip
    prediction = make_prediction(batch)
    evaluation = Evaluation(PROTOCOL, options, EVERYTHING)
    evaluation.update(prediction, batch)
    figures = evaluation.compute()
    truth = prediction.depth, batch["depth"], batch["valid"]
    for metric, arguments in [
        (DepthErrors(PROTOCOL), truth),
        (ObjectwiseErrors(PROTOCOL, "area"), (*truth, batch["instances"])),
        (PointCloudChamfer(PROTOCOL, stride=2), (*truth, batch["intrinsics"])),
        (RangeErrors(PROTOCOL, (0, 3)), truth),
        (BorderErrors(PROTOCOL, 2), (*truth, batch["semantics"])),
        (ThinErrors(PROTOCOL, 0.2), (*truth, batch["semantics"])),
        (LayoutFlatness(PROTOCOL, 0.1, 2.0), (*truth, batch["semantics"], batch["intrinsics"])),
        (ObjectRoughness(PROTOCOL, 1, 3), (*truth, batch["instances"])),
        (BoundaryError(), (prediction.depth.double().clamp(0.1, 10), batch["occlusion"])),
        (LayoutRetrieval(ks=(1,)), (prediction.embedding, batch["scene"], batch["frame"])),
    ]:
        metric.update(*arguments)
        for name, value in metric.compute().items():
            if not name.startswith(("excluded", "nonfinite")):
                assert figures[name] == value or value.isnan(), name
    assert figures["layout_planes"] > 0
    assert figures["object_roughness"] > 0


def test_per_image_figures_average_to_those_of_the_set():
    batch = make_batch()
    evaluation = Evaluation(PROTOCOL, EvaluationOptions(object={"averaging": "per_image"}), EVERYTHING)
    per_image = evaluation.update(make_prediction(batch), batch).per_image
    figures = evaluation.compute()
    assert all(values.shape == (3,) for values in per_image.values())
    for name in ("abs_rel", "rmse", "object_delta1", "boundary_comp", "chamfer3d_recall", "level0_boundary_recall"):
        assert float(per_image[name].mean()) == pytest.approx(float(figures[name]), rel=1e-12), name


def test_reset_forgets():
    batch = make_batch()
    evaluation = Evaluation(PROTOCOL, provides=EVERYTHING)
    evaluation.update(make_prediction(batch), batch)
    before = evaluation.compute()
    evaluation.reset()
    assert evaluation.compute() == {}
    evaluation.update(make_prediction(batch), batch)
    after = evaluation.compute()
    assert before.keys() == after.keys()
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0, equal_nan=True)


def test_boundaries_are_sought_in_the_protocol_s_window_unless_told_otherwise():
    eigen = EvalProtocol("eigen", 0.1, 10.0, crop="eigen")
    crops = {}
    for asked in (None, "none", "p2orm"):
        evaluation = Evaluation(eigen, EvaluationOptions(boundary=BoundaryProtocol(crop=asked)), EVERYTHING)
        crops[asked] = evaluation.metrics["boundary"].protocol.crop
    assert crops == {None: "eigen", "none": "none", "p2orm": "p2orm"}


def test_relative_disparity_has_boundaries_after_its_alignment():
    """Where disparity is 0 the depth is infinite; once fitted to the truth it is a depth like any other."""
    batch = make_batch()
    disparity = 1 / batch["depth"] - 1 / batch["depth"].amax()
    protocol = EvalProtocol("relative", 0.1, 10.0, alignment="inverse_least_squares")
    evaluation = Evaluation(protocol, provides=EVERYTHING)
    evaluation.update(Prediction(depth=1 / disparity), batch)
    figures = evaluation.compute()
    assert float(figures["abs_rel"]) < 1e-6
    assert figures["boundary_nonfinite"] == 0
    assert figures["boundary_acc"].isfinite()


def test_an_unknown_group_is_refused_by_name():
    with pytest.raises(ValueError, match=r"no group `clouds`; did you mean `cloud`\? groups: depth, unit, object"):
        EvaluationOptions(groups=("depth", "clouds"))


def test_options_are_plain_values():
    """A checkpoint keeps them, and is loaded without trusting pickles."""
    plain = (str, int, float, bool, type(None), tuple, dict)
    assert all(isinstance(value, plain) for value in asdict(EvaluationOptions()).values())


def test_options_of_a_group_are_the_arguments_of_its_metric():
    options = EvaluationOptions(cloud={"stride": 1}, boundary=BoundaryProtocol(low=0.1))
    assert options.of("cloud") == {"thresholds": (0.05, 0.10), "stride": 1, "squared": False, "workers": -1}
    assert options.of("boundary")["low"] == 0.1
    assert EvaluationOptions().of("cloud")["stride"] == 4
    assert {group: options.of(group) for group in ("coverage", "region")} == {"coverage": {}, "region": {}}
    with pytest.raises(TypeError, match="strides"):
        EvaluationOptions(cloud={"strides": 1})


def test_options_can_be_copied_between_processes():
    options = EvaluationOptions(("depth",), thin={"radius": 0.1})
    assert pickle.loads(pickle.dumps(options)) == options


def test_old_names_of_options_are_taken_with_one_warning():
    old = {"groups": None, "cloud_stride": 2, "recall_at": [1], "unit": 10.0, "boundary": {"low": 0.1}}
    with pytest.warns(FutureWarning, match="`cloud_stride` is now `cloud.stride`, `recall_at` is now") as warned:
        new = by_group(old)
    assert len(warned) == 1
    assert new == {
        "groups": None, "boundary": {"low": 0.1}, "cloud": {"stride": 2}, "retrieval": {"ks": [1]},
        "unit": {"unit": 10.0},
    }  # fmt: skip
    assert by_group(new) == new


def test_where_a_new_name_and_an_old_one_are_given_the_new_one_counts():
    with pytest.warns(FutureWarning, match="cloud_stride"):
        assert by_group({"cloud": {"stride": 1}, "cloud_stride": 4}) == {"cloud": {"stride": 1}}


#: Protocols whose prepared maps differ: units, alignment, resize, crop and clamp.
PROTOCOLS = {
    "plain": PROTOCOL,
    "units": replace(PROTOCOL, unit=10.0),
    "aligned": replace(PROTOCOL, alignment="least_squares", clamp=False),
    "disparity": replace(PROTOCOL, alignment="inverse_least_squares", align_corners=True),
    "cropped": replace(PROTOCOL, crop="eigen", averaging="pooled"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_what_is_prepared_once_gives_each_metric_the_very_values_it_has_alone(protocol):
    size = (480, 640) if protocol.crop != "none" else (24, 32)
    batch = make_batch(3, *size)
    prediction = make_prediction(batch)
    prediction.depth = prediction.depth[..., ::2, ::2]
    # of whole frames only what the protocol decides on
    groups = [name for name, metric in SUITE.items() if protocol.crop == "none" or metric.reads == "depth"]
    options = EvaluationOptions(
        tuple(groups),
        unit={"unit": 10.0},
        cloud={"stride": 7},
        edge={"levels": 1},
        layout={"max_rms": 5.0},
        smoothness={"step": 1},
    )
    together = Evaluation(protocol, options, EVERYTHING)
    before = [part.clone() for part in (batch["depth"], batch["valid"])]
    together.update(prediction, batch)
    values = together.compute()
    assert list(together.metrics) == groups
    for group in groups:
        metric = SUITE[group]
        alone = metric.for_data(protocol, 40, options.of(group))
        predicted = getattr(prediction, metric.reads)
        if group == "boundary":
            predicted = protocol.prepare(prediction.depth, batch["depth"], batch["valid"]).prediction
        depth = (batch["depth"], batch["valid"]) if metric.reads == "depth" and group != "boundary" else ()
        beside = (getattr(prediction, name) for name in metric.also_reads)
        alone.update(predicted, *depth, *beside, *(batch[key] for key in metric.needs))
        for key, value in alone.compute().items():
            torch.testing.assert_close(values[metric.public_name(key)], value, rtol=0, atol=0, equal_nan=True)
        for key, of_images in alone.per_image.items():
            torch.testing.assert_close(
                together.metrics[group].per_image[key], of_images, rtol=0, atol=0, equal_nan=True
            )
    for part, was in zip((batch["depth"], batch["valid"]), before, strict=True):
        assert part.equal(was)


def test_depth_is_prepared_once_a_batch(monkeypatch):
    calls = []
    prepare = EvalProtocol.prepare
    monkeypatch.setattr(EvalProtocol, "prepare", lambda self, *maps: calls.append(self) or prepare(self, *maps))
    batch = make_batch()
    evaluation = Evaluation(PROTOCOL, EvaluationOptions(unit={"unit": 10.0}), EVERYTHING)
    measured = evaluation.update(make_prediction(batch), batch)
    assert calls == [PROTOCOL]
    for part, expected in zip(measured.prepared, prepare(PROTOCOL, *prepared_maps(batch)), strict=True):
        assert part.equal(expected)
    assert evaluation.update(Prediction(semantics=torch.randn(3, 40, 24, 32)), batch).prepared is None
    assert len(calls) == 1


def prepared_maps(batch: dict) -> tuple[torch.Tensor, ...]:
    return make_prediction(batch).depth, batch["depth"], batch["valid"]
