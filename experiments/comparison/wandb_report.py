"""The same comparison on Weights & Biases: a workspace and a report, where W&B is online."""

import importlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb

from datamodules.files import write_text_atomically
from experiments.comparison.run_records import RunRecord
from experiments.results.metric_facts import sign_of
from experiments.results.run_files import read_json

NAME = "segdepth comparison"

#: Metrics that get a panel of their own on each test set, where they are measured.
TEST_METRICS = ("abs_rel", "rmse", "delta1", "boundary_acc", "boundary_comp", "object_abs_rel")

#: Pictures that runs log.
MEDIA = ("test/panels", "test/worst")


@dataclass(frozen=True)
class Modules:
    """The package `wandb-workspaces`: ``workspaces`` and ``reports`` (version 2)."""

    workspaces: Any
    reports: Any


def publish(runs: Sequence[RunRecord], project: str, memory: Path) -> str:
    """Create the workspace and the report, or update those made before.

    Args:
        runs: runs whose test sets get panels; W&B shows all runs of the project, grouped by experiment.
        project: W&B project, or ``entity/project``.
        memory: JSON file that keeps the addresses of both from one call to the next.

    Returns:
        A line that says where they are, or how to get them; a failure of the network is such a line too.
    """
    if os.environ.get("WANDB_MODE", "online") != "online" or not wandb.login(prompt=False, verify=False):
        return "W&B: offline; `wandb login` and `wandb sync` bring the runs there, and compare then makes a report"
    try:
        names = ("wandb_workspaces.workspaces", "wandb_workspaces.reports.v2")
        modules = Modules(*(importlib.import_module(name) for name in names))
    except ImportError:
        return "W&B: `pip install 'segdepth[dashboard]'` for a workspace and a report there"
    try:
        entity, _, name = project.rpartition("/")
        owner = entity or wandb.Api().default_entity or ""
        return "W&B: " + ", ".join(save(modules, owner, name, panel_keys(runs), memory))
    except Exception as error:  # whatever the service says: the page is already written
        return f"W&B: no workspace or report ({' '.join(str(error).split()) or type(error).__name__})"


def panel_keys(runs: Sequence[RunRecord]) -> list[str]:
    """Return ``test/<data set>/<metric>`` of those metrics that get a panel."""
    measured = {(result.dataset, name) for run in runs for result in run.results for name in result.metrics}
    return [
        f"test/{dataset}/{name}"
        for dataset in sorted({dataset for dataset, _ in measured})
        for name in TEST_METRICS
        if (dataset, name) in measured
    ]


def save(modules: Modules, entity: str, project: str, metrics: Sequence[str], memory: Path) -> list[str]:
    """Save workspace and report, and remember their addresses.

    Returns:
        Addresses of workspace and report.
    """
    known = read_json(memory)
    own = known.get(f"{entity}/{project}", {})
    made = {
        "workspace": make_workspace(modules, entity, project, metrics),
        "report": make_report(modules, entity, project, metrics),
    }
    classes = {"workspace": modules.workspaces.Workspace, "report": modules.reports.Report}
    contents = {"workspace": ("sections", "runset_settings"), "report": ("blocks",)}
    addresses = {}
    for kind, new in made.items():
        target = load(classes[kind], own.get(kind)) or new
        for name in contents[kind]:
            setattr(target, name, getattr(new, name))
        addresses[kind] = target.save().url
    write_text_atomically(memory, json.dumps({**known, f"{entity}/{project}": addresses}, indent=2))
    return list(addresses.values())


def load(kind: Any, address: str | None) -> Any:
    """Return a workspace or report saved before; None if there is none, or it was deleted since."""
    try:
        return kind.from_url(address) if address else None
    except Exception:  # the package raises what GraphQL answers, of no one class
        return None


def panels(reports: Any, metrics: Sequence[str]) -> dict[str, list[Any]]:
    """Map section titles to their panels; new ones at each call, as the package gives each an id."""
    curves = ("val/abs_rel", "val/delta1", "train/loss")
    return {
        "Curves": [reports.LinePlot(title=name, x="trainer/global_step", y=[name]) for name in curves],
        "Test metrics": [
            reports.BarPlot(title=f"{name} ({in_words(name)})", metrics=[name], groupby="group") for name in metrics
        ],
        "Pictures": [reports.MediaBrowser(title=name, media_keys=[name], num_columns=2) for name in MEDIA],
        "Configuration": [reports.RunComparer(diff_only="split")],
    }


def in_words(metric: str) -> str:
    """Return which way a metric is better."""
    return {1: "higher is better", -1: "lower is better", 0: "a count"}[sign_of(metric)]


def make_workspace(modules: Modules, entity: str, project: str, metrics: Sequence[str]) -> Any:
    """Return the workspace, not yet saved."""
    module = modules.workspaces
    return module.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=[
            module.Section(name=title, panels=parts, is_open=True)
            for title, parts in panels(modules.reports, metrics).items()
        ],
        runset_settings=module.RunsetSettings(groupby=[module.Metric("Group")]),
    )


def make_report(modules: Modules, entity: str, project: str, metrics: Sequence[str]) -> Any:
    """Return the report, not yet saved."""
    module = modules.reports
    blocks = []
    for title, parts in panels(module, metrics).items():
        runset = module.Runset(entity=entity, project=project, groupby=["group"])
        blocks += [module.H2(title), module.PanelGrid(runsets=[runset], panels=parts)]
    return module.Report(entity=entity, project=project, title=NAME, blocks=blocks, width="fluid")
