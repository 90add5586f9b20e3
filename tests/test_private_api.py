"""Private parts of libraries are used in one file a library, whose name ends in ``_internals.py``, and nowhere else."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("experiments", "datamodules")

#: What begins with an underscore and is public nevertheless: methods of named tuples.
PUBLIC = {"_replace", "_asdict", "_make", "_fields"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def private_uses(tree: ast.Module) -> Iterator[str]:
    """Private names that a file takes of others: imported, or read off anything that it does not define itself."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    own |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (f"{node.lineno}: {part}" for part in parts if is_private(part))
        elif isinstance(node, ast.Import):
            parts = [part for alias in node.names for part in alias.name.split(".")]
            yield from (f"{node.lineno}: {part}" for part in parts if is_private(part))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield f"{node.lineno}: {node.attr}"
        elif isinstance(node, ast.ClassDef):  # an override of a private step of a library's class is a use of it
            calls = [n for n in ast.walk(node) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Call)]
            supers = {n.attr for n in calls if getattr(n.value.func, "id", "") == "super" and is_private(n.attr)}
            yield from (f"{node.lineno}: super().{name}" for name in sorted(supers))


SOURCES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.endswith("_internals.py")])
def test_a_module_uses_no_private_part_of_another(path):
    assert list(private_uses(ast.parse((ROOT / path).read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from torch._subclasses import fake_tensor",
        "import wandb._internal",
        "def f(trainer):\n    return trainer._checkpoint_connector",
        "class A(B):\n    def _step(self):\n        super()._step()",
    ],
)
def test_a_private_use_is_caught(source):
    assert list(private_uses(ast.parse(source)))


def test_own_private_names_are_no_private_use():
    source = (
        "class A:\n  _set = 1\n  def _own(self):\n    self._kept = 1\n    return self._own(), self._kept, self._set"
    )
    assert not list(private_uses(ast.parse(source)))
