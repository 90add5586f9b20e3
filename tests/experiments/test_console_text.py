"""Names and values with square brackets come out as they are: rich would take them for markup."""

import ast
from pathlib import Path

import pytest
from rich.console import Console

from experiments.grid.ranking import table
from experiments.grid.search_space import Sweep
from experiments.results.run_folder import RunSettings
from experiments.train.banner import print_banner
from lightning_modules.metrics import EvalProtocol

ROOT = Path(__file__).parents[2]
PACKAGES = ("experiments", "callbacks", "datamodules", "lightning_modules", "segdepth")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_output_is_read_as_markup(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            of_data = node.func.id == "TextColumn" and "{" in ast.unparse(node.args[0])
            if node.func.id == "Console" or of_data:
                given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                assert given.get("markup") == "False", f"{path}:{node.lineno}: {node.func.id} without `markup=False`"


def test_values_of_a_sweep(capsys):
    sweep = Sweep(
        "lr[a=1]", Path("x.yaml"), "grid", "test/rooms/rmse", "minimize", {"model.init_args.x[0]": {}}, (), None
    )
    row = {"model.init_args.x[0]": "[/data/x.ckpt]", "test/rooms/rmse": 0.5, "status": "finished"}
    Console(width=120, markup=False).print(table(sweep, [row]))
    said = capsys.readouterr().out
    assert "[/data/x.ckpt]" in said
    assert "lr[a=1]" in said
    assert "x[0]" in said


def test_names_of_a_run(capsys):
    model = type("Method", (), {"protocol": EvalProtocol("plain", min_depth=0.1, max_depth=10.0)})()
    print_banner(RunSettings(experiment="lr[a=1]", name="[b]"), "", model, {"name": "my[set]", "frames": {"train": 2}})
    said = capsys.readouterr().out
    assert "lr[a=1]: Method on my[set] (2 train frames)" in said
    assert "runs/lr[a=1]/[b]" in said
