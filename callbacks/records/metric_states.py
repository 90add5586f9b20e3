"""What metrics have summed up so far, as plain tensors, to be saved in the middle of a test."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torchmetrics import Metric

States = dict[str, dict[str, Any]]

#: Number of batches that a metric has seen; torchmetrics keeps it beside the states, and lets nobody set it.
UPDATES = "_update_count"


def metric_states(modules: Mapping[str, nn.Module]) -> States:
    """Return the states of all metrics in some modules, by the metrics' full names; they share the metrics' memory."""
    return {
        name: {UPDATES: metric.update_count, **metric.metric_state} for name, metric in _metrics_in(modules).items()
    }


def restore_metrics(modules: Mapping[str, nn.Module], states: States) -> None:
    """Bring all metrics in some modules to earlier states, on the devices that the metrics are on.

    Args:
        modules: the same modules as those whose states were taken.
        states: of :func:`metric_states`.

    Raises:
        KeyError: if the modules have other metrics, or those other states.
    """
    metrics = _metrics_in(modules)
    if metrics.keys() != states.keys():
        raise KeyError(f"metrics {sorted(metrics.keys() ^ states.keys())}")
    for name, metric in metrics.items():
        metric.reset()
        for state in metric.metric_state:
            setattr(metric, state, _moved(states[name][state], metric.device))
        setattr(metric, UPDATES, states[name][UPDATES])


def _metrics_in(modules: Mapping[str, nn.Module]) -> dict[str, Metric]:
    return {
        f"{key} {name}": module
        for key, root in modules.items()
        for name, module in root.named_modules()
        if isinstance(module, Metric)
    }


def _moved(state: Tensor | list[Tensor], device: Any) -> Tensor | list[Tensor]:
    return [part.to(device) for part in state] if isinstance(state, list) else state.to(device)
