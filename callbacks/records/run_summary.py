"""The end of a run: `metrics.json`, a table of the metrics, and where everything lies."""

import json
import math
import os
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from rich.console import Console
from rich.table import Table

from callbacks.lightning_internals import datamodule_of, is_fast_dev_run
from callbacks.records.run_logger import RunLogger
from callbacks.records.this_run import ThisRun
from datamodules.files import set_aside, write_text_atomically
from lightning_modules.metrics import describe
from lightning_modules.metrics.boundary import empty_remark


def merge_json(path: Path, metrics: dict[str, float]) -> None:
    """Add metrics to a flat JSON file, atomically; earlier metrics under other keys stay.

    A file that cannot be read is renamed to ``.broken``. A metric that is not finite becomes ``null``: JSON has no word
    for it.

    Raises:
        WriteError: if the file cannot be written.
    """
    earlier: dict[str, Any] = {}
    if path.exists():
        try:
            earlier = dict(json.loads(path.read_text(encoding="utf-8")))
        except (TypeError, ValueError) as error:
            set_aside(path, error)
    added = {key: value if math.isfinite(value) else None for key, value in metrics.items()}
    write_text_atomically(path, json.dumps({**earlier, **added}, indent=2, sort_keys=True))


def remarks_of(trainer: Trainer, name: str) -> tuple[str, ...]:
    """Return what must be said of a test set's frames beside metrics."""
    return tuple(getattr(_test_set(trainer, name), "remarks", ()))


def truth_of(trainer: Trainer, name: str) -> str:
    """Return what titles say of a test set's truth: what it is known up to; nothing where it is metric."""
    truth = getattr(_test_set(trainer, name), "truth", "metric")
    return "" if truth == "metric" else f" (truth up to {truth.replace('_', ' ')})"


def _test_set(trainer: Trainer, name: str) -> Any:
    """Return a test set by its name; None where there is none."""
    datamodule = datamodule_of(trainer)
    sets = datamodule.test_sets() if hasattr(datamodule, "test_sets") else ()
    return next((data for data in sets if data.name == name), None)


class RunSummary(Callback):
    """Write ``metrics.json`` (flat: ``test/<data set>/<metric>``), and print the metrics beside the constant baseline.

    Args:
        method: name of the method, for titles; None takes the experiment's.
        this_run: the run, as the command line tells it.
    """

    def __init__(self, method: str | None = None, this_run: ThisRun | None = None):
        self.method = method or (this_run.experiment if this_run else None)

    def on_test_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Write and print, on global rank zero."""
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        metrics = {key: value.item() for key, value in trainer.callback_metrics.items() if key.startswith("test/")}
        console = Console(markup=False)
        method, truth = self.method or folder.parent.name, pl_module.oracle
        for name in sorted({key.split("/")[1] for key in metrics}):
            # the name of a test that is a callback's, not the method's own, says what the callback gave the method
            own = f"test/{name}" in pl_module.evaluations
            mark = f" (oracle {truth})" if truth and own else ""
            protocol = pl_module.protocols[name] if own else pl_module.protocol_of(0)
            up_to = truth_of(trainer, name)
            title = f"{method}{mark} on {name}{up_to}, {protocol.name}"
            console.print(self.table(name, metrics, title))
            if said := remarks_of(trainer, name):
                console.print(f"{name}: {'; '.join(said)}", highlight=False, markup=False, soft_wrap=True)
            for remark in pl_module.evaluations[f"test/{name}"].remarks if own else ():
                console.print(f"warning: {name}: {remark}", highlight=False, markup=False, soft_wrap=True)
        if not is_fast_dev_run(trainer):  # metrics of a batch or two are nobody's result
            merge_json(folder / "metrics.json", metrics)  # after they are printed: a full disk takes no metric
        left = sorted(path.name for path in folder.glob("[!.]*"))
        console.print(f"  {os.path.relpath(folder)}: {', '.join(left)}", highlight=False, soft_wrap=True)
        if isinstance(trainer.logger, RunLogger):
            console.print(f"  {trainer.logger.sync_hint()}", highlight=False, soft_wrap=True)

    @staticmethod
    def table(name: str, metrics: dict[str, float], title: str) -> Table:
        """Make a table of one data set's metrics, the constant baseline's beside them.

        Its column ``gain`` is the share of the baseline's error that the method removes. Counts that are 0 are left
        out, and details are, unless there is nothing else.

        Args:
            name: of the data set.
            metrics: of all data sets, by key, ``test/<data set>/<metric>``.
            title: of the table.
        """
        prefix = f"test/{name}/"
        own = {key.removeprefix(prefix): value for key, value in metrics.items() if key.startswith(prefix)}
        shown = {metric: value for metric, value in own.items() if not describe(metric).detail} or own
        table = Table("metric", "value", "median depth everywhere", "gain", title=title, title_justify="left")
        more = f"{len(own) - len(shown)} more metrics are in metrics.json" if len(own) > len(shown) else ""
        table.caption = "\n".join(filter(None, (more, empty_remark(own)))) or None
        table.caption_justify = "left"
        for metric, value in shown.items():
            if metric.startswith("baseline_") or (value == 0 and describe(metric).left_out):
                continue
            baseline = own.get(f"baseline_{metric}")
            row = [metric, f"{value:.4f}" if value % 1 else f"{value:.0f}"]
            if baseline is None:
                table.add_row(*row, "", "")
            else:
                has_none = metric.startswith("delta") or math.isnan(value) or not baseline
                gain = "" if has_none else f"{1 - value / baseline:.0%}"
                table.add_row(*row, f"{baseline:.4f}", gain)
        return table
