"""A trained method as one file that needs torch and nothing of the suite, through `torch.export`."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from datamodules.files import printable
from datamodules.sample import collate
from experiments.config.arguments import Changes
from experiments.config.error import ConfigError
from experiments.export.choices import RunChoice
from experiments.export.finished_model import open_run
from experiments.train.quiet import quieten
from lightning_modules import DepthModule
from lightning_modules.networks.shed.assignment_reference import seeded_assignment_reference

#: Name of the description inside the file.
DESCRIPTION = "segdepth.json"

#: The suite's own operators, in terms of torch's: the file then loads where the suite is not installed.
DECOMPOSITIONS = {torch.ops.segdepth.seeded_assignment.default: seeded_assignment_reference}


class Exportable(nn.Module):
    """A method with a dictionary of tensors as argument and as result."""

    def __init__(self, method: DepthModule):
        super().__init__()
        self.method = method

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor | list[Tensor]]:
        """Return the fields of :class:`~lightning_modules.prediction.Prediction` that the method fills."""
        prediction = self.method(batch)
        values = {field.name: getattr(prediction, field.name) for field in fields(prediction)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor) or value}


def export_program(method: DepthModule, batch: Mapping[str, Any], path: Path) -> float:
    """Write ``method`` as an exported program, on the device it is on, for images of the size of the batch's.

    The number of images stays free. ``torch.export.load(path).module()({"image": ..., ...})`` predicts; the keys are
    ``image`` and what the method ``requires``, and the result is a dictionary of the fields of
    :class:`~lightning_modules.prediction.Prediction`, depth in metres. The file also holds ``segdepth.json``: method,
    shapes of the inputs and normalisation of the image.

    Args:
        method: with its weights.
        batch: of a data module, or its like: one image or more.
        path: file to write, ``*.pt2``.

    Returns:
        The largest difference between an output of the file, loaded again, and of the method, on the batch.

    Raises:
        ValueError: if the batch lacks a key that the method reads, or the file has another suffix.
    """
    if path.suffix != ".pt2":
        raise ValueError(f"an exported program is a `.pt2` file, not `{path.name}`")
    names = ("image", *sorted(method.requires))
    if missing := set(names) - batch.keys():
        raise ValueError(
            f"{type(method).__name__} cannot be exported without {', '.join(sorted(missing))} in the batch"
        )
    inputs = {name: batch[name].to(method.device) for name in names}
    training = method.training
    exportable = Exportable(method).eval()
    with torch.no_grad():
        program = trace(exportable, inputs)
        torch.export.save(program, path, extra_files={DESCRIPTION: json.dumps(describe(method, inputs), indent=2)})
        difference = largest_difference(torch.export.load(path).module()(inputs), exportable(inputs))
    method.train(training)
    return difference


def trace(exportable: Exportable, inputs: dict[str, Tensor]) -> ExportedProgram:
    """Return the program, in torch's own operators; it takes any number of images."""
    example = {name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in inputs.items()}  # of one, it would not
    images = Dim("images", min=1)
    shapes = {name: {0: images} for name in example}
    program = torch.export.export(exportable, (example,), dynamic_shapes={"batch": shapes})
    return program.run_decompositions(DECOMPOSITIONS)


def describe(method: DepthModule, inputs: dict[str, Tensor]) -> dict[str, Any]:
    """Return what one must know to call the program."""
    mean, std = method.normalization
    return {
        "method": type(method).__name__,
        "inputs": {
            name: {"shape": ["images", *value.shape[1:]], "dtype": str(value.dtype).removeprefix("torch.")}
            for name, value in inputs.items()
        },
        "image": {"channels": "RGB in [0, 1], (image - mean) / std", "mean": list(mean), "std": list(std)},
        "depth": "metres",
    }


def largest_difference(outputs: Any, expected: Any) -> float:
    """Return the largest difference between two nested results, over their floating-point tensors."""
    pairs = zip(_tensors(outputs), _tensors(expected), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs if a.is_floating_point())


def _tensors(nested: Any) -> list[Tensor]:
    """Return all tensors of a nested result, in order."""
    found: list[Tensor] = []
    apply_to_collection(nested, Tensor, found.append)
    return found


def export_run(name: str, changes: Changes, where: RunChoice) -> None:
    """Write a finished run's method, and say how well the file agrees with it.

    Raises:
        ConfigError: if there is no such run, or it cannot be written so.
    """
    quieten()
    run = open_run(name, where.runs_root, where.checkpoint, changes)
    path = where.output or run.folder / "export" / f"{run.experiment}.pt2"
    path.parent.mkdir(parents=True, exist_ok=True)
    run.datamodule.setup("test")
    sample = run.datamodule.test_set[0]
    try:
        difference = export_program(run.module, collate([sample]), path)
    except ValueError as error:
        raise ConfigError(f"{run.experiment}/{run.run}: {error}") from error
    height, width = sample["image"].shape[-2:]
    print(f"{printable(path)}: {height}x{width} pixels, any number of images; differs from the run by {difference:.1e}")
