"""`segdepth data status`: what is found where, what is missing, and where to get it."""

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from datamodules.files import printable
from datamodules.inventory import SOURCES, Finding, find
from experiments.compose import ConfigError


def status(root: Path | None = None) -> None:
    """Print a table of the data sets; nothing is downloaded.

    Args:
        root: folder that holds a folder per data set; null takes DATA_ROOT.

    Raises:
        ConfigError: if neither names a folder.
    """
    if root is None:
        if not os.environ.get("DATA_ROOT"):
            raise ConfigError(
                "DATA_ROOT is not set: set it to the folder that holds nyuv2/ (and the other data sets), or give "
                "`--root FOLDER`"
            )
        root = Path(os.environ["DATA_ROOT"])
    root = root.expanduser()
    if not root.is_dir():
        raise ConfigError(f"{printable(root)} is not a folder: make it, with a folder per data set such as nyuv2/ in it")
    table = Table("data set", "found", "missing", "where to get it", show_lines=True, title=f"Data in {printable(root)}")
    for source in SOURCES:
        finding = find(source, root)
        table.add_row(*(escape(cell) for cell in (f"{source.folder}/\n{source.title}", *describe(finding))))
    console = Console()
    console.print(table)
    console.print("Rooms, the built-in set, needs no files: `--config data/rooms`.", highlight=False)


def describe(finding: Finding) -> tuple[str, str, str]:
    """What is found, what is missing, and where to get it, each as lines of text."""
    released = {layout.name: layout.released for layout in finding.source.layouts}
    found = []
    for name, count in finding.frames.items():
        of = "" if finding.synthetic or released[name] in (None, count) else f" of {released[name]:,}"
        found.append(f"{name}: {count:,}{of} frames")
    if finding.synthetic:
        found.append("synthetic: Rooms in this format")
    found += [f"with {name}" for name in finding.optional]

    missing = [*finding.missing, *(f"damaged: {line}" for line in finding.damaged)]
    missing += [f"optional: {piece.name} ({piece.use})" for piece in finding.absent if finding.complete]
    origin = "" if finding.complete else f"{finding.source.origin}\nPut it into {printable(finding.folder)}/\n"
    return "\n".join(found) or "nothing", "\n".join(missing), f"{origin}Licence: {finding.source.licence}"
