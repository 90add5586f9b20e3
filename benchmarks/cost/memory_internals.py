"""Private API of torch that the cost benchmarks use, and why nothing public does.

``FakeTensorMode``
    makes tensors of any size without memory, which networks compute with as with real ones; the public ``meta`` device
    has no autocast.
``MemTracker``
    adds up the tensors that a step holds at its worst moment; the public memory statistics are of CUDA alone.

``tests/benchmarks/test_cost_internals.py`` fails with torch's version where one of them has changed.
"""

from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

__all__ = ["FakeTensorMode", "MemTracker"]
