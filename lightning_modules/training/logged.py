"""What training and evaluation log, under which names.

``train/loss`` and its terms; ``val/<metric>`` of the per-pixel depth errors, ``val/loss`` and its terms
``val/loss_<term>``; ``test/<data set>/<metric>`` of all that data and method allow.
"""

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torchmetrics import Metric

from lightning_modules.batch import Batch
from lightning_modules.evaluation import Evaluation

#: Metrics of validation that the progress bar shows.
IN_PROGRESS_BAR = frozenset({"val/abs_rel", "val/delta1"})


def total(losses: dict[str, Tensor]) -> Tensor:
    """Return the sum of the terms of a loss, ()."""
    return torch.stack(list(losses.values())).sum()


def log_training(module: LightningModule, losses: dict[str, Tensor], batch: Batch) -> None:
    """Log ``train/loss``, its terms where there are several, and how many bad frames were passed over."""
    size = len(batch["image"])
    module.log("train/loss", total(losses), prog_bar=True, on_step=True, on_epoch=True, batch_size=size)
    if "skipped" in batch:
        skipped = batch["skipped"].sum().float()
        module.log("train/skipped", skipped, on_step=False, on_epoch=True, reduce_fx="sum", batch_size=size)
    if len(losses) > 1:
        module.log_dict({f"train/{name}": value for name, value in losses.items()}, batch_size=size)


def log_validation(module: LightningModule, losses: dict[str, Tensor], batch: Batch) -> None:
    """Log ``val/loss`` and its terms ``val/loss_<term>``, means over the frames of all processes."""
    values = {"val/loss": total(losses)} | {f"val/loss_{name}": value for name, value in losses.items()}
    # Lightning averages an integer batch size over processes as an integer: 5 frames on 2 processes would count as 4.
    module.log_dict(values, batch_size=float(len(batch["image"])), sync_dist=True)  # type: ignore[arg-type]


def log_metrics(module: LightningModule, key: str, measured: Metric | Evaluation) -> None:
    """Log the metrics of an epoch as ``<key>/<metric>``, the same on every process, and reset them."""
    if isinstance(measured, Metric) and not measured.update_called:
        return
    values = measured.compute()
    measured.reset()
    for name, value in values.items():
        module.log(f"{key}/{name}", value.float(), prog_bar=f"{key}/{name}" in IN_PROGRESS_BAR, sync_dist=True)
