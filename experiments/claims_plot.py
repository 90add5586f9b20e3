"""The figure of a claims report: every seed of every arm, metric by metric."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.claims_facts import published_pairs
from experiments.claims_outcomes import ArmRun, Outcome
from experiments.claims_spec import ClaimsSpec, Direction

COLUMNS = 3

#: One colour an arm, of Okabe and Ito's palette, which colour-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def write_figure(path: Path, spec: ClaimsSpec, runs: Sequence[ArmRun], outcomes: Sequence[Outcome]) -> None:
    """Draw one panel a metric and test set: the arms as rows, seeds as dots, means as bars.

    Args:
        path: of the picture.
        spec: the claims file.
        runs: of all arms and seeds.
        outcomes: of its claims.
    """
    keys = list(dict.fromkeys(outcome.key for outcome in outcomes))
    rows = math.ceil(len(keys) / COLUMNS)
    height = 0.95 + 0.34 * len(spec.arms)
    figure = Figure(figsize=(4.0 * COLUMNS, height * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for ax, key in zip(axes, keys, strict=False):
        _panel(ax, key, spec, runs, [outcome for outcome in outcomes if outcome.key == key])
    for ax in axes[len(keys) :]:
        ax.remove()
    figure.savefig(path, dpi=130)


def _panel(ax: Axes, key: str, spec: ClaimsSpec, runs: Sequence[ArmRun], about: Sequence[Outcome]) -> None:
    arms = list(spec.arms)
    for place, arm in enumerate(arms):
        values = np.array([run.figures.get(key, math.nan) for run in runs if run.arm == arm])
        values = values[np.isfinite(values)]
        color = COLORS[place % len(COLORS)]
        offsets = np.linspace(-0.13, 0.13, len(values)) if len(values) > 1 else np.zeros(len(values))
        ax.scatter(values, place + offsets, s=26, color=color, alpha=0.75, linewidths=0, zorder=3)
        if len(values):
            ax.vlines(values.mean(), place - 0.3, place + 0.3, color=color, linewidth=2.5)
    ax.set_yticks(range(len(arms)), arms)
    ax.set_ylim(len(arms) - 0.45, -0.55)
    ax.margins(x=0.12)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False, labelsize=8)
    ax.locator_params(axis="x", nbins=5)
    claim = about[0].claim
    better = "higher is better →" if claim.direction is Direction.higher else "← lower is better"
    ax.set_title(f"{key.removeprefix('test/')}   {better}", fontsize=9, loc="left")
    verdicts = "; ".join(outcome.verdict + _margin(outcome) for outcome in about)
    published = published_pairs(spec, claim.metric, claim.arm, claim.than)
    quoted = [
        f"published: {claim.than} {pair.than}, {claim.arm} {pair.arm} ({pair.place.rpartition(', ')[2]})"
        for pair in published
    ]
    ax.set_xlabel("\n".join([verdicts, *quoted]), fontsize=7.5, color="0.35", loc="left")


def _margin(outcome: Outcome) -> str:
    return f" (margin {outcome.claim.margin:+g})" if outcome.claim.margin else ""
