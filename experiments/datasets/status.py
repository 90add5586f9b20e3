"""`segdepth data status`: what is found where, what is missing, and where to get it."""

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from datamodules.files import printable
from experiments.config.compose import ConfigError
from experiments.datasets.inventory import SOURCES, Finding, find
from experiments.datasets.own_sets import find_own_sets


def print_status(root: Path | None = None) -> None:
    """Print a table of the data sets; nothing is downloaded.

    Args:
        root: folder that holds a folder per data set; None takes DATA_ROOT.

    Raises:
        ConfigError: if neither names a folder.
    """
    if root is None:
        if not os.environ.get("DATA_ROOT"):
            raise ConfigError(
                "DATA_ROOT is not set: set it to the folder that holds nyuv2/ (and the other data sets), or give "
                "`--data_root FOLDER`"
            )
        root = Path(os.environ["DATA_ROOT"])
    root = root.expanduser()
    if not root.is_dir():
        raise ConfigError(
            f"{printable(root)} is not a folder: make it, with a folder per data set such as nyuv2/ in it"
        )
    findings = [find(source, root) for source in SOURCES]
    table = Table(show_lines=True, title=f"Data in {printable(root)}")
    for name in ("folder", "found", "missing"):
        table.add_column(name, overflow="fold")
    for finding in findings:
        table.add_row(f"{finding.source.folder}/", found_lines(finding), missing_lines(finding))
    for own in find_own_sets(root):
        table.add_row(f"{printable(own.folder.name)}/", own.found, own.missing)
    Console(markup=False).print(table)
    for finding in findings:
        if not finding.complete:
            source = finding.source
            print(f"{source.folder}/  {source.title}; licence: {source.licence}")
            print(f"    get it from {source.origin}")
            print(f"    put it into {printable(finding.folder)}/")
    print("Nothing is downloaded by itself. Rooms, the built-in set, needs no files: `--config data/rooms`.")


def found_lines(finding: Finding) -> str:
    """Return frames of each layout, and what is optional."""
    released = {layout.name: layout.released for layout in finding.source.layouts}
    lines = []
    for name, count in finding.frames.items():
        whole = finding.synthetic or released[name] in (None, count)
        lines.append(f"{name}: {count:,}{'' if whole else f' of {released[name]:,}'} frames")
    if finding.synthetic:
        lines.append("synthetic: Rooms in this format")
    return "\n".join([*lines, *finding.present]) or "nothing"


def missing_lines(finding: Finding) -> str:
    """Return damage, what the nearest layout lacks, and, where one is complete, what more there could be."""
    lines = [*(f"damaged: {line}" for line in finding.damaged), *finding.missing]
    if finding.complete:
        lines += [f"optional: {piece.name} ({piece.use})" for piece in finding.absent]
    return "\n".join(lines)
