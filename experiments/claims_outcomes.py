"""From finished runs to the outcome of each claim."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from experiments.claims_spec import Claim, ClaimsSpec
from experiments.claims_statistics import Interval, SceneTest, Verdict, judge, scene_test, seed_interval
from experiments.comparison.run_records import FrameTable, RunRecord
from experiments.finished_runs import read_json, variants_in


@dataclass(frozen=True)
class ArmRun:
    """A run of an arm.

    Attributes:
        arm: its name.
        seed: its seed.
        record: the run's folder.
    """

    arm: str
    seed: int
    record: RunRecord

    @cached_property
    def figures(self) -> dict[str, float]:
        """``metrics.json``, NaN for a figure that is not finite; empty if the run is not finished."""
        content = read_json(self.record.folder / "metrics.json")
        return {key: math.nan if value is None else float(value) for key, value in content.items()}

    @cached_property
    def frames(self) -> dict[str, FrameTable]:
        """``per_image.csv``, by test set."""
        return self.record.frame_tables()


@dataclass(frozen=True)
class Outcome:
    """A claim held against the figures of one test set.

    Attributes:
        claim: the claim.
        key: of ``metrics.json``; the claim's ``metric`` where no run has it.
        pairs: seed to the figures of ``arm`` and ``than``; NaN where a run does not have it.
        interval: of the mean difference, ``arm`` minus ``than``, over the seeds that have both.
        verdict: what follows from it.
        reason: why nothing can be decided, if figures are lacking.
        scenes: the same difference over scenes; None without figures of single images.
    """

    claim: Claim
    key: str
    pairs: dict[int, tuple[float, float]]
    interval: Interval
    verdict: Verdict
    reason: str
    scenes: SceneTest | None

    @property
    def differences(self) -> dict[int, float]:
        """``arm`` minus ``than`` of each seed."""
        return {seed: first - second for seed, (first, second) in self.pairs.items()}

    @property
    def dataset(self) -> str:
        """Name of the test set; empty where no run has the figure."""
        return self.key.split("/")[1] if self.key.startswith("test/") else ""


def judge_claims(spec: ClaimsSpec, runs: Sequence[ArmRun]) -> list[Outcome]:
    """The outcome of each claim, on each test set that has the figure."""
    by_place = {(run.arm, run.seed): run for run in runs}
    outcomes = []
    for claim in spec.claims:
        own = [run for run in runs if run.arm in (claim.arm, claim.than)]
        outcomes += [_outcome(spec, claim, key, by_place) for key in matching_keys(own, claim.metric) or [claim.metric]]
    return outcomes


def matching_keys(runs: Sequence[ArmRun], metric: str) -> list[str]:
    """Keys of ``metrics.json`` of any run that end in a metric; of variants of a test set only if the metric names one.

    ``noise2/delta1`` names the variant ``noise2`` of every test set, ``rooms_noise2/delta1`` that of one.
    """
    keys = sorted({key for run in runs for key in run.figures if key.startswith("test/")})
    variants = {name: shown["variant"] for run in runs for name, shown in variants_in(run.record.folder).items()}
    return [key for key in keys if metric in _spellings(key, variants)]


def _spellings(key: str, variants: Mapping[str, str]) -> set[str]:
    """How a claim may name the figure of a key ``test/<data set>/<metric>``; variants by their names in keys."""
    _, dataset, metric = (*key.split("/", 2), "", "")[:3]
    own = f"{dataset}/{metric}"
    return {own, f"{variants[dataset]}/{metric}"} if dataset in variants else {own, metric}


def _outcome(spec: ClaimsSpec, claim: Claim, key: str, runs: Mapping[tuple[str, int], ArmRun]) -> Outcome:
    arms = (claim.arm, claim.than)
    pairs = {
        seed: (runs[claim.arm, seed].figures.get(key, math.nan), runs[claim.than, seed].figures.get(key, math.nan))
        for seed in spec.seeds
    }
    differences = [first - second for first, second in pairs.values()]
    reason = "; ".join(filter(None, (_lacking(runs[arm, seed], key) for seed in spec.seeds for arm in arms)))
    return Outcome(
        claim=claim,
        key=key,
        pairs=pairs,
        interval=seed_interval([value for value in differences if math.isfinite(value)]),
        verdict=judge(differences, claim.direction, claim.margin),
        reason=reason,
        scenes=_over_scenes(key, [(runs[claim.arm, seed], runs[claim.than, seed]) for seed in spec.seeds]),
    )


def _lacking(run: ArmRun, key: str) -> str:
    """What is wrong with a run's figure, or nothing."""
    place = f"{run.arm}, seed {run.seed}"
    if not run.figures:
        return f"{place}: not finished"
    if key not in run.figures:
        return f"{place}: has no `{key}`"
    return "" if math.isfinite(run.figures[key]) else f"{place}: not finite"


def _over_scenes(key: str, pairs: Sequence[tuple[ArmRun, ArmRun]]) -> SceneTest | None:
    """Test on the difference of each scene: the mean over its frames and the seeds."""
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
    """Frame to its figure, of the frames that have one."""
    values = zip(table.frames, table.figures.get(metric, []), strict=False)
    return {frame: value for frame, value in values if math.isfinite(value)}
