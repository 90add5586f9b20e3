"""Compares a claim with the paper's own tables, from ``published.csv``."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from typing import Literal

from experiments.judging.claim import (
    Claim,
    ClaimsSpec,
    Comparison,
    Direction,
    Percentage,
    PrintedComparison,
    Relation,
    Stated,
)
from experiments.results.published import METRICS, PublishedRow, PublishedTable, read_published
from experiments.results.published_notes import all_notes
from experiments.results.table_layout import MINUS

#: ``equal``: the two values do not differ in the digits that are printed.
PrintVerdict = Literal["supports", "contradicts", "equal", "not printed"]


@dataclass(frozen=True)
class PrintedPair:
    """Two printed values.

    Attributes:
        place: tables and test set.
        label: heading of the metric.
        arm: printed value of the claimed arm.
        than: printed value of the arm that it is compared with.
        names: names of their rows.
        direction: whether lower or higher is better.
        margin: see :class:`~experiments.judging.claim.Comparison`.
        notes: on both values.
    """

    place: str
    label: str
    arm: str
    than: str
    names: tuple[str, str]
    direction: Direction
    margin: float = 0.0
    notes: tuple[str, ...] = ()

    @property
    def bears_out(self) -> bool | None:
        """Return whether the claimed value is better by more than the margin; None if they are equal to the digit."""
        gap = self.direction.sign * (Decimal(self.arm) - Decimal(self.than)) - Decimal(str(self.margin))
        return None if gap == 0 else gap > 0

    def percent(self, kind: Percentage) -> float:
        """Return by how much one value is better than the other, or what part of it, in per cent."""
        return _percent(float(self.arm), float(self.than), self.direction, kind)

    def gives(self, stated: Stated) -> bool:
        """Return whether a stated percentage may be that of the values before they were rounded."""
        reach = [_rounding(self.arm), _rounding(self.than)]
        possible = [
            _percent(float(self.arm) + one * reach[0], float(self.than) + other * reach[1], self.direction, stated.kind)
            for one, other in itertools.product((-1, 1), repeat=2)
        ]
        if stated.relation is Relation.more_than:
            return max(possible) > float(stated.percent)
        own = _rounding(stated.percent)
        return min(possible) <= float(stated.percent) + own and max(possible) >= float(stated.percent) - own

    def text(self, stated: Stated | None) -> str:
        """Return ``RMSE 1.277 against 1.243 (new; old)*``, starred if there are notes; a percentage precedes."""
        names = f" ({self.names[0]}; {self.names[1]})" if self.names[0] != self.names[1] else ""
        values = f"{self.label} {self.arm} against {self.than}{names}{'*' if self.notes else ''}"
        if stated is None:
            return values
        digits = max(1, _decimals(stated.percent))
        return f"{self.percent(stated.kind):.{digits}f} %: ".replace("-", MINUS) + values


@dataclass(frozen=True)
class PrintedOutcome:
    """What a paper's tables say of a claim.

    Attributes:
        verdict: what the tables say.
        pairs: printed values that are compared, the decisive ones first.
        stated: percentage that the values must give, if one is stated.
        covered: number of the claim's comparisons for which values are printed.
        asked: number of the claim's comparisons.
    """

    verdict: PrintVerdict
    pairs: tuple[PrintedPair, ...]
    stated: Stated | None
    covered: int
    asked: int

    @property
    def notes(self) -> list[str]:
        """Return notes on the values, each once."""
        return list(dict.fromkeys(note for pair in self.pairs for note in pair.notes))

    def text(self, most: int | None = None) -> str:
        """Return the values in words, at most the first few, and how many comparisons they cover if not all.

        Args:
            most: most values that are shown; all by default.
        """
        shown = [pair.text(self.stated) for pair in self.pairs[:most]]
        if self.stated is not None and shown:
            relation = "more than " if self.stated.relation is Relation.more_than else ""
            shown[0] = f"stated {relation}{self.stated.percent} %, printed {shown[0]}"
        rest = len(self.pairs) - len(shown)
        part = [f"{self.covered} of {self.asked} printed"] if 0 < self.covered < self.asked else []
        return "; ".join([*shown, *([f"{rest} more"] if rest else []), *part])


def judge_printed(spec: ClaimsSpec, claim: Claim) -> PrintedOutcome:
    """Compare a claim with the tables of its paper."""
    found = printed_pairs(spec, claim)
    pairs = [pair for own in found for pair in own]
    covered = sum(bool(own) for own in found)
    if not pairs:
        return PrintedOutcome("not printed", (), claim.stated, covered, len(found))
    signs = [pair.bears_out if claim.stated is None else pair.gives(claim.stated) for pair in pairs]
    decided = claim.of.decide(signs.count(True), signs.count(False), len(signs))
    verdict: PrintVerdict = "equal" if decided is None else "supports" if decided else "contradicts"
    first = [True, None, False] if decided else [False, None, True]
    order = sorted(range(len(pairs)), key=lambda place: first.index(signs[place]))
    return PrintedOutcome(verdict, tuple(pairs[place] for place in order), claim.stated, covered, len(found))


def printed_pairs(spec: ClaimsSpec, claim: Claim) -> list[list[PrintedPair]]:
    """Return the printed values of each comparison of a claim: those that it names, or its arms' experiments'."""
    if claim.printed:
        return [_pairs(comparison, _rows_of(spec.paper, comparison)) for comparison in claim.printed]
    return [pairs_of_arms(spec, comparison) for comparison in claim.comparisons]


def pairs_of_arms(spec: ClaimsSpec, comparison: Comparison) -> list[PrintedPair]:
    """Return what the paper printed of both arms; empty for an arm that is more than an experiment."""
    arms = [spec.arms[name] for name in (comparison.arm, comparison.than)]
    if any(len(parts) > 1 or len(parts[0].split()) > 1 for parts in arms):
        return []
    (first,), (second,) = arms
    found = []
    for name in (name for name, metric in METRICS.items() if metric.key == comparison.metric.rpartition("/")[2]):
        printed = PrintedComparison(first, second, name, name, comparison.direction)
        found += _pairs(printed, [both for both in _rows_of(spec.paper, printed) if _alike(*both)])
    names = (comparison.arm, comparison.than)
    return [replace(pair, names=names, margin=comparison.margin) for pair in found]


TableRow = tuple[PublishedTable, PublishedRow]


def _rows_of(paper: str, comparison: PrintedComparison) -> list[tuple[TableRow, TableRow]]:
    """Return rows of ``arm``, each with every row of ``than``."""
    first = _rows(paper, comparison.arm, comparison.metric)
    second = _rows(paper, comparison.than, comparison.than_metric)
    return list(itertools.product(first, second))


def _alike(one: TableRow, other: TableRow) -> bool:
    """Return whether two rows were trained and tested on the same data."""
    return (one[1].train_data, one[1].test_data) == (other[1].train_data, other[1].test_data)


def _pairs(comparison: PrintedComparison, rows: Sequence[tuple[TableRow, TableRow]]) -> list[PrintedPair]:
    """Return the values of rows in pairs: of one table if there are such, and of the same data if there are such."""
    within = [both for both in rows if both[0][0] is both[1][0]] or rows
    kept = [both for both in within if _alike(*both)] or within
    pairs: dict[tuple[str, str], PrintedPair] = {}
    for one, other in kept:
        pair = _pair(one, other, comparison)
        pairs.setdefault((pair.arm, pair.than), pair)  # tables repeat each other's rows
    return list(pairs.values())


def _rows(paper: str, name: str, metric: str) -> Iterator[TableRow]:
    """Yield the rows of a method, or of an experiment, in which the metric is printed."""
    for table in _tables():
        if table.paper == paper:
            yield from (
                (table, row) for row in table.rows if name in (row.method, row.experiment) and metric in row.shown
            )


def _pair(one: TableRow, other: TableRow, comparison: PrintedComparison) -> PrintedPair:
    tables = dict.fromkeys(table.title for table, _ in (one, other))
    data = dict.fromkeys(row.test_data for _, row in (one, other))
    labels = dict.fromkeys(METRICS[name].label for name in (comparison.metric, comparison.than_metric))
    notes = [*all_notes(*one, comparison.metric), *all_notes(*other, comparison.than_metric)]
    return PrintedPair(
        place=f"{' and '.join(tables)}, {' against '.join(data)}",
        label=" / ".join(labels),
        arm=one[1].shown[comparison.metric],
        than=other[1].shown[comparison.than_metric],
        names=(comparison.arm, comparison.than),
        direction=comparison.direction,
        notes=tuple(dict.fromkeys(notes)),
    )


@cache
def _tables() -> Sequence[PublishedTable]:
    return read_published()


def _percent(arm: float, than: float, direction: Direction, kind: Percentage) -> float:
    if kind is Percentage.share:
        return 100 * arm / than
    return 100 * direction.sign * (arm - than) / than


def _rounding(printed: str) -> float:
    """Return half a unit of the last printed digit."""
    return 0.5 * 10.0 ** -_decimals(printed)


def _decimals(printed: str) -> int:
    return len(printed.partition(".")[2])
