"""Reads claims files: YAML, described in ``docs/claims.md``."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.config.arguments import named_file
from experiments.config.compose import EXPERIMENTS, ConfigError
from experiments.config.yaml_file import read_yaml_file
from experiments.judging.claim import (
    COSTS,
    FEWEST_SEEDS,
    Claim,
    ClaimsSpec,
    Comparison,
    Direction,
    Percentage,
    PrintedComparison,
    Quantifier,
    Relation,
    Stated,
)
from experiments.results.metric_facts import sign_of
from experiments.results.published import METRICS, PAPERS, read_published

CLAIMS = EXPERIMENTS / "claims"


@dataclass
class FileEntry:
    """A claims file, as written."""

    title: str = MISSING
    paper: str = MISSING
    arms: dict[str, Any] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    claims: list[Any] = MISSING


@dataclass
class PrintedEntry:
    """What a claim says of rows of ``published.csv``, as written; lists are all with all."""

    arm: Any = MISSING
    than: Any = MISSING
    metric: Any = MISSING
    than_metric: str | None = None


@dataclass
class ClaimEntry:
    """A claim, as written; lists of arms and metrics are all with all, ``pairs`` are ``[arm, than]`` each."""

    text: str = MISSING
    source: str = MISSING
    metric: Any = None
    direction: Direction | None = None
    arm: Any = None
    than: Any = None
    pairs: list[list[str]] = field(default_factory=list)
    margin: float = 0.0
    of: Quantifier = Quantifier.all
    percent: Any = None
    relation: Relation = Relation.about
    percent_of: Percentage = Percentage.improvement
    printed: PrintedEntry | None = None


def find_claims(name: str) -> Path:
    """Return the path of a claims file: a file, or the name of one that comes with the suite.

    Raises:
        ConfigError: if there is none, with the list of those that there are.
    """
    return named_file("claims", name, CLAIMS)


def read_claims(path: Path) -> ClaimsSpec:
    """Read a claims file.

    Raises:
        ConfigError: if it is not one, naming the key.
    """
    content = read_yaml_file(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a claims file is a mapping with `title`, `paper`, `seeds`, `arms` and `claims`")
    if not isinstance(content.get("claims"), list) or not content["claims"]:
        raise ConfigError(f"{path}: key `claims`: need a list of claims")
    entry = _typed(path, FileEntry, content, "")
    for key, problem in _problems(entry):
        raise ConfigError(f"{path}: key `{key}`: {problem}")
    arms = {name: tuple(_listed(words)) for name, words in entry.arms.items()}
    claims = []
    for number, written in enumerate(content["claims"]):
        place = f"claims[{number}]"
        claim = _typed(path, ClaimEntry, written, f"{place}.")
        for key, problem in _problems_of_claim(claim, arms, entry.paper):
            raise ConfigError(f"{path}: key `{place}.{key}`: {problem}")
        claims.append(_claim(claim))
    spec = ClaimsSpec(entry.title, entry.paper, tuple(entry.seeds), arms, tuple(claims))
    for key, problem in _problems_of_runs(spec):
        raise ConfigError(f"{path}: key `{key}`: {problem}")
    return spec


T = TypeVar("T", FileEntry, ClaimEntry)


def _typed(path: Path, kind: type[T], content: Any, place: str) -> T:
    if not isinstance(content, dict):
        raise ConfigError(
            f"{path}: key `{place.rstrip('.')}`: need a mapping with `text`, `metric`, ..., got {content!r}"
        )
    try:
        return cast(T, OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), content)))
    except OmegaConfBaseException as error:
        where = f"key `{place}{error.full_key}`: " if error.full_key else ""
        raise ConfigError(f"{path}: {where}{str(error).splitlines()[0]}") from error


def _listed(value: Any) -> list[str]:
    """Return a list of what is written as one or as a list; empty for nothing."""
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [value]


def _pairs(entry: ClaimEntry) -> list[tuple[str, str]]:
    """Return the pairs of arms that are compared."""
    crossed = itertools.product(_listed(entry.arm), _listed(entry.than))
    return [*crossed, *((arm, than) for arm, than in entry.pairs)]


def _direction(entry: ClaimEntry, metric: str) -> Direction | None:
    """Return whether lower or higher is better, if it is told or known."""
    if entry.direction is not None or metric in COSTS:
        return entry.direction or Direction.lower
    published = METRICS.get(metric)
    sign = sign_of((published.key or published.logged or "") if published else metric)
    return {1: Direction.higher, -1: Direction.lower, 0: None}[sign]


def _claim(entry: ClaimEntry) -> Claim:
    """Build a claim of which :func:`_problems_of_claim` found nothing."""

    def direction(metric: str) -> Direction:
        return cast(Direction, _direction(entry, metric))

    comparisons = tuple(
        Comparison(arm, than, metric, direction(metric), entry.margin)
        for arm, than in _pairs(entry)
        for metric in _listed(entry.metric)
    )
    printed = entry.printed
    return Claim(
        entry.text,
        entry.source,
        comparisons,
        entry.of,
        tuple(
            PrintedComparison(arm, than, metric, printed.than_metric or metric, direction(metric))
            for arm in _listed(printed.arm)
            for than in _listed(printed.than)
            for metric in _listed(printed.metric)
        )
        if printed
        else (),
        None if entry.percent is None else Stated(str(entry.percent), entry.relation, entry.percent_of),
    )


def _problems(entry: FileEntry) -> Iterator[tuple[str, str]]:
    """Yield keys, and what is wrong with them beyond their types."""
    if entry.paper not in PAPERS:
        yield "paper", f"need one of {', '.join(PAPERS)}, got {entry.paper}"
    for name, words in entry.arms.items():
        for part in words if isinstance(words, list) and len(words) > 1 else [words]:
            if not isinstance(part, str) or not part.strip():
                yield (
                    f"arms.{name}",
                    f"need an experiment and its flags in one line, or a list of several, got {part!r}",
                )
            elif part.startswith("-"):
                yield f"arms.{name}", f"the experiment comes first, then its flags, got `{part}`"


def _problems_of_claim(entry: ClaimEntry, arms: dict[str, tuple[str, ...]], paper: str) -> Iterator[tuple[str, str]]:
    if any(len(pair) != 2 for pair in entry.pairs):
        yield "pairs", f"need pairs `[arm, than]`, got {entry.pairs}"
        return
    pairs = _pairs(entry)
    if not pairs and entry.printed is None:
        yield "arm", "need `arm` and `than`, or `pairs`; a claim that no run can tell has `printed` instead"
    if pairs and not _listed(entry.metric):
        yield "metric", "missing mandatory value: metric"
    for arm, than in pairs:
        for key, name in (("arm", arm), ("than", than)):
            if name not in arms:
                yield key, f"no arm `{name}`; arms: {', '.join(arms)}"
        if arm == than:
            yield "than", f"`{arm}` is compared with itself"
    for metric in _listed(entry.metric):
        yield from _problems_of_metric(entry, metric)
        sums = [arm for pair in pairs for arm in pair if len(arms.get(arm, ())) > 1]
        if sums and metric not in COSTS:
            yield "metric", f"`{sums[0]}` is a sum of experiments, of which only {', '.join(COSTS)} can be told"
    if entry.printed is not None:
        yield from _problems_of_printed(entry, entry.printed, paper)
    if entry.percent is not None and not isinstance(entry.percent, int | float):
        yield "percent", f"need a number, got {entry.percent!r}"


def _problems_of_metric(entry: ClaimEntry, metric: str) -> Iterator[tuple[str, str]]:
    if metric.startswith("cost/") and metric not in COSTS:
        yield "metric", f"no cost `{metric}`; there are {', '.join(COSTS)}"
    elif _direction(entry, metric) is None:
        yield "direction", f"need lower or higher, which `{metric}` does not tell by itself"


def _problems_of_printed(entry: ClaimEntry, printed: PrintedEntry, paper: str) -> Iterator[tuple[str, str]]:
    known = _row_names(paper)
    for key in ("arm", "than"):
        for name in _listed(getattr(printed, key)):
            if name not in known:
                yield f"printed.{key}", f"no row `{name}` of {paper} in published.csv; rows: {'; '.join(known)}"
    for name in [*_listed(printed.metric), *_listed(printed.than_metric)]:
        if name not in METRICS:
            yield "printed.metric", f"no metric `{name}` in published.csv; known: {', '.join(METRICS)}"


def _problems_of_runs(spec: ClaimsSpec) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with arms and seeds for what the claims need."""
    seeds = list(spec.seeds)
    if spec.trained and (len(seeds) < FEWEST_SEEDS or len(set(seeds)) < len(seeds)):
        yield "seeds", f"need {FEWEST_SEEDS} different ones or more, for their spread, got {seeds}"
    used = {arm for _, comparison in spec.comparisons for arm in (comparison.arm, comparison.than)}
    if unused := [arm for arm in spec.arms if arm not in used]:
        yield f"arms.{unused[0]}", "no claim is of it"


@cache
def _row_names(paper: str) -> list[str]:
    """Return the names of the rows of a paper's tables: methods and experiments."""
    rows = [row for table in read_published() if table.paper == paper for row in table.rows]
    return list(dict.fromkeys(name for row in rows for name in (row.method, row.experiment) if name))


def claim_files(names: Sequence[str] = ()) -> list[Path]:
    """Return the claims files of some names; all that come with the suite if there are no names.

    Raises:
        ConfigError: if there is none of a name.
    """
    return [find_claims(name) for name in names] or sorted(CLAIMS.glob("*.yaml"))
