"""`segdepth table`: published results of the four papers beside measured ones."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from experiments.results.finished_runs import RunResult
    from experiments.results.measured import Choice
    from experiments.results.published import PublishedTable

Format = Literal["markdown", "latex", "csv"]


def table(
    tables: Sequence[str] = (),
    /,
    *,
    runs_root: Path = Path("runs"),
    test: str = "",
    format: Format = "markdown",
    output: Path | None = None,
    runs: Literal["latest", "mean"] = "latest",
) -> None:
    """Print published results beside those of finished runs, with the difference, or write them into a file.

    Args:
        tables: a paper, such as shed, or a table, such as shed/table2; all by default.
        runs_root: folder of all runs.
        test: a further test of each run, instead of its own.
        format: markdown, latex or csv.
        output: file to write; standard output by default.
        runs: the latest run of an experiment that compares best, or the mean over the latest run of each seed.

    Raises:
        ConfigError: for an unknown table, or a run whose files cannot be read.
    """
    from datamodules.files import write_text_atomically
    from experiments.results.finished_runs import read_runs
    from experiments.results.published import read_published, select_tables

    selected = select_tables(read_published(), tables)
    results = read_runs(runs_root, test=test)
    if not results:
        named = f" with a test `{test}`" if test else ""
        print(f"no finished run{named} under {runs_root}: nothing is measured yet", file=sys.stderr)
    text = table_text(selected, results, runs, format)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text_atomically(output, text)
        print(output)


def table_text(
    tables: "Sequence[PublishedTable]",
    results: "Sequence[RunResult]",
    choice: "Choice" = "latest",
    form: Format = "markdown",
) -> str:
    """Return published tables with measured results, and tables of what was measured on Rooms.

    Args:
        tables: published ones.
        results: results of all runs that may be shown, oldest first.
        choice: see :func:`~experiments.results.measured.measure`.
        form: ``markdown``, ``latex`` or ``csv``.

    Raises:
        ConfigError: if a record of a run cannot be read.
    """
    from experiments.results.table_formats import to_csv, to_latex, to_markdown
    from experiments.results.table_layout import published_sheet, records, rooms_sheet

    if form == "csv":
        return to_csv([line for table in tables for line in records(table, results, choice)])
    pairs = [(published_sheet(table, results, choice), rooms_sheet(table, results, choice)) for table in tables]
    sheets = [sheet for pair in pairs for sheet in pair if sheet is not None]
    return to_markdown(sheets) if form == "markdown" else to_latex(sheets)
