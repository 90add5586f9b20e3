"""The two layouts that maps have in memory."""

import torch
from torch import Tensor


def layout(maps: Tensor) -> torch.memory_format:
    """Return the layout that maps (B, c, h, w) are resized in: theirs, or the default where it is neither of two."""
    last = maps.is_contiguous(memory_format=torch.channels_last) and not maps.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format
