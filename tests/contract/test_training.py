"""Learning rates follow `lr_scale` and the schedule, of a staged method in each stage; a checkpoint is the method."""

import functools
from dataclasses import dataclass

import pytest
import torch
from lightning.pytorch import Callback

from tests.contract.methods import METHODS

RATE, SCALE, POWER = 1e-3, 0.1, 2.0

OPTIONS = {
    "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": RATE}},
    "schedule": {"name": "poly", "power": POWER},
}


@dataclass(frozen=True)
class Step:
    """Learning rates of an optimizer step, of the parameters that are scaled and of the others."""

    stage: int
    scaled: set[float]
    others: set[float]


class RecordedRates(Callback):
    """Note the learning rates of every step."""

    def __init__(self, prefix):
        self.prefix, self.steps = prefix, []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        named = dict(pl_module.named_parameters())
        scaled = {id(named[key]) for key in named if f"{key}.".startswith(f"{self.prefix}.")}
        rates = {True: set(), False: set()}
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                rates[id(parameter) in scaled].add(group["lr"])
        self.steps.append(Step(getattr(pl_module, "stage_number", 0), rates[True], rates[False]))


@pytest.fixture(scope="module")
def trained(assemble, ready):
    """A function that gives a method after two epochs of two steps (of one epoch a stage), and its recorded rates."""

    @functools.cache
    def trained(name):
        names = [key for key, parameter in ready(name).method.named_parameters()]
        # a part of a part where there is one, since a stage may train one part alone
        prefix = ".".join(names[0].split(".")[:-1])
        recorded = RecordedRates(prefix)
        assembled = assemble(
            name, callbacks=[recorded], method={**OPTIONS, "lr_scale": {prefix: SCALE}}, trainer={"max_epochs": 2}
        )
        assembled.trainer.fit(assembled.method, datamodule=assembled.data)
        return assembled, recorded.steps

    return trained


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_learning_rates_are_those_configured(name, trained):
    assembled, steps = trained(name)
    method = assembled.method
    stages = getattr(method, "stages", (None,))
    assert {step.stage for step in steps} == set(range(len(stages)))
    assert any(step.scaled for step in steps)
    for number, stage in enumerate(stages):
        own = [step for step in steps if step.stage == number]
        assert len(own) == 2 * (stage.epochs if stage else 2)
        power = stage.schedule.power if stage and stage.schedule else POWER
        for done, step in enumerate(own):
            rate = RATE * (1 - done / len(own)) ** power
            assert sorted(step.others) == pytest.approx([rate] if step.others else [])
            assert sorted(step.scaled) == pytest.approx([SCALE * rate] if step.scaled else [])


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_a_checkpoint_is_the_method(name, trained, batch, assemble, tmp_path):
    """Rebuilt from its file alone, and loaded into a method that was built anew: the prediction is the same."""
    assembled, _ = trained(name)
    path = tmp_path / "last.ckpt"
    assembled.trainer.save_checkpoint(path)
    expected = predict(assembled.method, batch())
    rebuilt = type(assembled.method).load_from_checkpoint(path, weights_only=True)
    assert_same(predict(rebuilt, batch()), expected)
    other = assemble(name)
    other.trainer.validate(other.method, datamodule=other.data, ckpt_path=path, weights_only=True, verbose=False)
    assert_same(predict(other.method, batch()), expected)


def predict(method, batch):
    with torch.no_grad():
        return method.eval()(batch)


def assert_same(found, expected):
    for field in ("depth", "semantics", "edges", "image_classes", "embedding"):
        value = getattr(expected, field)
        if value is None:
            assert getattr(found, field) is None
        else:
            assert torch.equal(getattr(found, field), value), field
