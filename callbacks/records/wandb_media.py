"""Pictures and tables for W&B, where a run is logged there."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import WandbLogger


def log_pictures(trainer: Trainer, key: str, pictures: Mapping[str, Path]) -> None:
    """Send picture files to W&B under one key, each with its caption.

    Args:
        trainer: whose logger may be W&B's.
        key: name of the pictures there.
        pictures: files by caption.
    """
    if pictures and isinstance(trainer.logger, WandbLogger):
        trainer.logger.log_image(key, [str(path) for path in pictures.values()], caption=list(pictures))


def log_table(trainer: Trainer, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Send a table to W&B.

    Args:
        trainer: whose logger may be W&B's.
        key: name of the table there.
        columns: names of the columns.
        rows: cells of each row, in the order of the columns.
    """
    if isinstance(trainer.logger, WandbLogger):
        trainer.logger.log_table(key, columns=list(columns), data=[list(row) for row in rows])
