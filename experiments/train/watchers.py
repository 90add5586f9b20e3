"""What the run tells its logger and callbacks, wherever they stand in the configuration."""

from collections.abc import Iterator
from pydoc import locate
from typing import Any

from jsonargparse import Namespace

from callbacks import BestCheckpoint
from callbacks.records.run_logger import RunLogger
from experiments.config.run_settings import RunSettings
from experiments.results.published import tables_of


def configure_watchers(config: Namespace, run: RunSettings, command: str) -> None:
    """Set options of :class:`~callbacks.RunLogger` and :class:`~callbacks.BestCheckpoint`, or of what is made of them.

    Any other logger is the user's own affair.

    Args:
        config: of the command.
        run: where it is written.
        command: ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.
    """
    for logger in _configured(config.trainer.get("logger"), RunLogger):
        tables = tables_of(str(run.experiment))
        method = config.model.class_path.rsplit(".", 1)[-1]
        papers = dict.fromkeys(table.partition("/")[0] for table in tables)
        logger.save_dir = str(run.place)
        logger.name = "/".join(filter(None, (run.experiment, run.name, run.test_name)))
        logger.group = " ".join(tables) or run.experiment
        logger.job_type = command
        logger.tags = [*run.tags, method, *papers, *tables]
    for best in _configured(config.trainer.get("callbacks"), BestCheckpoint):
        if run.monitor is not None:
            best.monitor, best.mode = run.monitor, "min"


def _configured(nodes: Any, kind: type) -> Iterator[Namespace]:
    """Yield the arguments of each class of a kind that a configuration names, alone or in a list."""
    for node in nodes if isinstance(nodes, list) else [nodes]:
        made = locate(node.class_path) if isinstance(node, Namespace) and "class_path" in node else None
        if isinstance(made, type) and issubclass(made, kind):
            yield node.init_args
