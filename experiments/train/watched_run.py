"""What a run tells its logger and callbacks, by an argument of theirs that LightningCLI links."""

from collections.abc import Callable

from lightning.pytorch.cli import LightningArgumentParser

from callbacks.records.this_run import ThisRun
from experiments.config.run_settings import RunSettings
from experiments.results.published import tables_of

#: Arguments that get the run, of the configured logger and callbacks that take one of this name. Nothing is linked to
#: options by names such as ``save_dir`` or ``monitor``: a user's own logger, or EarlyStopping, has those as well.
TARGETS = ("trainer.logger.init_args.this_run", "trainer.callbacks.init_args.this_run")


def link_run(parser: LightningArgumentParser, told: Callable[[RunSettings], ThisRun]) -> None:
    """Link ``run`` to the argument ``this_run`` of the configured logger and callbacks that take one.

    Args:
        parser: with ``run`` and ``trainer``.
        told: makes of a run what they are told.
    """
    for target in TARGETS:
        parser.link_arguments("run", target, compute_fn=told, apply_on="instantiate")


def watched_run(run: RunSettings, command: str, method: str) -> ThisRun:
    """Return what the logger and the callbacks of a run are told.

    Args:
        run: settled.
        command: ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.
        method: name of the method's class.
    """
    tables = tables_of(str(run.experiment))
    papers = dict.fromkeys(table.partition("/")[0] for table in tables)
    return ThisRun(
        place=run.place,
        experiment=str(run.experiment),
        name="/".join(filter(None, (run.experiment, run.name, run.test_name))),
        group=" ".join(tables) or str(run.experiment),
        command=command,
        tags=(*run.tags, method, *papers, *tables),
        monitor=run.monitor,
    )
