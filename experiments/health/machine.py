"""What of the machine a process may use."""

import math
import os
from pathlib import Path

#: Quota and period of the CPU time of a container, in cgroup v2.
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Return cores that the process may run on, and that its container pays for; fewer, often, than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = CPU_QUOTA.read_text().split()
        return max(1, min(cores, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # not in a container, or without a limit (`max`)
        return cores


def visible_gpus() -> list[str]:
    """Return values of CUDA_VISIBLE_DEVICES for one GPU each: an index, or the UUID of a GPU or of a part of one."""
    import torch

    count = torch.cuda.device_count()  # asks the driver, and leaves no context behind
    listed = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return (listed or [str(index) for index in range(count)])[:count]
