"""What to do about what goes wrong with machines rather than with configurations."""

import re
from collections.abc import Iterator

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from callbacks.records.other_processes import explain_lost_process
from callbacks.records.property_check import property_fault
from experiments.health.address_space import limit_hint

MEMORY = (
    "halve what is loaded at once by doubling `trainer.accumulate_grad_batches` (the recipe stays the same), or lower "
    "`data.init_args.batch_size`, or set `trainer.precision` to bf16-mixed"
)
WORKERS = (
    "the machine ran out of memory or of shared memory (/dev/shm): lower `data.init_args.num_workers` "
    "(0 reads in the training process), or give it more (docker: --shm-size)"
)


SINGLE_VALUE = (
    "set a `data.init_args.batch_size` of at least 2 for each batch that `trainer.accumulate_grad_batches` adds up, or "
    "a larger `data.init_args.crop`"
)
ACCELERATOR = (
    "leave `trainer.accelerator` and `trainer.devices` (of `evaluate`: `--accelerator` and `--devices`) at auto, which "
    "take what there is (else the CPU); `segdepth doctor` says what is found here, and what a missing driver or a "
    "torch without CUDA lacks"
)


def explain_failure(error: BaseException) -> str | None:
    """Say in one line what failed, where its own message does not; None where it does.

    That is full memory, killed workers, lost processes, absent accelerators and properties that fail inside.
    """
    for cause in _chain(error):
        text = str(cause)
        if isinstance(cause, torch.OutOfMemoryError):
            wanted = re.search(r"Tried to allocate ([\d.]+ \w+)", text)
            return f"GPU memory is full{f' ({wanted[1]} more were wanted)' if wanted else ''}: {MEMORY}"
        if line := explain_lost_process(cause):
            return line
        if isinstance(cause, AttributeError) and (fault := property_fault(cause.obj, str(cause.name))):
            return fault
        if isinstance(cause, MisconfigurationException) and (lacking := _lacking_accelerator(text)):
            return f"{lacking}: {ACCELERATOR}"
        if isinstance(cause, ValueError) and "Expected more than 1 value per channel when training" in text:
            return f"batch normalisation has one value to go by ({text.rpartition('got ')[2]}): {SINGLE_VALUE}"
        if isinstance(cause, MemoryError) or "DefaultCPUAllocator: can't allocate memory" in text:
            return f"memory is full: {MEMORY}{limit_hint()}"
        if isinstance(cause, RuntimeError) and "can't start new thread" in text:
            return (
                "the system starts no further thread: lower `data.init_args.num_workers` or OMP_NUM_THREADS, or raise "
                f"`ulimit -u`{limit_hint()}"
            )
        if isinstance(cause, RuntimeError) and (worker := re.search(r"DataLoader worker \(pid\(?s?\)? ?[^)]*\)", text)):
            signal = re.search(r"killed by signal: ([\w ]+)", text)
            return f"{worker[0]} was killed{f' by signal {signal[1]}' if signal else ''}: {WORKERS}"
    return None


def _lacking_accelerator(text: str) -> str | None:
    """What Lightning misses on this machine; None if its complaint is another."""
    if "No supported gpu backend" in text:
        return "no GPU is found"
    if wrong := re.search(r"`(\w+)Accelerator` can not run", text):
        return f"no {wrong[1]} device is found"
    if wrong := re.search(r"You requested gpu: (\[.*?\])\s*But your machine only has: (\[.*?\])", text):
        return f"GPUs {wrong[1]} are asked for and {wrong[2]} are there"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
