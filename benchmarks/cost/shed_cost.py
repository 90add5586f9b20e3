"""What SHED, and its light variant, cost against DPT-Hybrid: GFLOPs, time and memory, over image sizes and superpixels.

All networks have random weights (cost does not depend on them), the same parts and the same fusion width; SHED's
segments are 4/9, 2/9 and 1/9 of its superpixels, as published. GFLOPs are of the matrix products and convolutions that
really run: SHED's level convolutions are products of tokens where that is cheaper
(:mod:`lightning_modules.networks.shed.level_convolution`), and counted as such. Forwards are interleaved and compared
round by round, so that whatever else the machine does hits all; a ratio is the median of the rounds'. On the CPU,
processor time is compared as well: other programs disturb it less. Memory is what a training step keeps for its
backward pass, counted tensor by tensor with `torch.autograd.graph.saved_tensors_hooks` (weights and input left out),
and on CUDA also the peak that the allocator saw in forward and backward.

    make bench                                        384x384, 16-pixel superpixels, batch 1
    make bench ARGS="--quick"                         224x224, 3 rounds
    .venv/bin/python -m benchmarks.cost shed --sizes 224 384 512 640 768 --superpixels 12 16 24 --output docs
                                                      the cost curve: efficiency.csv and cost_curve.png
"""

import argparse
import csv
import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, ScalarFormatter
from rich.console import Console
from rich.table import Table
from timm.models.vision_transformer import Block
from torch import Tensor

from benchmarks.cost.measures import (
    MIB,
    Elapsed,
    gflops,
    gflops_inside,
    machine,
    make_parser,
    millions,
    peak_bytes,
    time_interleaved,
)
from experiments.judging.network_cost import grid_superpixels
from lightning_modules import SHED, DepthModule, DPTHybrid
from lightning_modules.metrics import EvalProtocol
from lightning_modules.networks.shed.graph_pooling import GraphPooling
from lightning_modules.networks.shed.options import LevelFusionRule

PROTOCOL = EvalProtocol("cost only", min_depth=1e-3, max_depth=10.0)

#: What superpixels of the published 384x384 are pooled to, as shares of their number.
SEGMENT_SHARES = (4 / 9, 2 / 9, 1 / 9)

DPT = "DPT-Hybrid"

#: Name to how level maps are fused: as published, and the light variant (experiment ``shed_light``).
VARIANTS: dict[str, LevelFusionRule] = {"SHED": "maps", "SHED light": "tokens"}

Batch = dict[str, Tensor]


@dataclass
class Cost:
    """One network on one kind of batch; a row of the CSV file.

    Attributes:
        method: its name.
        size: side of the square image, pixels.
        superpixel: side of a superpixel, pixels; a patch of DPT is 16.
        tokens: superpixels, or patches.
        batch: images.
        parameters: millions.
        gflops: of one image's forward, two operations for a multiply-add.
        gflops_blocks: of these, inside transformer blocks.
        gflops_pooling: of these, inside graph pooling.
        activations: MiB an image that a training forward keeps for its backward.
        peak: MiB that a training step allocates at most beyond weights and input; 0 where not measured (CPU).
        milliseconds: median time of a forward.
        images_per_second: throughput.
        time_ratio: to DPT-Hybrid in the same round, median of the rounds.
        processor_ratio: the same of the processor time of all threads; 0 where not measured (CUDA).
    """

    method: str
    size: int
    superpixel: int
    tokens: int
    batch: int
    parameters: float
    gflops: float
    gflops_blocks: float
    gflops_pooling: float
    activations: float
    peak: float = 0.0
    milliseconds: float = 0.0
    images_per_second: float = 0.0
    time_ratio: float = 1.0
    processor_ratio: float = 1.0


def activation_bytes(model: DepthModule, batch: Batch) -> int:
    """Return bytes of what a training forward keeps for its backward, each storage once, without weights and input."""
    given = [*model.parameters(), *model.buffers(), *batch.values()]
    known = {tensor.untyped_storage().data_ptr() for tensor in given}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no address is used twice

    def keep(tensor: Tensor) -> None:
        """Note the storage, and nothing for the backward: a node that held its own output would never be freed."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage

    model.train().requires_grad_()
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda nothing: nothing):
        model(batch).depth.mean()
    model.eval().requires_grad_(False)
    return sum(storage.nbytes() for storage in kept.values())


def training_peak(model: DepthModule, batch: Batch) -> int:
    """Return the bytes that a training step allocates at most beyond what there was before it; 0 on a CPU."""
    if batch["image"].device.type != "cuda":
        return 0

    def step() -> None:
        with torch.enable_grad():
            model(batch).depth.mean().backward()

    model.train().requires_grad_()
    peak = peak_bytes(step, "cuda")
    model.zero_grad(set_to_none=True)
    model.eval().requires_grad_(False)
    return peak


def make_batch(side: int, superpixel: int, images: int, device: str) -> Batch:
    """Return random images and their superpixels."""
    superpixels = grid_superpixels(side, side, superpixel).expand(images, -1, -1)
    return {"image": torch.randn(images, 3, side, side, device=device), "superpixels": superpixels.to(device)}


def make_shed(side: int, superpixel: int, level_fusion: LevelFusionRule, options: argparse.Namespace) -> SHED:
    """Return SHED with the published ratio of segments to superpixels."""
    count = (side // superpixel) ** 2
    return SHED(
        pretrained=False,
        width=options.width,
        segments=[round(share * count) for share in SEGMENT_SHARES],
        superpixel_size=superpixel,
        level_fusion=level_fusion,
        **module_options(options),
    )


def module_options(options: argparse.Namespace) -> dict:
    """Return the options that all networks share."""
    return {"protocol": PROTOCOL, "compile": options.compile, "channels_last": options.channels_last}


def count_cost(name: str, model: DepthModule, batch: Batch, superpixel: int) -> Cost:
    """Return the fields of a :class:`Cost` that need no clock; images are counted one by one."""
    side = batch["image"].shape[-1]
    one = {key: value[:1] for key, value in batch.items()}
    return Cost(
        method=name,
        size=side,
        superpixel=superpixel,
        tokens=(side // superpixel) ** 2,
        batch=len(batch["image"]),
        parameters=millions(model),
        gflops=gflops(lambda: model(one)),
        gflops_blocks=gflops_inside(model, Block, one),
        gflops_pooling=gflops_inside(model, GraphPooling, one),
        activations=activation_bytes(model, one) / MIB,
        peak=training_peak(model, batch) / MIB,
    )


def measure(side: int, superpixels: Sequence[int], images: int, options: argparse.Namespace) -> list[Cost]:
    """Return costs of DPT-Hybrid and of SHED's variants at each size of superpixels, DPT-Hybrid first."""
    models: dict[str, DepthModule] = {DPT: DPTHybrid(pretrained=False, width=options.width, **module_options(options))}
    sizes = {DPT: 16}
    for size, (variant, level_fusion) in itertools.product(superpixels, VARIANTS.items()):
        name = f"{variant}, {size} px"
        models[name], sizes[name] = make_shed(side, size, level_fusion, options), size
    batches = {name: make_batch(side, size, images, options.device) for name, size in sizes.items()}
    costs = {}
    for name, model in models.items():
        model.eval().requires_grad_(False).to(options.device)
        costs[name] = count_cost(name, model, batches[name], sizes[name])
        model.configure_model()  # counted as it is, timed as it is compiled

    contestants = {name: partial(model, batches[name]) for name, model in models.items()}
    with torch.autocast(options.device, torch.bfloat16, enabled=options.bf16):
        times = time_interleaved(contestants, options.rounds, options.device)
    return [replace(cost, **timings(times[name], times[DPT], cost.batch)) for name, cost in costs.items()]


def timings(own: Sequence[Elapsed], peer: Sequence[Elapsed], images: int) -> dict[str, float]:
    """Return the timed fields of a :class:`Cost` from the rounds of a network and of its peer."""
    median = statistics.median(round_.wall for round_ in own)
    return {
        "milliseconds": 1e3 * median,
        "images_per_second": images / median,
        "time_ratio": statistics.median(a.wall / b.wall for a, b in zip(own, peer, strict=True)),
        "processor_ratio": statistics.median(a.processor / b.processor for a, b in zip(own, peer, strict=True)),
    }


def place(options: argparse.Namespace) -> str:
    """Return where and how this was measured."""
    how = ["bf16 autocast" if options.bf16 else "fp32"]
    how += [name for name in ("compile", "channels_last") if getattr(options, name)]
    return f"{machine(options.device)}, {', '.join(how)}, fusion width {options.width}"


def show(costs: Sequence[Cost], title: str) -> None:
    """Print one table of one size and batch, SHED's variants beside DPT-Hybrid."""
    rows = {
        "tokens": ("tokens", ".0f"),
        "parameters, millions": ("parameters", ".1f"),
        "GFLOPs, transformer blocks": ("gflops_blocks", ".1f"),
        "GFLOPs, graph pooling": ("gflops_pooling", ".1f"),
        "GFLOPs, whole forward": ("gflops", ".1f"),
        "training activations, MiB an image": ("activations", ".0f"),
        "peak of a training step, MiB": ("peak", ".0f"),
        "forward, ms": ("milliseconds", ".0f"),
        "images a second": ("images_per_second", ".2f"),
    }
    dpt, *others = costs
    table = Table("", dpt.method, *(column for cost in others for column in (cost.method, "/ DPT")), title=title)
    for label, (field, form) in rows.items():
        peer = getattr(dpt, field)
        cells = [format(peer, form)]
        for cost in others:
            value = getattr(cost, field)
            cells += [format(value, form), f"{value / peer:.2f}" if peer and field != "milliseconds" else ""]
            if field == "milliseconds":
                cells[-1] = f"{cost.time_ratio:.2f}"
        if any(getattr(cost, field) for cost in costs):
            table.add_row(label, *cells)
    if not dpt.peak:
        table.add_row("processor time", "", *(c for cost in others for c in ("", f"{cost.processor_ratio:.2f}")))
    Console(width=60 + 30 * len(costs)).print(table)


def write_csv(costs: Sequence[Cost], path: Path) -> None:
    """Write all costs, a row each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(costs[0])))
        writer.writeheader()
        writer.writerows(
            {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(cost).items()}
            for cost in costs
        )


def draw(costs: Sequence[Cost], title: str) -> Figure:
    """Return the cost curve: what an image costs over its side, one line a network; the smallest batch counts."""
    panels = {
        "gflops": "GFLOPs, whole forward",
        "gflops_blocks": "GFLOPs, transformer blocks (SHED: and graph pooling)",
        "milliseconds": "forward, ms",
        "activations": "activations kept in training, MiB",
    }
    smallest = min(cost.batch for cost in costs)
    costs = [cost for cost in costs if cost.batch == smallest]
    figure = Figure(figsize=(11, 8), layout="constrained")
    for axes, (field, label) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for number, method in enumerate(dict.fromkeys(cost.method for cost in costs)):
            line = [cost for cost in costs if cost.method == method]
            values = [getattr(c, field) + (c.gflops_pooling if field == "gflops_blocks" else 0) for c in line]
            color = "black" if method == DPT else f"C{(number - 1) // len(VARIANTS)}"
            style = "o--" if "light" in method else "o-"
            axes.plot([c.size for c in line], values, style, color=color, label=method)
        axes.set(xscale="log", yscale="log", xlabel="side of the image, pixels", title=label)
        axes.set_xticks(sorted({c.size for c in costs}), labels=sorted({str(c.size) for c in costs}))
        axes.minorticks_off()
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title, fontsize=9)
    return figure


def points(options: argparse.Namespace) -> Iterator[tuple[int, int]]:
    """Return sides of images and numbers of images, in order."""
    yield from ((side, images) for images in sorted(options.batch) for side in sorted(options.sizes))


@torch.no_grad()
def main(arguments: Sequence[str]) -> None:
    parser = make_parser(__doc__, "224x224, 3 rounds")
    parser.add_argument("--sizes", type=int, nargs="+", default=[384], help="sides of images, multiples of 32")
    parser.add_argument("--superpixels", type=int, nargs="+", default=[16], help="sides of superpixels")
    parser.add_argument("--batch", type=int, nargs="+", default=[1], help="images in a batch")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--width", type=int, default=256, help="channels of the fusion decoder")
    parser.add_argument("--compile", action="store_true", help="time networks as `torch.compile` makes them")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="time under bfloat16 autocast")
    parser.add_argument("--output", type=Path, help="folder for efficiency.csv and cost_curve.png")
    options = parser.parse_args(arguments)
    if options.quick:
        options.sizes, options.rounds = [224], 3
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)

    costs: list[Cost] = []
    for side, images in points(options):
        costs += (measured := measure(side, options.superpixels, images, options))
        show(measured, f"{side}x{side}, batch {images}; {place(options)}")
        if options.output:  # after every size: the last one may not fit into memory
            write_csv(costs, options.output / "efficiency.csv")
            draw(costs, place(options)).savefig(options.output / "cost_curve.png", dpi=110)
