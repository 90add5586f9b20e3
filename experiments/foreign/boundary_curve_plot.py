"""The picture of `segdepth evaluate --boundary_curve`."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from callbacks.pictures.picture_files import write_figure
from experiments.judging.report_plot import COLORS
from lightning_modules.metrics import BoundaryProtocol, describe

#: Upper threshold to metrics by name.
Curve = Mapping[float, Mapping[str, float]]

#: Of each panel the metric, and what it is; ``{t}`` is the distance at which truncated ones end.
PANELS = {
    "boundary_acc": "ε_a, truncated at {t:g} px",
    "boundary_comp": "ε_c, truncated at {t:g} px",
    "boundary_f1": "F1, within {tolerance:g} px",
    "chamfer_pred_to_gt": "ε_a, untruncated: prediction to truth",
    "chamfer_gt_to_pred": "ε_c, untruncated: truth to prediction",
    "boundary_empty": "frames without an edge",
}


def draw_curves(path: Path, dataset: str, curves: Mapping[str, Curve], boundary: BoundaryProtocol) -> None:
    """Draw a panel a metric, and a line a prediction set; dashed, the mean over the frames that have an edge."""
    figure = Figure(figsize=(13, 7.6), layout="constrained")
    axes = figure.subplots(2, 3).flatten()
    protocol = f"the protocol's thresholds, {boundary.low:g} / {boundary.high:g}"
    highs = list(next(iter(curves.values())))
    for ax, (key, title) in zip(axes, PANELS.items(), strict=True):
        for place, (name, curve) in enumerate(curves.items()):
            _line(ax, key, curve, name, COLORS[place % len(COLORS)])
        ax.axvline(boundary.high, color="0.4", linestyle=":", label=protocol)
        ax.set_title(title.format(t=boundary.max_distance, tolerance=boundary.tolerance), fontsize=10)
        ax.set_xscale("log")
        ax.set_xticks(highs, [f"{high:g}" for high in highs], fontsize=7, rotation=45)
        ax.minorticks_off()
        if key.startswith("chamfer"):  # a pixel, or the frame's diagonal
            ax.set_yscale("symlog", linthresh=1)
            ax.yaxis.set_major_formatter("{x:g}")
        info = describe(key)
        direction = "higher is better" if info.higher_is_better else "lower is better"
        ax.set_ylabel(", ".join(filter(None, [info.unit, direction])) if key != "boundary_empty" else "% of frames")
        ax.set_ylim(bottom=0)
        ax.grid(alpha=0.3)
    ratio = boundary.low / boundary.high if boundary.high else 0.0
    for ax in axes[3:]:
        ax.set_xlabel(f"Canny's upper threshold (the lower is {ratio:g} of it)")
    handles, labels = axes[3].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)), fontsize=9, frameon=False)
    frames = max(metrics["boundary_images"] for curve in curves.values() for metrics in curve.values())
    figure.suptitle(f"Boundary metrics on {dataset} over Canny's thresholds, {frames:.0f} frames", fontsize=12)
    write_figure(figure, path, dpi=110)


def _line(ax: Axes, key: str, curve: Curve, name: str, color: str) -> None:
    highs = list(curve)
    scale = [100 / metrics["boundary_images"] if key == "boundary_empty" else 1.0 for metrics in curve.values()]
    values = [factor * metrics[key] for factor, metrics in zip(scale, curve.values(), strict=True)]
    ax.plot(highs, values, color=color, marker="o", markersize=3.5, label=name)
    nonempty = f"{key}_nonempty"
    if all(nonempty in metrics for metrics in curve.values()):
        others = [metrics[nonempty] for metrics in curve.values()]
        ax.plot(highs, others, color=color, linestyle="--", linewidth=1, label=f"{name}, frames with an edge")
