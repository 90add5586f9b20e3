"""From finished runs to the outcome of each claim."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np

from experiments.comparison.run_records import FrameTable, RunRecord
from experiments.judging.claim import Claim, ClaimsSpec, Comparison
from experiments.judging.network_cost import cost_of
from experiments.judging.seed_statistics import Interval, SceneTest, Verdict, judge, scene_test, seed_interval
from experiments.results.finished_runs import read_json, variants_in


@dataclass(frozen=True)
class ArmRun:
    """A run of an arm.

    Attributes:
        arm: name of the arm.
        seed: seed of the run.
        record: content of the run's folder.
    """

    arm: str
    seed: int
    record: RunRecord

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Return ``metrics.json``, NaN for a value that is not finite; empty if the run is not finished, or broken."""
        if not self.record.is_readable(frames=True):
            return {}
        content = read_json(self.record.folder / "metrics.json")
        return {key: math.nan if value is None else float(value) for key, value in content.items()}

    @cached_property
    def frames(self) -> dict[str, FrameTable]:
        """Return ``per_image.csv``, by test set; empty if the run is broken."""
        return self.record.frame_tables() if self.record.is_readable(frames=True) else {}


@dataclass(frozen=True)
class Outcome:
    """The outcome of one comparison of a claim: by the metrics of one test set, or by costs.

    Attributes:
        claim: the claim.
        comparison: one of its comparisons.
        key: key of ``metrics.json``; the comparison's ``metric`` for costs, and where no run has such a key.
        pairs: seed to the values of ``arm`` and ``than``; NaN where a run has none.
        interval: mean difference with its confidence interval, ``arm`` minus ``than``, over the seeds that have both.
        verdict: what follows from the interval.
        reason: why nothing can be decided, where metrics are missing; else empty.
        scenes: the same difference over scenes; None without per-image metrics.
    """

    claim: Claim
    comparison: Comparison
    key: str
    pairs: dict[int, tuple[float, float]]
    interval: Interval
    verdict: Verdict
    reason: str
    scenes: SceneTest | None

    @property
    def differences(self) -> dict[int, float]:
        """Return ``arm`` minus ``than`` of each seed."""
        return {seed: first - second for seed, (first, second) in self.pairs.items()}

    @property
    def dataset(self) -> str:
        """Name of the test set; empty where no run has the metric."""
        return self.key.split("/")[1] if self.key.startswith("test/") else ""


@dataclass(frozen=True)
class ClaimState:
    """What is known of a claim on one test set, or by costs.

    Attributes:
        claim: the claim.
        dataset: name of the test set; empty where no run has the metrics, and of costs.
        verdict: verdict on all its comparisons together.
        outcomes: outcome of each comparison.
    """

    claim: Claim
    dataset: str
    verdict: Verdict
    outcomes: tuple[Outcome, ...]


def claim_states(outcomes: Sequence[Outcome]) -> list[ClaimState]:
    """Return the verdicts of whole claims, one for each test set.

    A comparison whose metric no run has on a test set leaves the claim open there only if no other test set has it:
    which sets have boundaries, or segments, differs.
    """
    states = []
    by_claim: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        by_claim.setdefault(id(outcome.claim), []).append(outcome)
    for own in by_claim.values():
        claim = own[0].claim
        placed = [outcome for outcome in own if outcome.dataset]
        homeless = tuple(outcome for outcome in own if not outcome.dataset)
        for dataset in dict.fromkeys(outcome.dataset for outcome in placed) or [""]:
            here = (*(outcome for outcome in placed if outcome.dataset == dataset), *homeless)
            verdicts = [outcome.verdict for outcome in here]
            decided = claim.of.decide(verdicts.count("holds"), verdicts.count("does not hold"), len(verdicts))
            verdict: Verdict = "undecided" if decided is None else "holds" if decided else "does not hold"
            states.append(ClaimState(claim, dataset, verdict, here))
    return states


def judge_claims(spec: ClaimsSpec, runs: Sequence[ArmRun]) -> list[Outcome]:
    """Return the outcome of each comparison of each claim, on each test set that has the metric."""
    by_place = {(run.arm, run.seed): run for run in runs}
    outcomes = []
    for claim, comparison in spec.comparisons:
        if comparison.is_cost:
            outcomes.append(_cost_outcome(spec, claim, comparison))
            continue
        own = [run for run in runs if run.arm in (comparison.arm, comparison.than)]
        keys = matching_keys(own, comparison.metric) or [comparison.metric]
        outcomes += [_outcome(spec, claim, comparison, key, by_place) for key in keys]
    return outcomes


def _cost_outcome(spec: ClaimsSpec, claim: Claim, comparison: Comparison) -> Outcome:
    """Judge a comparison of costs, which have no spread: the difference itself decides."""
    arms = (comparison.arm, comparison.than)
    first, second = (cost_of([shlex.split(part) for part in spec.arms[arm]])[comparison.metric] for arm in arms)
    difference = first - second
    better = comparison.direction.sign * difference - comparison.margin
    return Outcome(
        claim=claim,
        comparison=comparison,
        key=comparison.metric,
        pairs={0: (first, second)},
        interval=Interval(difference, difference, difference),
        verdict="undecided" if better == 0 else "holds" if better > 0 else "does not hold",
        reason="",
        scenes=None,
    )


def matching_keys(runs: Sequence[ArmRun], metric: str) -> list[str]:
    """Return the keys ``test/<data set>/<metric>`` of any run's ``metrics.json`` that a claim's metric names.

    ``delta1`` is that of every test set but variants of one; ``nyuv2/delta1`` that of one; ``noise2/delta1`` and
    ``*_noise2/delta1`` that of the variant ``noise2`` of every test set.
    """
    keys = sorted({key for run in runs for key in run.metrics if key.startswith("test/")})
    variants = {
        name: shown["variant"] for run in runs if run.metrics for name, shown in variants_in(run.record.folder).items()
    }
    return [key for key in keys if _names(metric, key, variants)]


def _names(metric: str, key: str, variants: Mapping[str, str]) -> bool:
    """Return whether a claim's metric names a key; ``variants`` are test set to variant."""
    _, dataset, own = (*key.split("/", 2), "", "")[:3]
    if "/" not in metric:
        return own == metric and dataset not in variants
    return any(fnmatchcase(f"{name}/{own}", metric) for name in (dataset, variants.get(dataset, dataset)))


def _outcome(
    spec: ClaimsSpec, claim: Claim, comparison: Comparison, key: str, runs: Mapping[tuple[str, int], ArmRun]
) -> Outcome:
    arms = (comparison.arm, comparison.than)
    first, second = ([runs[arm, seed].metrics.get(key, math.nan) for seed in spec.seeds] for arm in arms)
    pairs = dict(zip(spec.seeds, zip(first, second, strict=True), strict=True))
    differences = [first - second for first, second in pairs.values()]
    reason = "; ".join(filter(None, (_lacking(runs[arm, seed], key) for seed in spec.seeds for arm in arms)))
    return Outcome(
        claim=claim,
        comparison=comparison,
        key=key,
        pairs=pairs,
        interval=seed_interval([value for value in differences if math.isfinite(value)]),
        verdict=judge(differences, comparison.direction, comparison.margin),
        reason=reason,
        scenes=_over_scenes(key, [(runs[arms[0], seed], runs[arms[1], seed]) for seed in spec.seeds]),
    )


def _lacking(run: ArmRun, key: str) -> str:
    """Return what is wrong with a run's value of a metric; empty if nothing is."""
    place = f"{run.arm}, seed {run.seed}"
    if not run.metrics:
        return f"{place}: not finished"
    if key not in run.metrics:
        return f"{place}: has no `{key}`"
    return "" if math.isfinite(run.metrics[key]) else f"{place}: not finite"


def _over_scenes(key: str, pairs: Sequence[tuple[ArmRun, ArmRun]]) -> SceneTest | None:
    """Test the difference of each scene: the mean over its frames and the seeds."""
    _, dataset, metric = (*key.split("/", 2), "", "")[:3]
    by_scene: dict[str, list[float]] = {}
    for pair in pairs:
        tables = [run.frames.get(dataset) for run in pair]
        values = [_by_frame(table, metric) for table in tables if table is not None]
        if len(values) < len(tables) or not all(values):
            return None
        for frame in sorted(values[0].keys() & values[1].keys()):
            by_scene.setdefault(frame[1], []).append(values[0][frame] - values[1][frame])
    if not by_scene:
        return None
    return scene_test([float(np.mean(by_scene[scene])) for scene in sorted(by_scene)])


def _by_frame(table: FrameTable, metric: str) -> dict[tuple[int, str, str], float]:
    """Map each frame that has a value of a metric to that value."""
    values = zip(table.frames, table.metrics.get(metric, []), strict=False)
    return {frame: value for frame, value in values if math.isfinite(value)}
