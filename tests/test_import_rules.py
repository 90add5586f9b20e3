"""Who may import whom (the design's section 2), read from the source without importing it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ("lightning_modules", "datamodules", "callbacks", "experiments", "segdepth")
TENSOR_PACKAGES = tuple(f"lightning_modules.{part}" for part in ("networks", "losses", "metrics", "backbones"))
FILE_LIBRARIES = ("h5py", "pathlib", "wandb")


@dataclass(frozen=True)
class Rule:
    """What the modules of one room may not import, with the exceptions it may, and whether they may open files."""

    forbidden: tuple[str, ...] = ()
    except_for: tuple[str, ...] = ()
    opens_files: bool = True


TENSORS_ONLY = Rule(
    forbidden=(*HOUSE, "lightning", "pytorch_lightning", *FILE_LIBRARIES),
    except_for=TENSOR_PACKAGES,
    opens_files=False,
)
OF_CALLBACKS = Rule(
    ("datamodules", "experiments", "lightning_modules", "segdepth"),
    except_for=(
        "lightning_modules.prediction",
        "lightning_modules.metrics",
        *(f"datamodules.{part}" for part in ("files", "sample", "classes")),
    ),
)
RULES = {  # the longest prefix of a module's name decides
    **dict.fromkeys(TENSOR_PACKAGES, TENSORS_ONLY),
    "lightning_modules": Rule(
        ("datamodules", "callbacks", "experiments", "segdepth", *FILE_LIBRARIES), opens_files=False
    ),
    "datamodules": Rule(("lightning_modules", "callbacks", "experiments", "segdepth")),
    "callbacks": OF_CALLBACKS,
    "callbacks.pictures": replace(OF_CALLBACKS, forbidden=(*OF_CALLBACKS.forbidden, "callbacks.checkpoints")),
    "callbacks.records": replace(
        OF_CALLBACKS, forbidden=(*OF_CALLBACKS.forbidden, "callbacks.checkpoints", "callbacks.pictures")
    ),
    "callbacks.checkpoints": replace(OF_CALLBACKS, forbidden=(*OF_CALLBACKS.forbidden, "callbacks.pictures")),
    "experiments": Rule(("segdepth",)),
    "segdepth": Rule(opens_files=False),
}


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def rule_for(module: str) -> Rule:
    return RULES[max((room for room in RULES if is_within(module, (room,))), key=len)]


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything imported, at any depth; `package` resolves relative imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            # `from a import b` may bind the module a.b: judged by its full name.
            yield from ((node.lineno, f"{source}.{alias.name}") for alias in node.names)


def file_openings(tree: ast.AST) -> Iterator[int]:
    """Lines that call `open(…)` or `….open(…)`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", None)
            if name == "open":
                yield node.lineno


def violations(source: str, path: str) -> list[str]:
    """Broken rules of one file, given its text and its path from the root of the repository."""
    parts = Path(path).with_suffix("").parts
    package = ".".join(parts[:-1])
    rule = rule_for(package if parts[-1] == "__init__" else ".".join(parts))
    tree = ast.parse(source)
    found = [
        f"{path}:{line} imports {name}"
        for line, name in imports(tree, package)
        if is_within(name, rule.forbidden) and not is_within(name, rule.except_for)
    ]
    if not rule.opens_files:
        found += [f"{path}:{line} opens a file" for line in file_openings(tree)]
    return found


SOURCES = [
    path.relative_to(ROOT).as_posix()
    for room in HOUSE
    for path in sorted((ROOT / room).rglob("*.py*"))
    if path.suffix in (".py", ".pyi")
]


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_imports_only_what_its_room_may(path):
    assert violations((ROOT / path).read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lightning_modules/networks/vit.py", "import lightning as L"),
        ("lightning_modules/networks/vit.py", "from lightning.pytorch import LightningModule"),
        ("lightning_modules/networks/vit.py", "from lightning_modules.prediction import Prediction"),
        ("lightning_modules/networks/shed/pool.py", "from ...depth_module import DepthModule"),
        ("lightning_modules/losses/silog.py", "import wandb"),
        ("lightning_modules/metrics/boundary.py", "import h5py"),
        ("lightning_modules/metrics/__init__.py", "from datamodules.frames import FrameDataset"),
        ("lightning_modules/backbones/registry.py", "def f():\n    from experiments import cli"),
        ("lightning_modules/backbones/registry.py", "weights = open('weights.bin').read()"),
        ("lightning_modules/shed.py", "import torch, datamodules.nyuv2.nyuv2_datamodule"),
        ("lightning_modules/shed.py", "from callbacks import panels"),
        ("lightning_modules/shed.py", "from pathlib import Path"),
        ("lightning_modules/shed.py", "import io\nio.open('x')"),
        ("datamodules/rooms/writer.py", "if TYPE_CHECKING:\n    from lightning_modules.metrics import EvalProtocol"),
        ("datamodules/nyuv2/nyuv2_datamodule.py", "from experiments.train.cli import main"),
        ("callbacks/pictures/panels.py", "from lightning_modules import shed"),
        ("experiments/train/cli.py", "from segdepth import load"),
        ("callbacks/pictures/panels.py", "import lightning_modules.networks.dpt"),
        ("callbacks/pictures/panels.py", "from datamodules.frames import FrameDataset"),
        ("callbacks/records/history.py", "from callbacks.pictures.colors import Picture"),
        ("callbacks/pictures/panels.py", "from callbacks.checkpoints.stop_signals import StopSignals"),
        ("callbacks/checkpoints/test_progress.py", "from callbacks.pictures.worst_cases import Case"),
    ],
)
def test_a_broken_rule_is_caught(path, source):
    assert len(violations(source, path)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lightning_modules/networks/shed/pool.py", "from ..blocks import Block\nfrom . import seeds\nimport timm"),
        ("lightning_modules/networks/dpt.py", "from lightning_modules.backbones import create_backbone"),
        ("lightning_modules/metrics/__init__.py", "from .depth_errors import DepthErrors\nimport torchmetrics"),
        ("lightning_modules/shed.py", "import lightning as L\nfrom lightning_modules.prediction import Prediction"),
        ("datamodules/nyuv2/nyuv2_datamodule.py", "import h5py, lightning\nfrom pathlib import Path\nopen('x')"),
        ("callbacks/pictures/panels.py", "import wandb\nfrom lightning_modules.metrics import DepthErrors"),
        ("callbacks/pictures/panels.py", "from lightning_modules.prediction import Prediction\nopen('x')"),
        ("experiments/train/cli.py", "import callbacks, datamodules, lightning_modules.shed, wandb"),
    ],
)
def test_what_is_allowed_passes(path, source):
    assert violations(source, path) == []
