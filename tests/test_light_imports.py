"""What an import loads: a metric loads torch, torchmetrics and what it computes with, nothing of networks or runs.

Counted in a Python of its own, by the names of loaded packages: times would be those of the machine.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Those that import what they offer when they are asked for it.
PACKAGES = ("lightning_modules", "datamodules", "callbacks", "segdepth")

#: What trains, draws, reads data, or fetches weights.
HEAVY = {
    "lightning", "pytorch_lightning", "timm", "segmentation_models_pytorch", "transformers", "huggingface_hub", "wandb",
    "jsonargparse", "h5py", "rich", "datamodules", "callbacks", "experiments",
}  # fmt: skip


def loaded(statement: str) -> set[str]:
    """Return the packages that a new Python has loaded after a statement."""
    code = f"import json, sys\n{statement}\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.fixture(scope="module")
def torchmetrics_loads():
    """What torchmetrics brings by itself, Matplotlib where it is installed."""
    return loaded("import torch, torchmetrics")


@pytest.mark.parametrize(
    "statement",
    [
        "import segdepth.metrics",
        "import segdepth; segdepth.metrics.DepthErrors",
        "import lightning_modules.metrics",
        "from lightning_modules.metrics import DepthErrors",
        "from lightning_modules.losses import SILogLoss",
    ],
)
def test_a_metric_or_loss_loads_nothing_of_networks_runs_and_data(statement, torchmetrics_loads):
    further = loaded(statement) - torchmetrics_loads
    assert not further & (HEAVY | {"matplotlib"})
    assert "lightning_modules" in further


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_loads_nothing_until_it_is_asked(package):
    assert not loaded(f"import {package}; dir({package})") & {*HEAVY - {package}, "torch", "numpy", "matplotlib"}


@pytest.mark.parametrize("package", PACKAGES[:3])
def test_what_a_package_offers_is_listed_and_found(package):
    module = __import__(package)
    assert dir(module) == sorted(module.__all__)
    assert all(getattr(module, name).__module__.startswith(f"{package}.") for name in module.__all__)
    with pytest.raises(AttributeError, match="Nothing"):
        module.Nothing  # noqa: B018
    with pytest.raises(ImportError, match="Nothing"):
        exec(f"from {package} import Nothing")
