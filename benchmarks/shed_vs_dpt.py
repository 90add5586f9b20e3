"""SHED against DPT-Hybrid at the paper's size: GFLOPs and forward time, as ratios.

Both networks have random weights (cost does not depend on them) and the same fusion width. Their forwards are
interleaved, so that whatever else the machine does hits both; medians are compared.

    make bench                      384x384, 7 rounds
    make bench ARGS="--quick"       224x224, 3 rounds
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from lightning_modules import SHED, DepthModule, DPTHybrid
from lightning_modules.metrics import EvalProtocol
from lightning_modules.networks.shed.graph_pooling import GraphPooling


def gflops(function: Callable[[], object]) -> float:
    """Floating point operations (two per multiply-add) of a call, in billions."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


def gflops_inside(model: nn.Module, kind: type[nn.Module], batch: dict[str, Tensor]) -> float:
    """GFLOPs of all modules of a kind during one forward, each counted on the inputs it really gets."""
    calls: list[Callable[[], object]] = []

    def record(module: nn.Module, args: tuple, kwargs: dict) -> None:
        calls.append(lambda: module.forward(*args, **kwargs))

    hooks = [m.register_forward_pre_hook(record, with_kwargs=True) for m in model.modules() if isinstance(m, kind)]
    model(batch)
    for hook in hooks:
        hook.remove()
    return sum(gflops(call) for call in calls)


def grid_superpixels(side: int, size: int = 16) -> Tensor:
    """Square superpixels (1, side, side); their shape does not change the cost."""
    cell = torch.arange(side) // size
    return (cell[:, None] * (side // size) + cell)[None]


def time_interleaved(models: dict[str, DepthModule], batch: dict[str, Tensor], rounds: int) -> dict[str, float]:
    """Median seconds of a forward of each model, one round of all after the other."""
    device = batch["image"].device
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for round_ in range(rounds + 1):
        for name, model in models.items():
            start = time.perf_counter()
            model(batch)
            if device.type == "cuda":
                torch.cuda.synchronize()
            if round_:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="224x224, 3 rounds")
    parser.add_argument("--width", type=int, default=256, help="channels of the fusion decoder")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    side, rounds = (224, 3) if options.quick else (384, 7)
    segments = (64, 32, 16) if options.quick else (256, 128, 64)

    protocol = EvalProtocol("cost only", min_depth=1e-3, max_depth=10.0)
    models: dict[str, DepthModule] = {
        "DPT-Hybrid": DPTHybrid(pretrained=False, width=options.width, protocol=protocol),
        "SHED": SHED(pretrained=False, width=options.width, segments=segments, protocol=protocol),
    }
    batch = {"image": torch.randn(options.batch, 3, side, side), "superpixels": grid_superpixels(side)}
    batch["superpixels"] = batch["superpixels"].expand(options.batch, -1, -1)
    batch = {key: value.to(options.device) for key, value in batch.items()}
    for model in models.values():
        model.eval().requires_grad_(False).to(options.device)

    seconds = time_interleaved(models, batch, rounds)
    figures = {
        "parameters, millions": {name: sum(p.numel() for p in m.parameters()) / 1e6 for name, m in models.items()},
        "GFLOPs, transformer blocks": {name: gflops_inside(m, Block, batch) for name, m in models.items()},
        "GFLOPs, graph pooling": {name: gflops_inside(m, GraphPooling, batch) for name, m in models.items()},
        "GFLOPs, whole forward": {name: gflops(lambda m=m: m(batch)) for name, m in models.items()},
        "forward, ms": {name: 1e3 * value for name, value in seconds.items()},
    }
    place = f"{options.device}, {torch.get_num_threads()} threads of {os.cpu_count()} cores, torch {torch.__version__}"
    table = Table(
        "", *models, "SHED / DPT", title=f"{side}x{side}, batch {options.batch}, width {options.width}; {place}"
    )
    for label, by_model in figures.items():
        dpt, shed = by_model["DPT-Hybrid"], by_model["SHED"]
        table.add_row(label, f"{dpt:.1f}", f"{shed:.1f}", f"{shed / dpt:.2f}" if dpt else "")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
