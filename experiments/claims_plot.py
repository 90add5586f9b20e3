"""The figure of a claims report: every seed of every arm, metric by metric."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.claims_facts import published_pairs
from experiments.claims_numbers import interval_text
from experiments.claims_outcomes import ArmRun, Outcome
from experiments.claims_spec import ClaimsSpec, Direction
from experiments.table_layout import MINUS

COLUMNS = 3

#: One colour an arm, of Okabe and Ito's palette, which colour-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def write_figure(path: Path, spec: ClaimsSpec, runs: Sequence[ArmRun], outcomes: Sequence[Outcome]) -> None:
    """Draw one panel a metric and test set: the arms as rows, seeds as dots, means as bars, runs of a seed joined.

    Args:
        path: of the picture.
        spec: the claims file.
        runs: of all arms and seeds.
        outcomes: of its claims.
    """
    keys = list(dict.fromkeys(outcome.key for outcome in outcomes))
    rows = math.ceil(len(keys) / COLUMNS)
    most = max((len({o.claim.than for o in outcomes if o.key == key}) for key in keys), default=1)
    height = 0.85 + 0.34 * len(spec.arms) + 0.25 * most
    figure = Figure(figsize=(4.0 * COLUMNS, height * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for ax, key in zip(axes, keys, strict=False):
        _panel(ax, key, spec, runs, [outcome for outcome in outcomes if outcome.key == key])
    for ax in axes[len(keys) :]:
        ax.remove()
    figure.savefig(path, dpi=130)


def _panel(ax: Axes, key: str, spec: ClaimsSpec, runs: Sequence[ArmRun], about: Sequence[Outcome]) -> None:
    places = np.arange(len(spec.arms))
    offsets = np.linspace(-0.13, 0.13, len(spec.seeds))
    by_run = {(run.arm, run.seed): run.figures.get(key, math.nan) for run in runs}
    values = np.array([[by_run.get((arm, seed), math.nan) for seed in spec.seeds] for arm in spec.arms])
    values[~np.isfinite(values)] = math.nan
    for place, own in zip(places, values, strict=True):
        color = COLORS[place % len(COLORS)]
        ax.scatter(own, place + offsets, s=26, color=color, alpha=0.75, linewidths=0, zorder=3)
        if not np.isnan(own).all():
            ax.vlines(np.nanmean(own), place - 0.3, place + 0.3, color=color, linewidth=2.5)
    for of_seed, offset in zip(values.T, offsets, strict=True):  # what is compared: runs of one seed
        ax.plot(of_seed, places + offset, color="0.75", linewidth=0.8, zorder=1)
    ax.set_yticks(places, list(spec.arms))
    ax.set_ylim(len(places) - 0.45, -0.55)
    ax.margins(x=0.12)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False, labelsize=8)
    ax.locator_params(axis="x", nbins=5)
    claim = about[0].claim
    better = "higher is better →" if claim.direction is Direction.higher else "← lower is better"
    ax.set_title(f"{key.removeprefix('test/')}   {better}", fontsize=9, loc="left")
    published = published_pairs(spec, claim.metric, claim.arm, claim.than)
    quoted = [
        f"published: {claim.than} {pair.than}, {claim.arm} {pair.arm} ({pair.place.rpartition(', ')[2]})"
        for pair in published
    ]
    ax.set_xlabel("\n".join([*_judgements(about), *quoted]), fontsize=7.5, color="0.35", loc="left")


def _judgements(about: Sequence[Outcome]) -> list[str]:
    """For each pair of arms a line with the difference and its interval, and one with the verdicts."""
    by_pair: dict[str, list[str]] = {}
    for outcome in about:
        claim = outcome.claim
        margin = f" (margin {claim.margin:+g})".replace("-", MINUS) if claim.margin else ""
        pair = f"{claim.arm} {MINUS} {claim.than}: {interval_text(outcome.interval)}"
        by_pair.setdefault(pair, []).append(outcome.verdict + margin)
    return [line for pair, verdicts in by_pair.items() for line in (pair, "; ".join(verdicts))]
