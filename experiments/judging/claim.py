"""The content of a claims file: arms (experiments trained alike), and what a paper claims of one over another."""

import shlex
from dataclasses import dataclass
from enum import Enum

#: Fewest runs of an arm from which a spread over seeds is estimated.
FEWEST_SEEDS = 3

#: Metrics that are counted from an arm's network, without training: millions of parameters, GFLOPs of a forward of one
#: frame, and of these those inside transformer blocks.
COSTS = ("cost/parameters", "cost/gflops", "cost/gflops_blocks")


class Direction(Enum):
    """Whether a lower or a higher value is better."""

    lower = "lower"
    higher = "higher"

    @property
    def sign(self) -> int:
        """Return the factor by which a difference is positive if better."""
        return 1 if self is Direction.higher else -1


class Quantifier(Enum):
    """How many of its comparisons a claim is about."""

    all = "all"
    most = "most"
    any = "any"

    def decide(self, right: int, wrong: int, total: int) -> bool | None:
        """Return whether a claim is right; None if that is open.

        Args:
            right: number of comparisons that support the claim.
            wrong: number of comparisons that contradict it.
            total: number of comparisons; the rest are open.
        """
        needed = {Quantifier.all: total, Quantifier.most: total // 2 + 1, Quantifier.any: 1}[self]
        if total and right >= needed:
            return True
        return False if total and total - wrong < needed else None


class Relation(Enum):
    """How a stated percentage is meant: roughly, or as a lower bound."""

    about = "about"
    more_than = "more_than"


class Percentage(Enum):
    """What a stated percentage is: how much better one value is than another, or the part that it is of it."""

    improvement = "improvement"
    share = "share"


@dataclass(frozen=True)
class Comparison:
    """``arm`` has a better value of a metric than ``than``.

    Attributes:
        arm: arm of which it is claimed.
        than: arm that it is compared with.
        metric: end of a key of ``metrics.json``: ``delta1``, or ``nyuv2/delta1`` for one test set; or a cost of the
            network, such as ``cost/gflops``.
        direction: whether lower or higher is better.
        margin: in the metric's unit, by how much ``arm`` has to be better; negative if it may be worse by that much.
    """

    arm: str
    than: str
    metric: str
    direction: Direction
    margin: float = 0.0

    @property
    def is_cost(self) -> bool:
        """Return whether costs are compared, which need no training."""
        return self.metric in COSTS


@dataclass(frozen=True)
class PrintedComparison:
    """A comparison of two values that the paper prints, where these are not the values of the arms themselves.

    Attributes:
        arm: row of ``published.csv``, by its method or experiment.
        than: the row that it is compared with, by its method or experiment.
        metric: column of ``published.csv`` for ``arm``.
        than_metric: column of ``published.csv`` for ``than``.
        direction: whether lower or higher is better.
    """

    arm: str
    than: str
    metric: str
    than_metric: str
    direction: Direction


@dataclass(frozen=True)
class Stated:
    """A percentage that the paper states.

    Attributes:
        percent: the percentage, as printed.
        relation: whether it is meant roughly or as a lower bound.
        kind: whether it is an improvement or a share.
    """

    percent: str
    relation: Relation
    kind: Percentage


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper, and what it says of the arms.

    Attributes:
        text: the claim in words.
        source: section, table or figure of the paper.
        comparisons: comparisons of arms, which runs decide; empty if no run can.
        of: how many of the comparisons the claim is about.
        printed: comparisons of printed values, which the paper's own tables decide; if empty, the rows of the arms'
            experiments are compared.
        stated: percentage that the printed values must give.
    """

    text: str
    source: str
    comparisons: tuple[Comparison, ...]
    of: Quantifier = Quantifier.all
    printed: tuple[PrintedComparison, ...] = ()
    stated: Stated | None = None


@dataclass(frozen=True)
class ClaimsSpec:
    """A claims file.

    Attributes:
        title: title of the report.
        paper: short name of the paper, as in ``published.csv``.
        seeds: seeds; every arm that is trained is trained with each of them.
        arms: name to experiment and flags, as on a command line; several of them stand for their sum, of which only
            costs can be told.
        claims: in the order of the report.
    """

    title: str
    paper: str
    seeds: tuple[int, ...]
    arms: dict[str, tuple[str, ...]]
    claims: tuple[Claim, ...]

    @property
    def comparisons(self) -> list[tuple[Claim, Comparison]]:
        """Return all comparisons, with the claims that they are of."""
        return [(claim, comparison) for claim in self.claims for comparison in claim.comparisons]

    @property
    def trained(self) -> list[str]:
        """Return arms that have to be trained: those of a comparison that is not of costs, in the file's order."""
        needed = {arm for _, c in self.comparisons if not c.is_cost for arm in (c.arm, c.than)}
        return [arm for arm in self.arms if arm in needed]

    def arm_words(self, arm: str) -> list[str]:
        """Return the words of an arm: the experiment, then its flags; of the first part of a sum."""
        return shlex.split(self.arms[arm][0])
