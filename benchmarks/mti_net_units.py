"""Which unit do guided MTI-Net's published errors have? An experiment on depth maps whose metres are known.

The paper reports tiny absolute errors of depth "normalized to the range [0, 1]" beside low deltas. Deltas are shares of
ratios and know no unit, but they bound the absolute errors from below: a pixel outside delta1 is wrong by a fifth of
its depth or more. So predictions are made that have the published deltas on given depth maps, and their errors are
printed in every unit that the paper may have had.

    python -m benchmarks.mti_net_units                  Rooms
    python -m benchmarks.mti_net_units --root FOLDER    NYUv2's labelled file in FOLDER, in-painted as in the paper
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from datamodules import NYUv2DataModule, RoomsDataModule
from experiments.results.published import read_published

#: Metres that are 1, by how depth may have been normalised. The last divides by 1000, as one does with millimetres, the
#: 8-bit pictures in which NYUv2's depth is passed around (255 for 10 m).
UNITS = {"metres": 1.0, "of 10 m": 10.0, "8 bit / 1000": 10.0 * 1000 / 255}

Pixels = NDArray[np.float64]


def least_wrong(depth: Pixels, deltas: Sequence[float], *, nearest: bool, seed: int = 0) -> Pixels:
    """Return the prediction that has given deltas and errors as small as they allow.

    A share of ``deltas[0]`` of the pixels is exactly right, the next share too near by just a factor 1.25, then 1.25
    squared, then cubed: an overestimate by the same ratio is further off.

    Args:
        depth: (N,) metres.
        deltas: delta1, delta2, delta3.
        nearest: the most wrong pixels are the nearest ones, where a ratio costs least: no prediction with these deltas
            has a smaller mean error. Else they are anywhere.
        seed: of where.
    """
    order = np.argsort(depth) if nearest else np.random.default_rng(seed).permutation(len(depth))
    bounds = [0, *(round((1 - delta) * len(depth)) for delta in reversed(deltas))]
    predicted = depth.copy()
    for power, (first, last) in zip((3, 2, 1), pairwise(bounds), strict=True):
        predicted[order[first:last]] /= 1.25**power
    return predicted


def depth_metrics(predicted: Pixels, depth: Pixels) -> dict[str, float]:
    """Return ``mae`` and ``rmse`` in metres, and ``delta1`` to ``delta3``."""
    error, ratio = predicted - depth, np.maximum(predicted / depth, depth / predicted)
    deltas = {f"delta{i}": float((ratio < 1.25**i - 1e-9).mean()) for i in (1, 2, 3)}
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt((error**2).mean())), **deltas}


def published() -> dict[str, float]:
    """Return guided MTI-Net's published metrics, by metric."""
    rows = (row for table in read_published() for row in table.rows if row.experiment == "mti_net_guided")
    return {metric: float(value) for row in rows for metric, value in row.values.items()}


def depths(module: NYUv2DataModule, frames: int) -> list[Pixels]:
    """Return the valid depths, (N,) metres, of frames evenly spread over a data set, every fourth row and column."""
    chosen = np.linspace(0, len(module.reader) - 1, min(frames, len(module.reader))).round().astype(int)
    maps = (module.reader.read_depth(int(position))[0, ::4, ::4].double().numpy() for position in chosen)
    return [map_[map_ > 0] for map_ in maps]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="folder of NYUv2's labelled file; Rooms without it")
    parser.add_argument("--frames", type=int, default=500)
    options = parser.parse_args()
    module = (
        NYUv2DataModule(options.root, layout="labeled", depth="filled")
        if options.root
        else RoomsDataModule(depth="filled")
    )
    module.prepare_data()
    maps = depths(module, options.frames)
    depth = np.concatenate(maps)
    paper = published()
    deltas = [paper[f"delta{i}"] for i in (1, 2, 3)]
    predictions = {
        "least error of these deltas, nearest pixels wrong": least_wrong(depth, deltas, nearest=True),
        "least error of these deltas, any pixels wrong": least_wrong(depth, deltas, nearest=False),
        "the median depth everywhere": np.full_like(depth, np.median(depth)),
    }
    tallest = float(np.mean([map_.max() for map_ in maps]))
    units = {**UNITS, "of the image's largest depth": tallest}
    title = f"{module.name}: {len(maps)} frames, mean depth {depth.mean():.2f} m, largest of an image {tallest:.2f} m"
    table = Table("prediction", "δ1", "δ2", "δ3", *(f"MAE / RMSE, {unit}" for unit in units), title=title)
    for name, predicted in predictions.items():
        found = depth_metrics(predicted, depth)
        shares = (f"{found[f'delta{i}']:.3f}" for i in (1, 2, 3))
        errors = (f"{found['mae'] / unit:.4f} / {found['rmse'] / unit:.4f}" for unit in units.values())
        table.add_row(name, *shares, *errors)
    errors = [f"{paper['mae_unit']:.4f} / {paper['rmse_unit']:.4f}"] * len(units)
    table.add_row("published, in an unknown unit", *(f"{delta:.3f}" for delta in deltas), *errors)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
