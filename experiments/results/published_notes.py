"""Notes on published values: ``notes/published.yaml``, and which rows and columns each is of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.compose import EXPERIMENTS, ConfigError
from experiments.config.yaml_file import read_yaml_file
from experiments.results.published import PublishedRow, PublishedTable, read_published


@dataclass(frozen=True)
class PublishedNote:
    """A note on published values.

    Attributes:
        note: text of the note.
        tables: names of the tables that it is on, ``<paper>/<table>``.
        rows: rows that it is on, by experiment, or by method where a row has no experiment; all if empty.
        metrics: columns that it is on; all if empty.
    """

    note: str = MISSING
    tables: list[str] = MISSING
    rows: list[str] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)

    def names_row(self, row: PublishedRow) -> bool:
        """Return whether the note is on a row, or on all rows."""
        return not self.rows or name_of(row) in self.rows


def name_of(row: PublishedRow) -> str:
    """Return what a note calls a row: its experiment, or its method where it has none."""
    return row.experiment or row.method


def table_notes(table: PublishedTable) -> list[str]:
    """Return the notes on a whole table."""
    return [note.note for note in _of(table) if not note.rows and not note.metrics]


def row_notes(table: PublishedTable, row: PublishedRow) -> list[str]:
    """Return the notes on a whole row."""
    return [note.note for note in _of(table) if note.rows and not note.metrics and note.names_row(row)]


def column_notes(table: PublishedTable, metric: str) -> list[str]:
    """Return the notes on a whole column."""
    return [note.note for note in _of(table) if not note.rows and metric in note.metrics]


def value_notes(table: PublishedTable, row: PublishedRow, metric: str) -> list[str]:
    """Return the notes on a single value."""
    return [note.note for note in _of(table) if note.rows and metric in note.metrics and note.names_row(row)]


def all_notes(table: PublishedTable, row: PublishedRow, metric: str) -> list[str]:
    """Return the notes on a value, its row and its column, for where it is shown apart from its table."""
    if metric not in row.shown:
        return []
    return [*value_notes(table, row, metric), *row_notes(table, row), *column_notes(table, metric)]


def _of(table: PublishedTable) -> list[PublishedNote]:
    return [note for note in read_notes() if table.name in note.tables]


@cache
def read_notes(path: Path = EXPERIMENTS / "notes/published.yaml") -> tuple[PublishedNote, ...]:
    """Read all notes, in the file's order.

    Raises:
        ConfigError: naming file and note, if it is not of the form above, or names what is in no table.
    """
    content = read_yaml_file(path)
    if not isinstance(content, list):
        raise ConfigError(f"{path}: need a list of notes, each with `tables` and `note`")
    tables = {table.name: table for table in read_published()}
    notes = []
    for number, entry in enumerate(content):
        note = _typed(f"{path}: note {number}", entry)
        for problem in _problems(note, tables):
            raise ConfigError(f"{path}: note {number}: {problem}")
        notes.append(note)
    return tuple(notes)


def _typed(place: str, entry: Any) -> PublishedNote:
    try:
        return cast(PublishedNote, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(PublishedNote), entry)))
    except (OmegaConfBaseException, ValueError) as error:
        raise ConfigError(f"{place}: {str(error).splitlines()[0]}") from error


def _problems(note: PublishedNote, tables: Mapping[str, PublishedTable]) -> Iterator[str]:
    for name in note.tables:
        if name not in tables:
            yield f"no published table `{name}`; known: {', '.join(tables)}"
    rows = [row for name in note.tables for row in tables[name].rows]
    yield from _unknown("row", note.rows, [name_of(row) for row in rows])
    yield from _unknown("metric", note.metrics, [metric for row in rows for metric in row.shown])


def _unknown(kind: str, names: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"no {kind} `{name}` in its tables; known: {', '.join(dict.fromkeys(known))}"
