"""The published numbers: ``published.csv``, what its metrics are called here, and on which data they were measured."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from experiments.config.compose import EXPERIMENTS, ConfigError
from experiments.config.suggest import nearest
from experiments.results.metric_facts import sign_of

COLUMNS = ("paper", "table", "experiment", "method", "train_data", "test_data", "metric", "value")

PAPERS = {
    "shed": "SHED",
    "semantic_md": "Semantic-MD",
    "mti_net": "guided MTI-Net",
    "region_support": "Region Support Network",
}


@dataclass(frozen=True)
class Metric:
    """A column of a published table.

    Attributes:
        label: heading of the column.
        key: name of the metric in ``metrics.json``; None if testing does not give it.
        logged: name of a validation metric in ``history.jsonl``, whose best value is compared; None for test metrics.
        unit: size in metres of the published value's unit; None for metrics that are not lengths.
        note: remark that a reader needs to compare values.
        also: names of further columns in which the same printed value stands, where it is not clear what was measured.
    """

    label: str
    key: str | None
    unit: float | None = None
    note: str = ""
    logged: str | None = None
    also: tuple[str, ...] = ()

    @property
    def better(self) -> Literal["↑", "↓"]:
        """Return whether higher or lower is better."""
        return "↑" if sign_of(self.key or self.logged or "") > 0 else "↓"


METRICS = {
    "delta1": Metric("δ1", "delta1"),
    "delta2": Metric("δ2", "delta2"),
    "delta3": Metric("δ3", "delta3"),
    "abs_rel": Metric("AbsRel", "abs_rel"),
    "rmse": Metric("RMSE", "rmse", unit=1.0),
    "log10": Metric("log10", "log10"),
    "rmse_log_as_printed": Metric(
        "RMSE-log", "rmse_log",
        note="RMSE-log is as printed: of natural logarithms in the authors' own rows, partly of log10 in quoted rows.",
    ),
    "rmse_log10": Metric("RMSE-log10", "rmse_log10"),
    "mae_unit": Metric("MAE (/10 m)", "mae", unit=10.0),
    "rmse_unit": Metric("RMSE (/10 m)", "rmse", unit=10.0),
    "best_val_depth_loss": Metric(
        "best val. loss", None, unit=10.0, logged="val/loss_depth",
        note="The best validation depth loss is the lowest val/loss_depth of the training, no test metric; the paper "
        "gives no weights of its terms, so it compares only with the same weights.",
    ),
    "pixel_accuracy": Metric("pixel acc.", "pixel_accuracy"),
    "boundary_eps_a": Metric(
        "ε_a truncated (px)", "boundary_acc", also=("boundary_eps_a_untruncated",),
        note="ε_a and ε_c are printed as average chamfer distances in two directions, without constants: the same "
        "value stands under both definitions, truncated as iBims-1 has them, and untruncated. Canny's thresholds are "
        "those of the remark.",
    ),
    "boundary_eps_a_untruncated": Metric("ε_a untruncated (px)", "chamfer_pred_to_gt"),
    "boundary_eps_c": Metric("ε_c truncated (px)", "boundary_comp", also=("boundary_eps_c_untruncated",)),
    "boundary_eps_c_untruncated": Metric("ε_c untruncated (px)", "chamfer_gt_to_pred"),
    "object_delta1": Metric("object δ1", "object_delta1"),
    "object_abs_rel": Metric("object AbsRel", "object_abs_rel"),
    "object_rmse": Metric("object RMSE", "object_rmse", unit=1.0),
    "object_log10": Metric("object log10", "object_log10"),
    "chamfer3d_precision": Metric("precision (m)", "chamfer3d_precision", unit=1.0),
    "chamfer3d_recall": Metric("recall (m)", "chamfer3d_recall", unit=1.0),
    "scene_recall@1": Metric("scene recall@1", "scene_recall@1"),
    "scene_recall@3": Metric("scene recall@3", "scene_recall@3"),
    "scene_recall@5": Metric("scene recall@5", "scene_recall@5"),
    "frame_recall@5": Metric("frame recall@5", "frame_recall@5"),
    "region_rmse": Metric("region RMSE, to depth", "region_rmse", unit=1.0),
    "region_depth_variance": Metric("region variance, to depth", "region_error_variance", unit=1.0),
    "region_support_rmse": Metric("region RMSE, to support", "region_support_rmse", unit=1.0),
    "region_support_variance": Metric("region variance, to support", "region_variance", unit=1.0),
}  # fmt: skip


@dataclass(frozen=True)
class Conditions:
    """What a run must have been tested on to be compared.

    Attributes:
        name: name of the data set, as in metric keys.
        frames: number of frames that the paper tested on; None if unknown.
        protocol: name of the paper's evaluation protocol; None if the paper does not tell.
        options: options of the data set that select other frames or another depth.
        rough: whether the number of frames is known only roughly; then one within 5 % counts as the same.
    """

    name: str
    frames: int | None = None
    protocol: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    rough: bool = False

    def has_frames(self, frames: int | None) -> bool:
        """Return whether a number of frames is the paper's, as far as that is known."""
        if self.frames is None:
            return True
        return frames is not None and abs(frames - self.frames) <= (0.05 * self.frames if self.rough else 0)


TEST_DATA = {
    "NYUv2": Conditions("nyuv2", 654, "nyu_eigen", {"split": "official"}),
    "NYUv2-10%": Conditions("nyuv2", 145, "nyu_mti_unit", {"split": "random801010"}),
    "NYUv2-OC++": Conditions("nyuv2_oc", 654, None, {"split": "official"}),
    "NYUv2-raw-120K": Conditions("nyuv2_raw", 120_000, rough=True),
    "HyperSim-val": Conditions(
        "hypersim", 1203, "hypersim_semantic_md", {"frames": "semantic_md", "depth": "distance"}
    ),
    "NYU": Conditions("nyu_fused", 483, "nyu_region_support"),
    "NYU V1+V2": Conditions("nyu_fused", 483, "nyu_region_support"),
}  # fmt: skip

#: Training frames that a paper may have meant, by data set and number; any other number is a subset.
TRAINING_FRAMES = {
    "nyuv2": {795: "official split", 24231: "24K, BTS's list"},
    "nyuv2_oc": {795: "official split", 24231: "24K, BTS's list"},
    "hypersim": {
        59543: "official split", 53885: "Marigold's list", 19399: "Semantic-MD's list",
    },
}  # fmt: skip

#: Further experiments that repeat the rows of one, where the paper can be read in several ways.
OTHER_READINGS = {
    "shed_hybrid": ("shed_hybrid_24k",),
    "dpt_hybrid": ("dpt_hybrid_24k",),
    "shed_hybrid_hypersim": ("shed_hybrid_hypersim_matched",),
    "depth_anything_v2_small_hypersim": ("depth_anything_v2_small_hypersim_matched",),
}

#: Variants of a test set whose metrics stand beside a published row, with what they are called there.
GEOMETRIES = {"whole": "whole frames", "squeezed": "squeezed frames"}

#: Data sets that a run may have been trained on to be compared; NYUv2-OC++ annotates NYUv2's test frames only.
TRAIN_DATA = {
    "NYUv2": ("nyuv2", "nyuv2_oc"),
    "HyperSim": ("hypersim",),
    "NYU": ("nyu_fused",),
    "NYU V1+V2": ("nyu_fused",),
}


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table.

    Attributes:
        experiment: experiment of the suite that repeats it; empty for a method quoted from another paper.
        method: name of the method in the table.
        train_data: name of the data that it was trained on.
        test_data: name of the data that it was tested on.
        values: metric name to value, as printed.
    """

    experiment: str
    method: str
    train_data: str
    test_data: str
    values: dict[str, str] = field(default_factory=dict)

    @property
    def shown(self) -> dict[str, str]:
        """Return metric name to value, as printed, under each definition that it may have."""
        return {name: value for metric, value in self.values.items() for name in (metric, *METRICS[metric].also)}


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper; also values printed in a figure or in the text.

    Attributes:
        paper: short name of the paper, such as ``shed``.
        table: short name of the table, such as ``table2`` or ``fig6``.
        rows: rows in the order in which they are printed.
    """

    paper: str
    table: str
    rows: list[PublishedRow] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Return ``<paper>/<table>``."""
        return f"{self.paper}/{self.table}"

    @property
    def title(self) -> str:
        """Return the title for a reader: the paper, then the number of the table."""
        number = self.table.replace("table", "Table ").replace("fig", "Fig. ")
        return f"{PAPERS[self.paper]}, {number}"

    @property
    def metrics(self) -> list[str]:
        """Return all metrics, in order of appearance."""
        return list(dict.fromkeys(metric for row in self.rows for metric in row.shown))


def read_published(path: Path = EXPERIMENTS / "published.csv") -> list[PublishedTable]:
    """Read all published tables, in the file's order.

    Raises:
        ConfigError: naming file and line, if a name is unknown, a value no number, or a cell there twice.
    """
    known: dict[str, Mapping[str, object]] = {
        "paper": PAPERS, "train_data": TRAIN_DATA, "test_data": TEST_DATA, "metric": METRICS
    }  # fmt: skip
    tables: dict[tuple[str, str], PublishedTable] = {}
    rows: dict[tuple[str, ...], PublishedRow] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ConfigError(f"{path}: need the columns {','.join(COLUMNS)}")
        for cell in reader:
            place = f"{path}, line {reader.line_num}"
            for column, names in known.items():
                if cell[column] not in names:
                    raise ConfigError(f"{place}: no {column} `{cell[column]}`; known: {', '.join(names)}")
            try:
                float(cell["value"])
            except (TypeError, ValueError) as error:
                raise ConfigError(f"{place}: `{cell['value']}` is no number") from error
            names_of_table = cell["paper"], cell["table"]
            names_of_row = cell["experiment"], cell["method"], cell["train_data"], cell["test_data"]
            table = tables.setdefault(names_of_table, PublishedTable(*names_of_table))
            if (key := names_of_table + names_of_row) not in rows:
                rows[key] = PublishedRow(*names_of_row)
                table.rows.append(rows[key])
            if cell["metric"] in rows[key].values:
                raise ConfigError(f"{place}: {cell['metric']} of {cell['method']} is there twice")
            rows[key].values[cell["metric"]] = cell["value"]
    return list(tables.values())


def training_frames(data: Mapping[str, Any]) -> str:
    """Return the number of training frames, and which they are; empty where none is recorded.

    Args:
        data: what a run's record says of its data.
    """
    count = data.get("frames", {}).get("train")
    if not count:
        return ""
    known = TRAINING_FRAMES.get(data.get("name", ""), {})
    return f"{count:,}" + (f" ({known.get(count, 'a subset')})" if known else "")


def tables_of(experiment: str) -> list[str]:
    """Return the names, ``<paper>/<table>``, of the published tables of which an experiment repeats rows.

    An experiment of :data:`OTHER_READINGS` repeats the rows of the one that it reads otherwise.
    """
    names = {experiment, *(first for first, others in OTHER_READINGS.items() if experiment in others)}
    return [table.name for table in read_published() if any(row.experiment in names for row in table.rows)]


def select_tables(tables: Sequence[PublishedTable], names: Sequence[str]) -> list[PublishedTable]:
    """Return the tables that names (``shed``, or ``shed/table2``) select, in their own order; all without names.

    Raises:
        ConfigError: for a name that selects nothing.
    """
    for name in names:
        if not any(name in (table.paper, table.name) for table in tables):
            known = [*PAPERS, *(table.name for table in tables)]
            near = nearest(name, known)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            raise ConfigError(f"no published table `{name}`; known: {', '.join(known)}{meant}")
    return [table for table in tables if not names or table.paper in names or table.name in names]
