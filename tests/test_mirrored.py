"""A batch seen in a mirror, and what a method's disagreement with itself over it says in a test."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from datamodules.frames import Frame
from datamodules.pipeline.transforms import flip
from lightning_modules.batch import Batch
from lightning_modules.evaluation import EvaluationOptions
from lightning_modules.metrics import EvalProtocol
from lightning_modules.mirrored import MAPS, disagreement, mirror, with_flip_uncertainty
from lightning_modules.prediction import Prediction
from tests.helpers.described_data import described
from tests.helpers.tiny_method import TinyMethod

PROTOCOL = EvalProtocol("plain", 1e-3, 10.0)


def batch(size=(24, 34), shown=(16, 20)):
    generator = torch.Generator().manual_seed(0)
    depth = torch.rand(2, 1, *size, generator=generator) * 8 + 1
    camera = torch.tensor([[30.0, 0, 14], [0, 31.0, 11], [0, 0, 1]])
    return {
        "image": torch.rand(2, 3, *shown, generator=generator),
        "superpixels": torch.randint(0, 20, (2, *shown), generator=generator),
        "depth": depth,
        "valid": depth > 2,
        "semantics": torch.randint(0, 41, (2, *size), generator=generator),
        "intrinsics": camera.expand(2, 3, 3),
        "plane_parameters": torch.rand(2, 32, 4, generator=generator),
        "scene": ["a", "b"],
        "index": torch.arange(2),
    }


def test_it_is_what_training_sees_of_a_flipped_frame():
    one = batch(shown=(24, 34))
    maps = {"depth": one["depth"][0], "semantics": one["semantics"][0]}
    frame = Frame(image=one["image"][0], maps=maps, intrinsics=one["intrinsics"][0], scene="", frame=0, index=0)
    flipped, mirrored = flip(frame), mirror(one)
    torch.testing.assert_close(mirrored["image"][0], flipped.image)
    torch.testing.assert_close(mirrored["depth"][0], flipped.maps["depth"])
    torch.testing.assert_close(mirrored["semantics"][0], flipped.maps["semantics"])
    torch.testing.assert_close(mirrored["intrinsics"][0], flipped.intrinsics)


def test_a_point_of_a_plane_is_mirrored_with_it():
    one = batch()
    plane, point = one["plane_parameters"][0, 3], torch.tensor([0.3, -0.2, 2.0])
    mirrored = mirror(one)["plane_parameters"][0, 3]
    there = point * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(mirrored[:3] @ there + mirrored[3], plane[:3] @ point + plane[3])


def test_every_map_of_a_batch_is_mirrored():
    others = {"plane_parameters", "plane_kinds", "intrinsics", "scene", "frame", "index", "skipped"}
    assert set(MAPS) == Batch.__annotations__.keys() - others


def test_twice_is_the_batch_itself():
    one = batch()
    for key, value in mirror(mirror(one)).items():
        torch.testing.assert_close(value, one[key]) if isinstance(value, torch.Tensor) else None
    assert mirror(one)["scene"] == one["scene"]
    assert mirror({"image": one["image"]}).keys() == {"image"}


def test_disagreement_is_the_standard_deviation():
    depths = [torch.full((1, 1, 2, 2), value) for value in (1.0, 2.0, 6.0)]
    torch.testing.assert_close(disagreement(depths), torch.full((1, 1, 2, 2), (14 / 3) ** 0.5))
    torch.testing.assert_close(disagreement(depths[:2]), torch.full((1, 1, 2, 2), 0.5))


def test_predictions_are_compared_where_they_show_the_same():
    depth = torch.rand(2, 1, 3, 4)
    assert not with_flip_uncertainty(Prediction(depth), Prediction(depth.flip(-1))).uncertainty.any()
    silent = Prediction(segments=[torch.zeros(1, 2, 2)])
    assert with_flip_uncertainty(silent, silent) is silent


class LeftAndRight(TinyMethod):
    """Depth that grows from left to right, and by what is asked for of a batch."""

    requires = frozenset({"superpixels"})

    def __init__(self, slope: float = 1.0, **options):
        super().__init__(**options)
        self.slope, self.seen = slope, []

    def forward(self, batch):
        self.seen.append(batch)
        ramp = torch.linspace(0, self.slope, batch["image"].shape[-1])
        return Prediction(depth=2 + ramp.expand_as(batch["image"][:, :1]) + 0.01 * batch["superpixels"][:, None])


def measure(method_class=LeftAndRight, **options):
    method = method_class(protocol=PROTOCOL, **options).eval()
    provides = frozenset({"superpixels"})
    method._trainer = SimpleNamespace(
        datamodule=described(provides=provides, test_sets=lambda: [described(provides=provides)])
    )
    method.setup("test")
    with torch.no_grad():
        output = method.test_step(batch(), 0)
    (evaluation,) = method.evaluations.values()
    return method, output, {name: float(value) for name, value in evaluation.compute().items()}


def test_a_test_judges_the_disagreement_over_the_flip_and_leaves_all_else_alone():
    _, _, without = measure()
    method, output, found = measure(evaluation=EvaluationOptions(flip_uncertainty=True))
    ramp = torch.linspace(0, 1, 20)
    expected = (ramp - ramp.flip(0)).abs() / 2
    torch.testing.assert_close(output["prediction"].uncertainty, expected.expand(2, 1, 16, 20), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(method.seen[1]["superpixels"], method.seen[0]["superpixels"].flip(-1))
    added = {"ause_abs_rel", "aurg_rmse", "sparsified_rmse@0.5", "uncertainty_excluded"}
    assert added <= found.keys() - without.keys()
    assert without == {name: pytest.approx(found[name], nan_ok=True) for name in without}
    assert output["per_image"]["ause_rmse"].shape == (2,)


def test_what_does_not_measure_it_sees_each_frame_once():
    options = EvaluationOptions(groups=("depth",), flip_uncertainty=True)
    assert len(measure(evaluation=options)[0].seen) == 1


def test_off_by_default_and_then_each_frame_is_seen_once():
    method, output, found = measure()
    assert len(method.seen) == 1
    assert output["prediction"].uncertainty is None
    assert not any(name.startswith(("ause", "uncertainty")) for name in found)


class Sure(LeftAndRight):
    """Says itself where it may be wrong."""

    def forward(self, batch):
        prediction = super().forward(batch)
        return replace(prediction, uncertainty=prediction.depth / 10)


def test_an_uncertainty_of_the_method_itself_is_judged_without_an_option():
    method, output, found = measure(Sure)
    assert len(method.seen) == 1
    assert found["uncertainty_excluded"] == 0
    assert found["ause_abs_rel"] > 0
    assert nn.functional.mse_loss(output["prediction"].uncertainty, output["prediction"].depth / 10) == 0
