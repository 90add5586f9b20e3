"""What the steps of a method hand to callbacks: of the batch itself, whatever hook ran before."""

from types import SimpleNamespace

import pytest
import torch

from lightning_modules.evaluation import EvaluationOptions
from lightning_modules.metrics import EvalProtocol
from tests.helpers.described_data import described
from tests.helpers.tiny_method import TinyMethod

NEAR, FAR = EvalProtocol("near", 1e-3, 5.0), EvalProtocol("far", 1e-3, 20.0, unit=2.0)


class Oracle(TinyMethod):
    oracle = "semantics"


def batch(size=(48, 64)):
    depth = torch.rand(2, 1, *size) * 8 + 1
    return {"image": torch.rand(2, 3, 48, 64), "depth": depth, "valid": torch.ones_like(depth, dtype=torch.bool)}


def ready(*sets, **options):
    options = {"evaluation": EvaluationOptions(groups=("depth", "range")), **options}
    method = Oracle(protocol=NEAR, test_protocols=[FAR], **options).eval()
    method._trainer = SimpleNamespace(datamodule=described(test_sets=lambda: list(sets)))
    method.setup("test")
    return method


VIEW = SimpleNamespace(groups=("depth",))


@pytest.mark.parametrize(("loader", "protocol"), [(1, FAR), (0, NEAR), (2, NEAR), (3, FAR)])
def test_a_batch_is_under_the_protocol_of_its_loader(loader, protocol):
    names = ("near_set", None), ("far_set", None), ("near_set_wide", VIEW), ("far_set_wide", VIEW)
    method = ready(*(described(name=name, set_name=name.removesuffix("_wide"), variant=view) for name, view in names))
    one = batch()
    with torch.no_grad():
        output = method.test_step(one, 0, loader)
    assert output["protocol"] == method.protocol_of(loader) == protocol
    assert output["oracle"] == "semantics"
    assert output["per_image"]["abs_rel"].shape == (2,)
    expected = protocol.prepare(output["prediction"].depth, one["depth"], one["valid"])
    for mine, own in zip(output["prepared"], expected, strict=True):
        torch.testing.assert_close(mine, own, equal_nan=True)
    groups = [set(evaluation.metrics) for evaluation in method.evaluations.values()]
    assert groups[2] == groups[3] == {"depth"} < groups[0]
    assert method.protocol == NEAR


def test_validation_hands_on_the_same(monkeypatch):
    method = Oracle(protocol=NEAR).eval()
    monkeypatch.setattr(method, "log_dict", lambda *_, **__: None)
    with torch.no_grad():
        output = method.validation_step(batch(), 0)
    assert output["protocol"] == NEAR
    assert output["prepared"].valid.shape == (2, 1, 48, 64)
    assert (output["per_image"], output["oracle"]) == ({}, "semantics")


def test_radial_depth_is_known_to_its_protocol_alone():
    method = ready(described(name="planar"), described(name="distances", radial=True))
    assert [method.protocol_of(loader).radial for loader in range(2)] == [False, True]
