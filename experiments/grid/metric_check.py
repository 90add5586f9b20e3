"""Refuses, before any run starts, a sweep that ranks by a metric which its runs would not have."""

from collections.abc import Sequence
from functools import cache

from experiments.config.arguments import take_flag
from experiments.config.compose import ConfigError, compose
from experiments.config.parts import parse_parts, parts_parser
from experiments.config.suggest import nearest
from experiments.grid.jobs import Job
from experiments.grid.search_space import Sweep


def check_metric(sweep: Sweep, jobs: Sequence[Job]) -> None:
    """Check that every run logs the sweep's metric, if it is a validation metric.

    Args:
        sweep: the sweep.
        jobs: jobs of its points.

    Raises:
        ConfigError: naming file, metric and run, if it is misspelt, or nothing is held out to validate on.
    """
    if not sweep.metric.startswith("val/"):
        return
    metric = sweep.metric.removeprefix("val/")
    for named in dict.fromkeys(tuple(take_flag(job.arguments[1:], "--config", "-c")[0]) for job in jobs):
        _check_name(sweep, named)
    unvalidated = cache(_unvalidated)  # most points differ in flags of the method only
    for job in jobs:
        configs, flags = take_flag(job.arguments[1:], "--config", "-c")
        name = unvalidated(tuple(configs), tuple(flag for flag in flags if flag.startswith("--data.")))
        if name is not None:
            raise ConfigError(
                f"{sweep.path}: key `metric.name`: {job.experiment} on {name} has no `{sweep.metric}`, as nothing is "
                "held out for validation: set `data.init_args.val_scenes` (`-- --data.init_args.val_scenes=0.1`), or "
                f"rank by a test metric, `test/{name}/{metric}`"
            )


def _check_name(sweep: Sweep, configs: tuple[str, ...]) -> None:
    """Refuse a misspelt validation metric, of a method of the suite; others may log metrics of their own."""
    method = str((compose(configs).config.get("model") or {}).get("class_path", ""))
    if not method.startswith("lightning_modules.") or sweep.metric.startswith("val/loss_"):
        return
    from lightning_modules.metrics.depth_errors import KEYS

    known = ["val/loss", *(f"val/{name}" for name in KEYS)]
    if sweep.metric not in known and (near := nearest(sweep.metric, known)):
        raise ConfigError(
            f"{sweep.path}: key `metric.name`: validation has no metric `{sweep.metric}`; did you mean `{near[0]}`?"
        )


def _unvalidated(configs: tuple[str, ...], flags: tuple[str, ...]) -> str | None:
    """Return the data that a run would train on without validation; None if it validates, or has no data to ask."""
    composition = compose(configs, flags)
    if "class_path" not in (composition.config.get("data") or {}):
        return None
    parser = parts_parser()
    options = parse_parts(parser, {"data": composition.config["data"]}, flags, composition)
    datamodule = parser.instantiate(options).data
    return None if datamodule.validates else datamodule.name
