"""What a network costs: parameters, and floating point operations as torch counts them."""

import os
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from unittest.mock import patch

import torch
import yaml
from jsonargparse import ArgumentParser
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from experiments.config.arguments import take_flag
from experiments.config.compose import compose
from experiments.judging.claim import COSTS
from lightning_modules import DepthModule

Batch = dict[str, Tensor]


def gflops(function: Callable[[], object]) -> float:
    """Count the floating point operations of a call, in billions; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops() / 1e9


def gflops_inside(model: nn.Module, kind: type[nn.Module], batch: Batch) -> float:
    """Count the GFLOPs of all modules of a kind during one forward, each on the inputs it really gets."""
    calls: list[Callable[[], object]] = []

    def record(module: nn.Module, args: tuple, kwargs: dict) -> None:
        calls.append(lambda: module.forward(*args, **kwargs))

    hooks = [m.register_forward_pre_hook(record, with_kwargs=True) for m in model.modules() if isinstance(m, kind)]
    model(batch)
    for hook in hooks:
        hook.remove()
    return sum(gflops(call) for call in calls)


def cost_of(parts: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return the costs of several experiments' networks together, at the published size.

    Args:
        parts: for each experiment, its name and then its flags.

    Returns:
        Each of ``COSTS``: parameters in millions, GFLOPs of one frame's forward, GFLOPs of its transformer blocks.
    """
    costs = [_cost(tuple(words)) for words in parts]
    return {name: sum(cost[name] for cost in costs) for name in COSTS}


@cache
def _cost(words: tuple[str, ...]) -> dict[str, float]:
    model, batch = published_network(words)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the counter does not know every fused kernel
        values = (
            sum(parameter.numel() for parameter in model.parameters()) / 1e6,
            gflops(lambda: model(batch)),
            gflops_inside(model, Block, batch),
        )
    return dict(zip(COSTS, values, strict=True))


def published_network(words: Sequence[str]) -> tuple[DepthModule, Batch]:
    """Build an experiment's network with its flags, random weights, and one random frame of the size it is tested at.

    Flags that concern the data change the frame by way of configuration files only.

    Raises:
        ConfigError: if the configuration cannot be composed.
    """
    named, flags = take_flag(words[1:], "--config", "-c")
    with patch.dict(os.environ, {"DATA_ROOT": os.environ.get("DATA_ROOT", "nowhere")}):  # no data are read
        config = compose([words[0], *named]).config
    model, data = config["model"], config["data"]["init_args"]
    model["init_args"] |= {"pretrained": False, "test_protocols": None}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(DepthModule, "model", required=True)
    own = [flag for flag in flags if flag.startswith("--model.")]
    options = parser.parse_args(["--config", yaml.safe_dump({"model": model}), *own])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Attribute .* is an instance of `nn.Module`")  # of no checkpoint here
        module: DepthModule = parser.instantiate(options).model
    height, width = data.get("eval_size") or data["crop"]
    batch = {"image": torch.randn(1, 3, height, width)}
    if superpixels := data.get("superpixels"):
        batch["superpixels"] = grid_superpixels(height, width, superpixels["init_args"]["size"])
    return module.eval().requires_grad_(False), batch


def grid_superpixels(height: int, width: int, size: int) -> Tensor:
    """Return square superpixels (1, height, width) of a size; their shape does not change the cost."""
    rows, columns = ((torch.arange(side) // size).clamp(max=side // size - 1) for side in (height, width))
    return (rows[:, None] * (width // size) + columns)[None]
