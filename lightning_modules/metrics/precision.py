"""The floating-point type that sums are exact in."""

import torch


def accumulation_dtype(device: torch.device) -> torch.dtype:
    """Return float64, or float32 on Apple's ``mps``, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64
