"""The plot of a claims report: every seed of every arm, metric by metric."""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from callbacks.pictures import picture_files
from experiments.judging.claim import ClaimsSpec, Direction
from experiments.judging.outcomes import ArmRun, Outcome
from experiments.judging.printed_tables import pairs_of_arms
from experiments.judging.report import interval_text
from experiments.results.table_layout import MINUS

COLUMNS = 3

#: Characters in a line of what stands below a panel, and of an arm's name beside it.
CAPTION_WIDTH, NAME_WIDTH = 47, 16

#: One colour an arm, of Okabe and Ito's palette, which colour-blind readers can tell apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def write_figure(path: Path, spec: ClaimsSpec, runs: Sequence[ArmRun], outcomes: Sequence[Outcome]) -> None:
    """Draw one panel a metric and test set: the arms as rows, seeds as dots, means as bars, runs of a seed joined.

    Args:
        path: picture to write.
        spec: the claims file.
        runs: runs of all arms and seeds.
        outcomes: outcomes of the file's claims; costs, which have no spread, are left out.
    """
    outcomes = [outcome for outcome in outcomes if not outcome.comparison.is_cost]
    by_key: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_key.setdefault(outcome.key, []).append(outcome)
    captions = {key: _caption(spec, about) for key, about in by_key.items()}
    rows = math.ceil(len(by_key) / COLUMNS)
    arms = max(len(arms_of(spec, about)) for about in by_key.values())
    height = 0.7 + 0.34 * arms + 0.14 * max(caption.count("\n") + 1 for caption in captions.values())
    figure = Figure(figsize=(4.0 * COLUMNS, height * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).flatten()
    for ax, (key, about) in zip(axes, by_key.items(), strict=False):
        _panel(ax, key, spec, runs, about)
        ax.set_xlabel(captions[key], fontsize=7.5, color="0.35", loc="left")
    for ax in axes[len(by_key) :]:
        ax.remove()
    picture_files.write_figure(figure, path, dpi=130)


def arms_of(spec: ClaimsSpec, about: Sequence[Outcome]) -> list[str]:
    """Return the arms that some outcomes compare, in the file's order."""
    compared = {arm for outcome in about for arm in (outcome.comparison.arm, outcome.comparison.than)}
    return [arm for arm in spec.trained if arm in compared]


def _panel(ax: Axes, key: str, spec: ClaimsSpec, runs: Sequence[ArmRun], about: Sequence[Outcome]) -> None:
    arms = arms_of(spec, about)
    places = np.arange(len(arms))
    offsets = np.linspace(-0.13, 0.13, len(spec.seeds))
    by_run = {(run.arm, run.seed): run.metrics.get(key, math.nan) for run in runs}
    values = np.array([[by_run.get((arm, seed), math.nan) for seed in spec.seeds] for arm in arms])
    values[~np.isfinite(values)] = math.nan
    for place, arm, own in zip(places, arms, values, strict=True):
        color = COLORS[spec.trained.index(arm) % len(COLORS)]
        ax.scatter(own, place + offsets, s=26, color=color, alpha=0.75, linewidths=0, zorder=3)
        if not np.isnan(own).all():
            ax.vlines(np.nanmean(own), place - 0.3, place + 0.3, color=color, linewidth=2.5)
    for of_seed, offset in zip(values.T, offsets, strict=True):  # what is compared: runs of one seed
        ax.plot(of_seed, places + offset, color="0.75", linewidth=0.8, zorder=1)
    ax.set_yticks(places, [textwrap.fill(arm, NAME_WIDTH) for arm in arms])
    ax.set_ylim(len(places) - 0.45, -0.55)
    ax.margins(x=0.12)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False, labelsize=8)
    ax.locator_params(axis="x", nbins=5)
    better = "higher is better →" if about[0].comparison.direction is Direction.higher else "← lower is better"
    ax.set_title(f"{key.removeprefix('test/')}   {better}", fontsize=9, loc="left")


def _caption(spec: ClaimsSpec, about: Sequence[Outcome]) -> str:
    """Return the text below a panel: differences, verdicts and what is published, in lines that fit."""
    comparison = about[0].comparison
    quoted = [
        f"published{', doubted' if pair.notes else ''}: {comparison.than} {pair.than}, {comparison.arm} {pair.arm} "
        f"({pair.place.rpartition(', ')[2]})"
        for pair in pairs_of_arms(spec, comparison)
    ]
    return "\n".join(textwrap.fill(line, CAPTION_WIDTH) for line in [*_judgements(about), *quoted])


def _judgements(about: Sequence[Outcome]) -> list[str]:
    """Return, for each pair of arms, a line with the difference and its interval, and one with the verdicts."""
    by_pair: dict[str, list[str]] = {}
    for outcome in about:
        comparison = outcome.comparison
        margin = f" (margin {comparison.margin:+g})".replace("-", MINUS) if comparison.margin else ""
        pair = f"{comparison.arm} {MINUS} {comparison.than}: {interval_text(outcome.interval)}"
        by_pair.setdefault(pair, []).append(outcome.verdict + margin)
    return [line for pair, verdicts in by_pair.items() for line in (pair, "; ".join(verdicts))]
