"""A run's model as a folder to share, with its model card."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from callbacks.checkpoints.checkpoint_io import load_mapped
from datamodules.files import printable
from experiments.config.error import ConfigError
from experiments.export.finished_model import run_configuration
from experiments.inference.released_model import ReleasedModel
from experiments.inference.run_choice import choose_checkpoint, name_weights, open_trained
from experiments.results.finished_runs import RunResult, read_run
from experiments.results.metric_facts import facts_on
from experiments.train.quiet import quieten

#: Metrics that a card shows, where the run has them; all others stay in the run's folder.
SHOWN = ("abs_rel", "rmse", "log10", "silog", "delta1", "delta2", "delta3")

#: Options of the data that name places on this machine, which nobody else has.
PLACES = {"root": ".", "store": None}


def write_release(run: str, output: Path | None, checkpoint: Literal["best", "last"] | None, runs_root: Path) -> None:
    """Write a run's model as a folder; for arguments and errors see :func:`experiments.inference.hub.hub`."""
    quieten()
    released, folder = release(run, runs_root, checkpoint)
    output = output or folder / "export" / "hub"
    if output.exists():
        raise ConfigError(f"{printable(output)}: is there already; name another folder (`--output`)")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as partial:
        whole = Path(partial) / output.name
        released.save_pretrained(whole)
        whole.rename(output)
    names = ", ".join(sorted(path.name for path in output.iterdir()))
    print(f"{printable(output)}: {names}; no licence is named: add one to README.md")


def release(run: str, root: Path, which: str | None) -> tuple[ReleasedModel, Path]:
    """Return the model of a run with its weights, as it is shared, and the run's folder.

    Args:
        run: folder of a run, a checkpoint in one, or an experiment.
        root: folder of all runs.
        which: ``best`` or ``last``; None takes the one that the run was tested with.

    Raises:
        ConfigError: if there is no such run, or it cannot be used, in one line.
    """
    trained, environment = open_trained(run, root, which)
    sections = run_configuration(trained.folder).config
    options = sections["data"].get("init_args", {})
    options |= {name: value for name, value in PLACES.items() if name in options}
    content = load_mapped(trained.checkpoint)
    tested = choose_checkpoint(str(trained.folder), root, None)[1].resolve() == trained.checkpoint.resolve()
    released = ReleasedModel(
        configuration={"model": sections["model"], "data": sections["data"], "precision": trained.precision},
        record={
            "source": name_weights(trained),
            "stage": content.get("stage"),
            "training_camera": environment.get("training_camera"),
            "data": {"input_size": environment.get("data", {}).get("input_size")},
            "card": {
                "title": trained.experiment,
                "method": type(trained.module).__name__,
                "metres": trained.module.protocol.alignment == "none",
                "training": describe_training(environment, name_weights(trained)),
                "tests": [describe_test(result) for result in (read_run(trained.folder) if tested else [])],
            },
        },
    )
    released.model.load_state_dict(trained.module.state_dict())
    return released.eval(), trained.folder


def describe_training(environment: Mapping[str, Any], source: str) -> dict[str, str]:
    """Return what a card says of the training, from a run's ``environment.json``; what is not recorded is left out."""
    data, packages = environment.get("data", {}), environment.get("packages", {})
    frames = data.get("frames", {}).get("train")
    said = {
        "run": source,
        "data": f"{data.get('name')}, {frames} frames" if frames is not None else data.get("name"),
        "seed": environment.get("seed"),
        "started": environment.get("started"),
        "segdepth": " ".join(filter(None, (packages.get("segdepth"), environment.get("commit", "")[:7]))),
        "torch": packages.get("torch"),
    }
    return {name: str(value) for name, value in said.items() if value not in (None, "")}


def describe_test(result: RunResult) -> dict[str, Any]:
    """Return what a card says of a test: its data, its protocol, and rows of metrics with units."""
    protocol = result.tested_with[1].get("model", {}).get("init_args", {}).get("protocol", {})
    rows = []
    for name in (name for name in SHOWN if name in result.metrics):
        facts, baseline = facts_on(name), result.metrics.get(f"baseline_{name}")
        better = "" if facts.higher_is_better is None else ", higher is better" if facts.higher_is_better else ""
        unit = f" [{facts.unit}]" if facts.unit else ""
        value = f"{result.metrics[name]:.4f}"
        rows.append(
            {"name": f"{name}{unit}{better}", "value": value, "baseline": "" if baseline is None else f"{baseline:.4f}"}
        )
    note = f" ({result.oracle})" if result.oracle else ""
    return {"data": result.dataset, "note": note, "protocol": protocol.get("name", "not recorded"), "rows": rows}
