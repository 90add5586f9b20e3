"""`segdepth table`: published figures of the four papers beside measured ones."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.results.finished_runs import RunResult, read_runs
from experiments.results.measured import Choice
from experiments.results.published import PublishedTable, read_published, select_tables
from experiments.results.table_formats import to_csv, to_latex, to_markdown
from experiments.results.table_layout import published_sheet, records, rooms_sheet


def table(arguments: Sequence[str]) -> None:
    """Print the tables, or write them into a file.

    Raises:
        ConfigError: for an unknown table, or a run whose files cannot be read.
    """
    parser = argparse.ArgumentParser(
        prog="segdepth table",
        description="Published figures beside those of finished runs, with the difference.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "tables", nargs="*", help="a paper, such as shed, or a table, such as shed/table2; all by default"
    )
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--test", default="", help="a further test of each run, in the place of its own")
    parser.add_argument("--format", choices=("markdown", "latex", "csv"), default="markdown")
    parser.add_argument("--output", type=Path, help="file to write; standard output by default")
    parser.add_argument(
        "--runs",
        choices=("latest", "mean"),
        default="latest",
        help="the latest run of an experiment that compares best, or the mean over the latest run of each seed",
    )
    options = parser.parse_args(arguments)
    tables = select_tables(read_published(), options.tables)
    results = read_runs(options.root, test=options.test)
    if not results:
        named = f" with a test `{options.test}`" if options.test else ""
        print(f"no finished run{named} under {options.root}: nothing is measured yet", file=sys.stderr)
    text = table_text(tables, results, options.runs, options.format)
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
        print(options.output)


def table_text(
    tables: Sequence[PublishedTable], results: Sequence[RunResult], choice: Choice = "latest", form: str = "markdown"
) -> str:
    """Published tables with measured figures, and tables of what was measured on Rooms.

    Args:
        tables: published ones.
        results: of all runs that may be shown, oldest first.
        choice: see :func:`~experiments.results.measured.measure`.
        form: ``markdown``, ``latex`` or ``csv``.

    Raises:
        ConfigError: if a record of a run cannot be read.
    """
    if form == "csv":
        return to_csv([line for table in tables for line in records(table, results, choice)])
    pairs = [(published_sheet(table, results, choice), rooms_sheet(table, results, choice)) for table in tables]
    sheets = [sheet for pair in pairs for sheet in pair if sheet is not None]
    return to_markdown(sheets) if form == "markdown" else to_latex(sheets)
