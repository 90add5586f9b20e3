"""A claims file: which arms are trained alike, and what a paper claims of one over another."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from experiments.command_line import named_file
from experiments.compose import EXPERIMENTS, ConfigError
from experiments.published import PAPERS

CLAIMS = EXPERIMENTS / "claims"

#: Runs of an arm without which there is no spread to speak of.
FEWEST_SEEDS = 3


class Direction(Enum):
    """Which figure is the better one."""

    lower = "lower"
    higher = "higher"

    @property
    def sign(self) -> int:
        """What turns a difference so that positive is better."""
        return 1 if self is Direction.higher else -1


@dataclass(frozen=True)
class Claim:
    """One claim: ``arm`` has a better figure than ``than``.

    Attributes:
        text: what is claimed, for a reader.
        source: section, table or figure of the paper.
        metric: end of a key of ``metrics.json``: ``delta1``, or ``nyuv2/delta1`` for one test set.
        direction: which figure is better.
        arm: of which it is claimed.
        than: arm that it is compared with.
        margin: in the metric's unit, by how much ``arm`` has to be better; negative if it may be worse by that much.
    """

    text: str = MISSING
    source: str = MISSING
    metric: str = MISSING
    direction: Direction = MISSING
    arm: str = MISSING
    than: str = MISSING
    margin: float = 0.0


@dataclass(frozen=True)
class ClaimsSpec:
    """A claims file.

    Attributes:
        title: of the report.
        paper: whose claims they are, as in ``published.csv``.
        seeds: every arm is trained with each.
        arms: name to experiment and flags, as on a command line.
        claims: in the order of the report.
    """

    title: str = MISSING
    paper: str = MISSING
    seeds: list[int] = MISSING
    arms: dict[str, str] = MISSING
    claims: list[Claim] = MISSING

    def arm_words(self, arm: str) -> list[str]:
        """Words of an arm: the experiment, then its flags."""
        return shlex.split(self.arms[arm])


def find_claims(name: str) -> Path:
    """Path of a claims file: a file, or the name of one that comes with the suite.

    Raises:
        ConfigError: if there is none, with the list of those that there are.
    """
    return named_file("claims", name, CLAIMS)


def read_claims(path: Path) -> ClaimsSpec:
    """Read a claims file.

    Raises:
        ConfigError: if it is not one, naming the key.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: a claims file is a mapping with `title`, `paper`, `seeds`, `arms` and `claims`")
    claims = content.pop("claims", None)
    if not isinstance(claims, list) or not claims:
        raise ConfigError(f"{path}: key `claims`: need a list of claims")
    spec = replace(
        _typed(path, ClaimsSpec, {**content, "claims": []}, ""),
        claims=[_typed(path, Claim, claim, f"claims[{number}].") for number, claim in enumerate(claims)],
    )
    for key, problem in _problems(spec):
        raise ConfigError(f"{path}: key `{key}`: {problem}")
    return spec


T = TypeVar("T", Claim, ClaimsSpec)


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


def _problems(spec: ClaimsSpec) -> Iterator[tuple[str, str]]:
    """Keys, and what is wrong with them that their types do not tell."""
    if spec.paper not in PAPERS:
        yield "paper", f"need one of {', '.join(PAPERS)}, got {spec.paper}"
    if len(spec.seeds) < FEWEST_SEEDS or len(set(spec.seeds)) < len(spec.seeds):
        yield (
            "seeds",
            f"need {FEWEST_SEEDS} different ones or more, for their spread, got {spec.seeds}",
        )
    if len(spec.arms) < 2:
        yield "arms", "need two arms or more to compare"
    for name, words in spec.arms.items():
        if not isinstance(words, str) or not words.strip():
            yield f"arms.{name}", f"need an experiment and its flags in one line, got {words!r}"
        elif words.startswith("-"):
            yield f"arms.{name}", f"the experiment comes first, then its flags, got `{words}`"
    for number, claim in enumerate(spec.claims):
        for key in ("arm", "than"):
            if getattr(claim, key) not in spec.arms:
                yield f"claims[{number}].{key}", f"no arm `{getattr(claim, key)}`; arms: {', '.join(spec.arms)}"
        if claim.arm == claim.than:
            yield f"claims[{number}].than", f"`{claim.arm}` is compared with itself"
