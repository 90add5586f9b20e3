"""A boolean that a GPU computes and the CPU reads later, without waiting for work that was queued in between."""

import torch
from torch import Tensor


class LateFlag:
    """A flag that is copied from a GPU to the CPU while both keep working.

    :meth:`read` waits only until the GPU has computed the flag: if it is called one training step later, the work of
    that step stays queued and the GPU busy. ``bool(flag)`` would wait for all that is queued.

    Args:
        flag: () bool, on any device.
    """

    def __init__(self, flag: Tensor):
        self._arrived: torch.cuda.Event | None = None
        if flag.device.type == "cuda":
            self._value = torch.empty((), dtype=torch.bool, pin_memory=True)
            self._value.copy_(flag, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(flag.device))
        else:
            self._value = flag

    def read(self) -> bool:
        """Return the flag, after waiting for its copy to arrive."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return bool(self._value)
