"""Cores, memory, GPUs, and the limits that the system sets."""

import csv
import os
import resource
import shutil
import subprocess
from pathlib import Path

from experiments.health.machine import usable_cores
from experiments.health.section import PATIENCE, Section, bounded

#: Memory limit of a container, in cgroup v2, and the machine's own.
MEMORY_LIMIT, MEMORY = Path("/sys/fs/cgroup/memory.max"), Path("/proc/meminfo")

#: Where DataLoader workers leave batches for the process that trains.
SHARED_MEMORY = Path("/dev/shm")

#: Bytes below which a run may end with a bus error, and below which it will.
LITTLE_SHARED, NO_SHARED = 2**30, 2**24

#: Open files that a run with several DataLoader workers can need.
OPEN_FILES = 1024

#: Bytes of memory below which training is not to be thought of.
LITTLE_MEMORY = 2**31

#: Seconds in which a GPU has to add two numbers; the first one also loads CUDA.
GPU_PATIENCE = 20.0

GIB = 2**30
_QUERY = ("index", "name", "driver_version", "memory.total", "memory.free", "mig.mode.current")


def cpu() -> Section:
    """Return cores, memory, shared memory and open files."""
    section = Section("machine", {"cores": f"{usable_cores()} usable of {os.cpu_count()}"})
    total, available = _memory()
    section.facts["memory"] = f"{available / GIB:.1f} GiB free of {total / GIB:.1f} GiB"
    if available < LITTLE_MEMORY:
        section.warn(f"{available / GIB:.1f} GiB of memory are free", "end other programs, or lower `num_workers`")
    if SHARED_MEMORY.is_dir():
        shared = shutil.disk_usage(SHARED_MEMORY)
        section.facts["shared memory"] = (
            f"{shared.free / GIB:.2f} GiB free of {shared.total / GIB:.2f} GiB in {SHARED_MEMORY}"
        )
        note = section.stop if shared.free < NO_SHARED else section.warn
        if shared.free < LITTLE_SHARED:
            note(
                f"{SHARED_MEMORY} has {shared.free / 2**20:.0f} MiB free; DataLoader workers pass batches through it",
                "docker run --shm-size=8g (or --ipc=host), or `--data.init_args.num_workers 0`",
            )
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    section.facts["open files"] = f"{soft} (up to {hard})"
    if soft < OPEN_FILES:
        section.warn(f"only {soft} files may be open at a time", f"ulimit -n {4 * OPEN_FILES}")
    return section


def gpus() -> Section:
    """Return what the driver sees, what torch can use of it, and whether it computes."""
    section = Section("GPU")
    listed = _driver_list()
    for gpu in listed:
        mig = ", MIG" if gpu["mig.mode.current"] == "Enabled" else ""
        section.facts[f"GPU {gpu['index']}"] = (
            f"{gpu['name']}, {gpu['memory.free']} free of {gpu['memory.total']}, driver {gpu['driver_version']}{mig}"
        )
    import torch

    count = torch.cuda.device_count()
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    section.facts["visible to torch"] = f"{count}" + (f" (CUDA_VISIBLE_DEVICES={hidden})" if hidden is not None else "")
    if listed and not count and hidden is None:
        section.warn(
            f"the driver has {len(listed)} GPU(s) that torch cannot use: runs take the CPU",
            "update the driver, or install the build of torch for its CUDA version",
        )
    for index in range(count):
        _try_gpu(section, index)
    distributed = torch.distributed
    backends = {"nccl": distributed.is_nccl_available(), "gloo": distributed.is_gloo_available()}
    section.facts["several processes"] = ", ".join(name for name, there in backends.items() if there) or "none"
    if not backends["nccl" if count else "gloo"]:
        section.warn("this torch cannot join several processes", "one process: `--trainer.devices 1`")
    return section


def _try_gpu(section: Section, index: int) -> None:
    """Let a GPU compute; one of an unsupported architecture, in exclusive use or fallen off the bus shows here."""
    import torch

    def look() -> str:
        assert int(torch.ones(2, device=f"cuda:{index}").sum()) == 2
        properties = torch.cuda.get_device_properties(index)
        architecture = f"sm_{properties.major}{properties.minor}"
        bf16 = "bf16" if properties.major >= 8 else "no bf16"  # Ampere was the first
        return f"{properties.name}, {properties.total_memory / GIB:.0f} GiB, {architecture}, {bf16}"

    try:
        section.facts[f"cuda:{index}"] = bounded(look, GPU_PATIENCE)
    except Exception as error:  # CUDA errors are RuntimeErrors of many kinds
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        section.stop(
            f"cuda:{index} cannot compute ({reason})", "choose others with CUDA_VISIBLE_DEVICES; see nvidia-smi"
        )


def _driver_list() -> list[dict[str, str]]:
    """GPUs as nvidia-smi lists them; empty without a driver."""
    command = ["nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=PATIENCE).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = csv.reader(output.splitlines(), skipinitialspace=True)
    return [dict(zip(_QUERY, row, strict=True)) for row in rows if len(row) == len(_QUERY)]


def _memory() -> tuple[int, int]:
    """Bytes of memory that the process may use, and of those that are free."""
    sizes = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in MEMORY.read_text().splitlines()}
    total, available = sizes["MemTotal"], sizes["MemAvailable"]
    try:
        limit = int(MEMORY_LIMIT.read_text())
        used = int(MEMORY_LIMIT.with_name("memory.current").read_text())
    except (OSError, ValueError):  # not in a container, or without a limit (`max`)
        return total, available
    return min(total, limit), max(0, min(available, limit - used))
