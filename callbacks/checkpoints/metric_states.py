"""What metrics have summed up so far, as plain tensors, to be saved in the middle of a test."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

States = dict[str, dict[str, Any]]

#: How many batches a metric has seen; torchmetrics keeps it beside the states.
UPDATES = "_update_count"


def metric_states(modules: Mapping[str, nn.Module]) -> States:
    """States of all metrics in some modules, by the metrics' full names; they share memory with the metrics."""
    return {
        name: {UPDATES: metric._update_count, **{state: getattr(metric, state) for state in metric._defaults}}
        for name, metric in _metrics(modules).items()
    }


def restore_metrics(modules: Mapping[str, nn.Module], states: States, device: torch.device) -> None:
    """Undo all updates since :func:`metric_states`.

    Raises:
        KeyError: if the modules have other metrics, or those other states.
    """
    metrics = _metrics(modules)
    if metrics.keys() != states.keys():
        raise KeyError(f"metrics {sorted(metrics.keys() ^ states.keys())}")
    for name, metric in metrics.items():
        for state in metric._defaults:
            setattr(metric, state, _moved(states[name][state], device))
        metric._update_count = states[name][UPDATES]
        metric._computed = None


def _metrics(modules: Mapping[str, nn.Module]) -> dict[str, Metric]:
    return {
        f"{key} {name}": module
        for key, root in modules.items()
        for name, module in root.named_modules()
        if isinstance(module, Metric)
    }


def _moved(state: Tensor | list[Tensor], device: torch.device) -> Tensor | list[Tensor]:
    return [part.to(device) for part in state] if isinstance(state, list) else state.to(device)
