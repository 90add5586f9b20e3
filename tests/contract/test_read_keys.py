"""A method reads of a batch what it says it reads, and of the truth nothing in tests unless it is an oracle."""

import functools
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from datamodules import Sample
from tests.contract.methods import METHODS

#: Keys of a sample that a network may be shown in tests; the others are the truth.
INPUTS = {"image", "superpixels"}

#: What a method's `oracle` says that it reads of the truth.
ORACLES = {"": set(), "semantics": {"semantics"}, "region support": {"region_support"}}


class RecordedBatch(dict[str, Any]):
    """A batch that remembers which of its keys were read."""

    def __init__(self, batch: Sample):
        super().__init__(batch)
        self.read: set[str] = set()

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def items(self) -> Any:
        self.read.update(self)
        return super().items()

    def values(self) -> Any:
        self.read.update(self)
        return super().values()


@dataclass(frozen=True)
class Lesson:
    """One training step of a method, or of one of its stages: keys that were read, and parameters without gradient."""

    stage: str
    read: set[str]
    idle: list[str]


@pytest.fixture(scope="module")
def lessons(ready, batch):
    """A function that gives the lessons of a method, one a stage that trains."""

    @functools.cache
    def lessons(name):
        method = ready(name).method.train()
        stages = getattr(method, "stages", ())
        found = []
        for number in [number for number, stage in enumerate(stages) if stage.epochs] or [None]:
            if number is not None:
                method.enter_stage(number)
            method.zero_grad()
            recorded = RecordedBatch(batch("train"))
            sum(method.losses(method(recorded), recorded).values()).backward()
            trained = {key: parameter for key, parameter in method.named_parameters() if parameter.requires_grad}
            idle = [key for key, parameter in trained.items() if parameter.grad is None]
            found.append(Lesson(stages[number].name if stages else "", recorded.read, idle))
        return found

    return lessons


@pytest.mark.parametrize("name", METHODS)
def test_training_reads_what_is_declared(name, ready, lessons):
    method = ready(name).method
    for lesson in lessons(name):
        assert lesson.read <= {"image", "depth", "valid"} | method.requires | method.learns_from, lesson.stage


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_learns(name, lessons):
    """Processes wait for the gradient of each."""
    for lesson in lessons(name):
        assert not lesson.idle, lesson.stage


@pytest.mark.parametrize("name", METHODS)
def test_prediction_reads_what_is_declared_and_the_truth_only_as_an_oracle(name, ready, batch):
    method = ready(name).method.eval()
    recorded = RecordedBatch(batch())
    with torch.no_grad():
        method(recorded)
    assert recorded.read <= {"image"} | method.requires
    assert recorded.read <= INPUTS | ORACLES[method.oracle]


@pytest.mark.parametrize("name", METHODS)
def test_prediction_needs_no_more_than_is_declared(name, ready, batch):
    method = ready(name).method.eval()
    whole = batch()
    bare = {key: whole[key] for key in ("image", *method.requires)}
    with torch.no_grad():
        expected, found = method(whole), method(bare)
    if expected.depth is not None:
        assert torch.equal(found.depth, expected.depth)
