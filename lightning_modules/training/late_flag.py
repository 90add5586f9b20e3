"""A truth value that a GPU computes, and that the program reads later, without waiting for what is queued since."""

import torch
from torch import Tensor


class LateFlag:
    """A flag that travels from a GPU to the CPU while both keep working.

    Reading it waits until the GPU has come to the point at which it was made, and no further: read a training step
    later, with the next step's work queued, it leaves the GPU busy. ``bool(flag)`` would wait for all that is queued.

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
        """Return the flag, once it is there."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return bool(self._value)
