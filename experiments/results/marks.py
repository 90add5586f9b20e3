"""Marks that tables put behind the name of a method: truth that it reads in tests, and what truth is known up to."""

from functools import cache
from pydoc import locate
from typing import Any

from experiments.config.compose import experiment_names, written_section


@cache
def oracle_of(experiment: str) -> str:
    """Return the truth that an experiment of the suite reads in tests, such as ``semantics``; empty for none.

    A run's own record goes before it: what a command line changes of a method, it alone knows.

    Args:
        experiment: name of an experiment; any other name reads nothing.
    """
    if experiment not in experiment_names():
        return ""
    model = written_section(experiment, "model")
    method: Any = locate(model["class_path"])
    return str(method.oracle_of(model.get("init_args") or {}))


def oracle_mark(truth: str) -> str:
    """Return the mark of a method that reads ground truth at test time, for tables and pictures; empty for any other.

    Args:
        truth: what it reads, such as ``semantics``, as ``DepthModule.oracle`` says.
    """
    return f"oracle {truth}" if truth else ""


def truth_mark(truth: str) -> str:
    """Return the mark of metrics against relative truth, for tables; empty for metric truth.

    Args:
        truth: what it is known up to, such as ``scale_and_shift``, as a run's record says it of the data.
    """
    return f"truth up to {truth.replace('_', ' ')}" if truth and truth != "metric" else ""
