"""Guided MTI-Net against three single-task networks: the paper's claim of efficiency, and what attention costs.

The single-task networks have the same backbone, scales, decoder and width, and no attention. All networks have random
weights (cost does not depend on them); forwards are interleaved and medians compared. The second table is of one guided
attention, forward and backward: the scores that a plain implementation would hold, and the measured peak of tensor
memory with torch's fused kernels and with the plain one.

    .venv/bin/python -m benchmarks.cost mti_net            256x256, 7 rounds
    .venv/bin/python -m benchmarks.cost mti_net --quick    128x128, 3 rounds
"""

import statistics
from collections.abc import Sequence
from functools import partial

import torch
from rich.console import Console
from rich.table import Column, Table
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.cost.measures import MIB, gflops, machine, make_parser, millions, peak_bytes, time_interleaved
from lightning_modules.backbones import create_backbone
from lightning_modules.networks.mti_net import GuidedAttention, MTINetwork
from lightning_modules.networks.mti_net.options import TASKS, MTINetOptions

#: Stride of the attention, and edge of the window that keys are averaged over.
ATTENTIONS = ((4, 1), (4, 2), (4, 4), (8, 1), (8, 2), (16, 1))


def networks(backbone: str) -> dict[str, MTINetwork]:
    """Return the multi-task network and the three that it replaces, without initial predictions, which only train."""
    options = {"multi-task": MTINetOptions(deep_supervision=0)}
    options |= {f"{task} alone": MTINetOptions(tasks=[task], guidance=[], deep_supervision=0) for task in TASKS}
    return {name: MTINetwork(create_backbone(backbone, pretrained=False), own) for name, own in options.items()}


def attention_memory(side: int, stride: int, key_pool: int, batch: int, device: str) -> list[str]:
    """Return the second table's row of one attention: stride, window, shape and MiB of scores, MiB at both peaks."""
    cells = side // stride
    keys = (-(-cells // key_pool)) ** 2
    attention = GuidedAttention(256, 256, key_pool=key_pool).to(device)
    features, guide = (torch.randn(batch, 256, cells, cells, device=device, requires_grad=True) for _ in range(2))

    def forward_and_backward() -> None:
        attention(features, guide).sum().backward()

    measured = []
    for backends in (
        [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH],
        [SDPBackend.MATH],
    ):
        with sdpa_kernel(backends, set_priority=True):
            forward_and_backward()  # gradients are made
            measured.append(peak_bytes(forward_and_backward, device) / MIB)
    scores = 4 * batch * cells**2 * keys / MIB
    return [f"1/{stride}", str(key_pool), f"{cells**2:,} x {keys:,}", f"{scores:.1f}", *(f"{m:.1f}" for m in measured)]


def main(arguments: Sequence[str]) -> None:
    parser = make_parser(__doc__, "128x128, 3 rounds")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args(arguments)
    side, rounds = (128, 3) if options.quick else (256, 7)
    console = Console(width=140)

    image = torch.randn(options.batch, 3, side, side, device=options.device)
    models = {name: model.eval().to(options.device) for name, model in networks(options.backbone).items()}
    with torch.no_grad():
        contestants = {name: partial(model, image) for name, model in models.items()}
        times = time_interleaved(contestants, rounds, options.device)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the counter does not know every fused kernel
        measured = {
            "parameters, millions": {name: millions(m) for name, m in models.items()},
            "GFLOPs, forward": {name: gflops(partial(m, image)) for name, m in models.items()},
            "forward, ms": {
                name: 1e3 * statistics.median(round_.wall for round_ in own) for name, own in times.items()
            },
        }
        if options.device == "cpu":  # which other programs disturb less
            measured["forward, ms of CPU time"] = {
                name: 1e3 * statistics.median(round_.processor for round_ in own) for name, own in times.items()
            }
    title = f"{options.backbone}, {side}x{side}, batch {options.batch}; {machine(options.device)}"
    table = Table(Column(no_wrap=True), *models, "the three", "multi-task / the three", title=title)
    for label, by_model in measured.items():
        multi, *single = by_model.values()
        values = [multi, *single, sum(single)]
        table.add_row(label, *(f"{value:.1f}" for value in values), f"{multi / sum(single):.2f}")
    console.print(table)

    title = f"one guided attention, 256 channels, d_k 64, float32, batch {options.batch}, {side}x{side}; MiB"
    columns = ("stride", "key pool", "queries x keys", "scores, if held", "peak, fused", "peak, plain")
    table = Table(*columns, title=title)
    for stride, key_pool in ATTENTIONS:
        table.add_row(*attention_memory(side, stride, key_pool, options.batch, options.device))
    console.print(table)
