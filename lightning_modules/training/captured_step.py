"""A training step recorded once, as a CUDA graph, and replayed: one launch in place of thousands.

Forward, losses and backward are recorded for the first batch; each later batch of the same shapes is copied over that
one, and the graph replayed. The check of the gradients, clipping, the optimizer and the schedule stay outside, as do
batches of other shapes (an epoch's last, smaller one) and all of validation. Replayed are the same operators in the
same order on the same numbers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from lightning_modules.batch import Batch
from lightning_modules.prediction import Prediction

#: Runs before the recording, in which libraries choose their kernels and compiled blocks are compiled.
WARM_UP = 3


class Computed(NamedTuple):
    """What a step leaves: loss terms, () each, by name; depth, or None; gradients by parameter, None for none."""

    losses: dict[str, Tensor]
    depth: Tensor | None
    gradients: list[Tensor | None]


class Recorder(Protocol):
    """Runs a function so that it can be run again on the same memory."""

    def __call__(self, function: Callable[[], Computed]) -> tuple[Computed, Callable[[], None]]:
        """Return a function's result, and a function that computes it anew in place."""


def record_cuda_graph(function: Callable[[], Computed]) -> tuple[Computed, Callable[[], None]]:
    """Record a function as a CUDA graph; nothing is computed before the first replay.

    Raises:
        RuntimeError: if it waits for the GPU, or copies from ordinary memory.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # a loader's thread may pin memory meanwhile
        computed = function()
    return computed, graph.replay


class CapturedStep:
    """The forward, losses and backward of a method's training step, recorded and replayed.

    Args:
        module: its parameters and buffers, whose memory must not move afterwards.
        compute: prediction and losses of a batch; every tensor's shape must follow from the batch's shapes.
        record: see :class:`Recorder`.
    """

    def __init__(
        self,
        module: nn.Module,
        compute: Callable[[Batch], tuple[Prediction, dict[str, Tensor]]],
        record: Recorder = record_cuda_graph,
    ):
        self.module, self.compute, self.record = module, compute, record
        self.parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._inputs: dict[str, Tensor] = {}
        self._signature: dict[str, Any] = {}
        self._computed: Computed | None = None
        self._replay: Callable[[], None] | None = None
        self._pending = False

    def fits(self, batch: Batch) -> bool:
        """Tell whether a batch has the shapes that the step was recorded for; true before that."""
        return not self._signature or signature(batch) == self._signature

    def __call__(self, batch: Batch) -> tuple[Prediction, dict[str, Tensor]]:
        """Compute a batch's losses and gradients; the latter reach the parameters by :meth:`hand_over_gradients`.

        Returns:
            The predicted depth, and the terms of the loss, which no later step overwrites; both without gradient.
        """
        if self._replay is None:
            self._record(batch)
        assert self._replay is not None
        assert self._computed is not None
        for key, held in self._inputs.items():
            held.copy_(batch[key], non_blocking=True)  # type: ignore[literal-required]
        self._replay()
        self._pending = True
        names = list(self._computed.losses)
        terms = torch.stack([self._computed.losses[name] for name in names]).unbind()
        depth = self._computed.depth
        return Prediction(depth=None if depth is None else depth.clone()), dict(zip(names, terms, strict=True))

    def hand_over_gradients(self) -> bool:
        """Let the parameters hold the gradients of the last replay, in memory that the next one overwrites.

        Returns:
            Whether there was a replay since the last call.
        """
        if not self._pending:
            return False
        assert self._computed is not None
        self._pending = False
        for parameter, gradient in zip(self.parameters, self._computed.gradients, strict=True):
            parameter.grad = gradient
        return True

    def _run(self, batch: Batch) -> Computed:
        for parameter in self.parameters:
            parameter.grad = None
        prediction, losses = self.compute(batch)
        with torch.autocast(batch["image"].device.type, enabled=False):  # as where Lightning calls a backward pass
            torch.stack(list(losses.values())).sum().backward()
        gradients = [parameter.grad for parameter in self.parameters]
        for parameter in self.parameters:
            parameter.grad = None
        depth = None if prediction.depth is None else prediction.depth.detach()
        return Computed({name: loss.detach() for name, loss in losses.items()}, depth, gradients)

    def _record(self, batch: Batch) -> None:
        device = batch["image"].device
        tensors = {key: value for key, value in batch.items() if isinstance(value, Tensor)}
        self._inputs = {key: value.clone() for key, value in tensors.items() if value.device == device}
        held = cast(Batch, batch | self._inputs)
        self._signature = signature(batch)
        with fastest_convolutions():
            with unchanged(self.module, device), warming_up(device):
                for _ in range(WARM_UP):
                    self._run(held)
            torch.clear_autocast_cache()  # a weight cast before the recording would never be cast again
            self._computed, self._replay = self.record(lambda: self._run(held))
            torch.clear_autocast_cache()


def signature(batch: Batch) -> dict[str, Any]:
    """Return what must not change from one replay to the next: shape, type and device of each tensor of a batch."""
    return {key: (value.shape, value.dtype, value.device) for key, value in batch.items() if isinstance(value, Tensor)}


@contextmanager
def fastest_convolutions() -> Iterator[None]:
    """Let cuDNN try its algorithms where a size is new, and keep the fastest: sizes are fixed in a recording."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


@contextmanager
def warming_up(device: torch.device) -> Iterator[None]:
    """Compute on a stream of its own, as CUDA asks for what precedes a recording."""
    if device.type != "cuda":
        yield
        return
    side, current = torch.cuda.Stream(device), torch.cuda.current_stream(device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        yield
    current.wait_stream(side)


@contextmanager
def unchanged(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put back what runs inside a ``with`` change of a module: running statistics, and the random generators' state."""
    buffers = list(module.buffers())
    before = [buffer.clone() for buffer in buffers]
    devices = [device.index or 0] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        yield
    for buffer, value in zip(buffers, before, strict=True):
        buffer.copy_(value)


def check_capture(device: torch.device, *, precision: str, accumulated: int, processes: int) -> None:
    """Refuse to record steps where replays would compute something else.

    Args:
        device: of the module.
        precision: the trainer's.
        accumulated: batches whose gradients are added up for one step.
        processes: that train together.

    Raises:
        ValueError: with the option to change.
    """
    reasons = {
        f"it needs a CUDA device, and training runs on {device.type}": device.type != "cuda",
        f"`trainer.precision: {precision}` scales losses by a changing factor (bf16-mixed does not)": "16-mixed"
        in precision
        and "bf16" not in precision,
        f"gradients of {accumulated} batches are added up (`trainer.accumulate_grad_batches`)": accumulated > 1,
        f"{processes} processes exchange gradients (`trainer.devices`)": processes > 1,
    }
    for reason, applies in reasons.items():
        if applies:
            raise ValueError(f"`model.capture` records training steps as CUDA graphs, but {reason}: leave it out")
