"""`segdepth data`: what of the data is there, whether it can be read, a faster copy of it, and a picture of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from experiments.config.arguments import Changes

if TYPE_CHECKING:
    from datamodules import DepthDataModule


def status(data_root: Path | None = None) -> None:
    """Print which data sets are found, and where the others come from; nothing is downloaded.

    Args:
        data_root: folder that holds a folder per data set; DATA_ROOT by default.

    Raises:
        ConfigError: if neither names a folder.
    """
    from experiments.datasets.status import print_status

    print_status(data_root)


def verify(changes: Changes, /, *, report: Path | None = None, workers: int | None = None) -> None:
    """Read every frame of every part, and name each that is broken.

    Args:
        changes: the data set.
        report: JSON file to write the findings to.
        workers: processes that read; up to 8 by default, no more than there are free cores.

    Raises:
        SystemExit: with status 1, if a frame is broken.
    """
    from experiments.datasets import verify

    verify.verify(open_data("verify", changes), report, workers)


def convert(
    changes: Changes,
    /,
    *,
    output: Path,
    compression: Literal["lzf"] | None = None,
    workers: int | None = None,
) -> None:
    """Write a copy of a data set that random access reads fast; one that was interrupted is resumed.

    Args:
        changes: the data set.
        output: folder of the copy.
        compression: lzf takes less space; null reads fastest.
        workers: processes that read; up to 8 by default, no more than there are free cores.

    Raises:
        ConfigError | ValueError: for a folder or a disk that cannot take it.
    """
    from experiments.datasets import convert

    convert.convert(open_data("convert", changes), output, compression, workers)


def preview(
    changes: Changes,
    /,
    *,
    frames: int = 6,
    output: Path = Path("preview.png"),
    part: Literal["train", "val", "test"] = "train",
) -> None:
    """Draw frames, evenly spread over a part of a data set, one a row, with their depth and labels.

    Args:
        changes: the data set.
        frames: how many.
        output: PNG file to write.
        part: of the data set.

    Raises:
        ConfigError: if the part has no frames, or none are asked for.
    """
    from experiments.datasets import preview

    preview.preview(open_data("preview", changes), frames, output, part)


def open_data(command: str, changes: Changes) -> "DepthDataModule":
    """Return the data module that a command line names.

    Args:
        command: ``verify``, ``convert`` or ``preview``.
        changes: what the command line says of the data.

    Raises:
        ConfigError: if it names none, or cannot be used.
    """
    from experiments.config.compose import ConfigError, compose
    from experiments.config.idle_options import refuse_idle
    from experiments.config.parts import parse_parts, parts_parser

    composition = compose(changes.names, changes.flags)
    config = {"data": composition.config.get("data", {})}
    named = {flag.partition("=")[0] for flag in changes.flags} & {"--data", "--data.class_path"}
    if "class_path" not in config["data"] and not named:
        raise ConfigError(f"`segdepth data {command}` needs a data set: segdepth data {command} nyuv2")
    parser = parts_parser()
    options = parse_parts(parser, config, changes.flags, composition)
    refuse_idle(command, composition.flags)
    module: DepthDataModule = parser.instantiate(options).data
    module.prepare_data()
    return module
