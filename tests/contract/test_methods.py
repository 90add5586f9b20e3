"""Every method of the suite is held to the contract, and leaves the steps of training and of tests to `DepthModule`."""

import pytest

import lightning_modules
from lightning_modules import DepthModule
from tests.contract.methods import METHODS
from tests.helpers.imports import offered

STEPS = {"training_step", "validation_step", "test_step", "predict_step"}

#: The suite's methods, by class path.
CLASSES = {
    f"lightning_modules.{name}": value
    for name, value in offered(lightning_modules).items()
    if isinstance(value, type) and issubclass(value, DepthModule) and value is not DepthModule
}


def test_every_method_is_here():
    assert CLASSES.keys() <= {method["class_path"] for method in METHODS.values()}


@pytest.mark.parametrize("path", CLASSES)
def test_no_method_has_steps_of_its_own(path):
    """One that logs or reduces in a step of its own makes processes wait for each other where batches are uneven."""
    own = [ancestor for ancestor in CLASSES[path].__mro__ if ancestor not in DepthModule.__mro__]
    assert not [ancestor for ancestor in own if STEPS & vars(ancestor).keys()]
