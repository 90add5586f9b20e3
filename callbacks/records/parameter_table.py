"""The number of parameters of a method, part by part."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from torch import nn


def parameters(module: nn.Module) -> tuple[int, int]:
    """Return the number of all parameters of a module, and of those that are trained."""
    sizes = [(p.numel(), p.numel() if p.requires_grad else 0) for p in module.parameters()]
    return sum(size for size, _ in sizes), sum(trained for _, trained in sizes)


class ParameterTable(Callback):
    """Print the parameters of each part of the network when training starts."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print, on global rank zero."""
        if not trainer.is_global_zero:
            return
        network: Any = pl_module.network
        table = Table("part", "type", "parameters", "trained", title=type(pl_module).__name__, title_justify="left")
        for name, part in network.named_children():
            table.add_row(name, type(part).__name__, *(f"{count:,}" for count in parameters(part)))
        table.add_section()
        table.add_row("network", type(network).__name__, *(f"{count:,}" for count in parameters(network)))
        Console(markup=False).print(table)
