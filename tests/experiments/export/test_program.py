"""`torch.export` of methods: the file agrees with the method, and needs nothing of the suite."""

import json
import subprocess
import sys

import pytest
import torch

from experiments.__main__ import main
from experiments.export.program import DESCRIPTION, export_program
from lightning_modules import SHED, DPTHybrid
from lightning_modules.metrics import EvalProtocol
from tests.experiments.conftest import tiny

SIZE = 64
SMALL = {"backbone": "resnet18+vit_tiny_patch16_224", "width": 16, "pretrained": False}
METHODS = {"dpt": (DPTHybrid, {}), "shed": (SHED, {"segments": (8, 4), "blocks_per_stage": 3})}

#: Loads a file in a process without the suite, and writes its depth of saved inputs.
LOADER = """
import sys, torch
program, inputs, output = sys.argv[1:]
depth = torch.export.load(program).module()(torch.load(inputs))["depth"]
assert not any(name.split(".")[0] in ("lightning_modules", "timm", "lightning") for name in sys.modules)
torch.save(depth, output)
"""


def make(name):
    torch.manual_seed(0)
    method, own = METHODS[name]
    return method(protocol=EvalProtocol("plain", min_depth=0.1, max_depth=10.0), **SMALL, **own).eval()


def make_batch(images, seed=0):
    cell = torch.arange(SIZE) // 16
    superpixels = (cell[:, None] * (SIZE // 16) + cell).repeat(images, 1, 1)
    superpixels[0][superpixels[0] == 15] = 14  # an empty id
    image = torch.randn(images, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
    return {"image": image, "superpixels": superpixels}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_the_file_needs_torch_alone_and_takes_any_number_of_images(name, tmp_path):
    method, path = make(name), tmp_path / "method.pt2"
    assert export_program(method, make_batch(1), path) < 1e-4
    inputs = {key: value for key, value in make_batch(3, seed=1).items() if key in {"image", *method.requires}}
    torch.save(inputs, tmp_path / "inputs.pt")
    arguments = [path, tmp_path / "inputs.pt", tmp_path / "depth.pt"]
    subprocess.run([sys.executable, "-c", LOADER, *map(str, arguments)], check=True, cwd=tmp_path)
    with torch.no_grad():
        expected = method(make_batch(3, seed=1)).depth
    torch.testing.assert_close(torch.load(tmp_path / "depth.pt"), expected, rtol=1e-4, atol=0)

    extra = {DESCRIPTION: ""}
    torch.export.load(path, extra_files=extra)
    described = json.loads(extra[DESCRIPTION])
    assert described["method"] == type(method).__name__
    assert described["inputs"]["image"] == {"shape": ["images", 3, SIZE, SIZE], "dtype": "float32"}
    assert described["inputs"].keys() == inputs.keys()
    assert described["image"]["mean"] == list(method.normalization[0])


def test_what_cannot_be_written_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"`method\.onnx`"):
        export_program(make("dpt"), make_batch(1), tmp_path / "method.onnx")
    with pytest.raises(ValueError, match="SHED cannot be exported without superpixels"):
        export_program(make("shed"), {"image": make_batch(1)["image"]}, tmp_path / "method.pt2")


@pytest.mark.slow
def test_a_finished_run_is_exported(workplace, capsys):
    main(["fit", *tiny("shed_hybrid"), "--run.name", "one", "--trainer.logger", "false"])
    main(["export", "program", "shed_hybrid"])
    output = capsys.readouterr().out
    path = workplace / "runs" / "shed_hybrid" / "one" / "export" / "shed_hybrid.pt2"
    assert path.is_file()
    assert "shed_hybrid.pt2: 48x64 pixels, any number of images" in output
    with pytest.raises(SystemExit):
        main(["export", "program", "shed_hybrid", "--output", "shed.onnx"])
    assert "`.pt2` file, not `shed.onnx`" in capsys.readouterr().err
