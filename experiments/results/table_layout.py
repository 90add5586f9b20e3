"""What a table shows: published and measured values of each method below each other, with their difference."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from experiments.results.finished_runs import RunResult
from experiments.results.marks import oracle_mark, oracle_of
from experiments.results.measured import (
    Choice,
    Measurement,
    boundary_remarks,
    measure,
    measure_rooms,
    objection,
    other_measurements,
    protocol_of,
)
from experiments.results.published import (
    METRICS,
    OTHER_READINGS,
    TEST_DATA,
    PublishedRow,
    PublishedTable,
    training_frames,
)
from experiments.results.published_notes import all_notes, column_notes, row_notes, table_notes, value_notes

#: A published value that was never measured. A cell that was never published is blank.
NEVER = "\N{EN DASH}"

MINUS = "\N{MINUS SIGN}"

ORACLE_NOTE = (
    "oracle: is given ground truth at test time too, as named (region support is computed from true depth); not "
    "comparable with methods that are not"
)

CSV_COLUMNS = (
    "paper", "table", "experiment", "method", "train_data", "test_data", "metric",
    "published", "measured", "difference", "run", "seed", "commit", "profile", "std", "remarks", "oracle", "note",
)  # fmt: skip


@dataclass
class Sheet:
    """A table as text, before it is written in a format.

    Attributes:
        title: heading above the table.
        header: names of the columns.
        text_columns: number of leading columns that hold text; the others hold numbers.
        groups: groups of lines, each line a list of cells; a rule separates groups.
        notes: lines below the table.
    """

    title: str
    header: list[str]
    text_columns: int
    groups: list[list[list[str]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class RunNotes:
    """Numbers and descriptions of the runs that a sheet refers to."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def refer(self, measurement: Measurement) -> str:
        """Return the numbers of a measurement's runs, such as ``[1] [2]``."""
        return " ".join(self._number(result) for result in measurement.results)

    def _number(self, result: RunResult) -> str:
        line = describe(result)
        if line not in self.lines:
            self.lines.append(line)
        return f"[{self.lines.index(line) + 1}]"

    def numbered(self) -> list[str]:
        """Return the notes, one per run: its number, then its description."""
        return [f"[{number}] {line}" for number, line in enumerate(self.lines, start=1)]


class ValueNotes:
    """Notes on the published values that a sheet shows, each with a letter."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def after(self, text: str, notes: Sequence[str]) -> str:
        """Return a text with the letters of its notes, such as ``0.749 (a)``."""
        self.notes += [note for note in notes if note not in self.notes]
        return " ".join([text, *(f"({letter(self.notes.index(note))})" for note in notes)])

    def lettered(self) -> list[str]:
        """Return the notes, each behind its letter."""
        return [f"({letter(number)}) {note}" for number, note in enumerate(self.notes)]


def letter(number: int) -> str:
    """Return ``a`` to ``z``, then ``aa`` and so on."""
    return (letter(number // 26 - 1) if number >= 26 else "") + chr(ord("a") + number % 26)


def describe(result: RunResult) -> str:
    """Return the description of a run that a note shows."""
    tested, _ = result.tested_with
    frames = tested.get("data", {}).get("frames", {}).get("test")
    size = result.variant.get("input_size") or tested.get("data", {}).get("input_size")
    facts = {
        "seed": result.seed,
        "commit": result.commit,
        "profile": result.environment.get("profile"),
        "trained on": result.trained_on,
        "training frames": training_frames(result.environment.get("data", {})) if result.trained_on else None,
        "protocol": protocol_of(result).get("name"),
        "test frames": None if frames is None else f"{frames:,}",
    }
    if size:
        facts["shown at"] = "x".join(map(str, size))
    facts |= network_facts(result)
    named = f", test {result.test}" if result.test else ""
    return f"{result.experiment}/{result.run} on {result.dataset}{named}: " + ", ".join(
        f"{name} {value or 'unrecorded'}" for name, value in facts.items()
    )


def network_facts(result: RunResult) -> dict[str, str]:
    """Return width and initial weights of a network, where the method has such options."""
    arguments = (result.tested_with[1].get("model") or {}).get("init_args") or {}
    facts = {"width": arguments.get("width"), "weights": _initial_weights(arguments.get("pretrained"))}
    return {name: str(fact) for name, fact in facts.items() if fact is not None}


def _initial_weights(pretrained: object) -> str | None:
    """What an option ``pretrained`` stands for, in a word or two; None where there is none."""
    if isinstance(pretrained, Mapping):
        return ", ".join(f"{part} {_initial_weights(source)}" for part, source in pretrained.items())
    words = {"True": "pretrained", "False": "random", "None": None}
    return words.get(str(pretrained), Path(str(pretrained)).name)


def published_sheet(table: PublishedTable, results: Sequence[RunResult], choice: Choice) -> Sheet:
    """Lay out published values beside measured ones: two or three lines a method, one for those of other papers."""
    sheet = Sheet(f"{table.title} ({table.name})", header(table.metrics), text_columns=4)
    runs, doubts = RunNotes(), ValueNotes()
    sheet.header[4:] = [
        doubts.after(name, column_notes(table, metric))
        for name, metric in zip(sheet.header[4:], table.metrics, strict=True)
    ]
    never = starred = marked = False
    for row in table.rows:
        mark = oracle_mark(oracle_of(row.experiment))
        names = [method_name(row.method, mark, row.experiment), row.train_data, row.test_data]
        marked |= bool(mark)
        names[0] = doubts.after(names[0], row_notes(table, row))
        printed = [(row.shown.get(metric, ""), value_notes(table, row, metric)) for metric in table.metrics]
        lines = [[*names, "published", *(doubts.after(value, notes if value else []) for value, notes in printed)]]
        if row.experiment:
            measured = measure(row, results, choice)
            lines += measured_lines(row, measured, table.metrics, runs)
            never |= any(NEVER in line for line in lines)
            others = list(other_measurements(row, results, choice))
            for what, other in others:
                lines += measured_lines(row, other, table.metrics, runs, what)
            made = [other for _, other in others] + ([measured] if measured else [])
            starred |= any("*" in result.commit for one in made for result in one.results)
            if measured is None and (reason := why_empty(row, results)):
                sheet.notes.append(reason)
        sheet.groups.append(lines)
    meanings = {
        f"{NEVER}: never measured here": never,
        "*: with uncommitted changes": starred,
        ORACLE_NOTE: marked,
    }
    metric_notes = [METRICS[metric].note for metric in table.metrics if METRICS[metric].note]
    shown = [meaning for meaning, needed in meanings.items() if needed]
    printed_notes = [*doubts.lettered(), *table_notes(table)]
    sheet.notes = [*shown, *runs.numbered(), *dict.fromkeys(sheet.notes), *metric_notes, *printed_notes]
    return sheet


def measured_lines(
    row: PublishedRow, measured: Measurement | None, metrics: Sequence[str], runs: RunNotes, what: str = ""
) -> list[list[str]]:
    """Return a method's measured line and, if it has a value, the line of differences; ``what`` names a variant."""
    if measured is None:
        return [["", "", "", "measured", *(NEVER if metric in row.shown else "" for metric in metrics)]]
    values, differences = [], []
    for metric in metrics:
        published, value = row.shown.get(metric), measured.values.get(metric)
        if published is None or value is None:
            values.append("" if published is None else NEVER)
            differences.append("")
            continue
        text = f"{value:.{decimals(published)}f}"
        values.append(with_deviation(text, measured.deviations.get(metric), decimals(published)))
        differences.append(difference(text, published))
    return [["", "", "", label(measured, runs, what), *values], ["", "", "", "difference", *differences]]


def rooms_sheet(table: PublishedTable, results: Sequence[RunResult], choice: Choice) -> Sheet | None:
    """Lay out what the methods reach on Rooms, without any published value; None if nothing was measured there."""
    sheet = Sheet(f"{table.title}: the methods on Rooms (synthetic)", header(table.metrics), text_columns=4)
    runs = RunNotes()
    marked = False
    for experiment, method in methods(table).items():
        for measured in measure_rooms(experiment, table.metrics, results, choice):
            newest = measured.results[0]
            cells = []
            for metric in table.metrics:
                value = measured.values.get(metric)
                spread = measured.deviations.get(metric)
                cells.append(NEVER if value is None else with_deviation(f"{value:.3f}", spread, 3))
            names = [method_name(method, newest.oracle, experiment), newest.trained_on or "unrecorded", newest.dataset]
            marked |= bool(newest.oracle)
            sheet.groups.append([[*names, label(measured, runs), *cells]])
    sheet.notes = [
        "Rooms are rendered: these values compare the methods with each other, never with a published value.",
        *([ORACLE_NOTE] if marked else []),
        *runs.numbered(),
    ]
    return sheet if sheet.groups else None


def records(table: PublishedTable, results: Sequence[RunResult], choice: Choice) -> list[dict[str, str]]:
    """Return one record per value, as :data:`CSV_COLUMNS`; values on Rooms have no published one beside them."""
    lines = []
    for row in table.rows:
        measured = measure(row, results, choice) if row.experiment else None
        names = (row.experiment, row.method, row.train_data, row.test_data)
        lines += [
            record(table, names, metric, published, measured) | {"note": "; ".join(all_notes(table, row, metric))}
            for metric, published in row.shown.items()
        ]
        others = other_measurements(row, results, choice) if row.experiment else ()
        for what, other in others:
            own = (other.results[0].experiment, *names[1:])
            lines += [record(table, own, metric, row.shown[metric], other, what) for metric in other.values]
    for experiment, method in methods(table).items():
        for measured in measure_rooms(experiment, table.metrics, results, choice):
            newest = measured.results[0]
            names = (experiment, method, newest.trained_on or "", newest.dataset)
            lines += [record(table, names, metric, "", measured) for metric in measured.values]
    return lines


def record(
    table: PublishedTable,
    names: tuple[str, str, str, str],
    metric: str,
    published: str,
    measured: Measurement | None,
    what: str = "",
) -> dict[str, str]:
    """Return one value of (experiment, method, train data, test data); what was not measured is absent."""
    line = dict(zip(CSV_COLUMNS, (table.paper, table.table, *names, metric, published), strict=False))
    line["oracle"] = oracle_mark(oracle_of(names[0]))
    if measured is None or metric not in measured.values:
        return line
    value = measured.values[metric]
    results = measured.results
    return line | {
        "measured": repr(value),
        "difference": f"{value - float(published):+.6g}" if published else "",
        "run": ";".join(result.run for result in results),
        "seed": ";".join(result.seed for result in results),
        "commit": ";".join(result.commit for result in results),
        "profile": results[0].environment.get("profile") or "",
        "std": repr(measured.deviations[metric]) if metric in measured.deviations else "",
        "remarks": "; ".join([*filter(None, [what]), *measured.remarks, *boundary_remarks(measured)]),
        "oracle": results[0].oracle,
    }


def header(metrics: Sequence[str]) -> list[str]:
    """Return the names of the columns, with an arrow to the better side."""
    values = [f"{METRICS[metric].label} {METRICS[metric].better}" for metric in metrics]
    return ["method", "trained on", "tested on", "", *values]


def method_name(method: str, mark: str, experiment: str) -> str:
    """Return the paper's name of a method, its mark as an oracle, and the experiment that repeats it."""
    name = f"{method}, {mark}" if mark else method
    return f"{name} ({experiment})" if experiment else name


def methods(table: PublishedTable) -> dict[str, str]:
    """Map the experiments of a table, other readings of it included, to the paper's name for each."""
    names: dict[str, str] = {}
    for row in table.rows:
        if row.experiment:
            for experiment in (row.experiment, *OTHER_READINGS.get(row.experiment, ())):
                names.setdefault(experiment, row.method)
    return names


def why_empty(row: PublishedRow, results: Sequence[RunResult]) -> str:
    """Return why the newest run on a row's own test data is not shown; empty if there is none."""
    name = TEST_DATA[row.test_data].name
    own = [result for result in results if result.experiment == row.experiment and result.dataset == name]
    reason = objection(row, own[-1]) if own else None
    return f"not compared: {row.experiment}/{own[-1].run}, {reason}" if reason else ""


def label(measured: Measurement, runs: RunNotes, what: str = "") -> str:
    """Return the name of a measured line: variant, what sets it apart from the paper, and the runs it comes from."""
    several = len(measured.results)
    mean = [f"mean ± std of {several} seeds"] if several > 1 else []
    remarks = ", ".join([*filter(None, [what]), *mean, *measured.remarks, *boundary_remarks(measured)])
    return f"measured{f' ({remarks})' if remarks else ''} {runs.refer(measured)}"


def decimals(printed: str) -> int:
    """Return the number of decimals of a printed value, three at least."""
    return max(3, len(printed.partition(".")[2]))


def with_deviation(text: str, deviation: float | None, digits: int) -> str:
    """Return a mean with its standard deviation, if it has one."""
    return text if deviation is None else f"{text} ± {deviation:.{digits}f}"


def difference(measured: str, published: str) -> str:
    """Return measured minus published, both rounded as shown, so that the lines add up."""
    if not math.isfinite(float(measured)):
        return measured
    return f"{Decimal(measured) - Decimal(published):+}".replace("-", MINUS)
