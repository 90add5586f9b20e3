"""Speed of training, waiting for data, learning rate, gradient norm and memory."""

from time import perf_counter
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch.optim import Optimizer

from callbacks.lightning_internals import log_interval

#: Share of an epoch, and seconds of it, that training has to wait for data before it is said.
SLOW_LOADER, SECONDS = 0.2, 5.0


class TrainingMonitor(Callback):
    """Log, at every step that the trainer logs (``log_every_n_steps``), over the steps since the last one:

    ===========================  =================================================================================
    ``train/images_per_second``  of all processes, validation left aside
    ``train/data_wait``          share of the time for which the loop waited for the next batch
    ``train/lr``                 learning rate of the logged step, of the first group of parameters
    ``train/grad_norm``          L2 norm of all gradients of the logged step, before clipping
    ``train/gpu_memory``         GiB, the most that tensors of global rank zero have held so far; only with CUDA
    ===========================  =================================================================================

    A GPU works on while Python runs ahead, so that the wait for data is small where the GPU is the bottleneck. Unlike
    Lightning's ``LearningRateMonitor``, this also works without a logger: the values are in ``history.jsonl``, too.

    Where the first epoch shows that the loader is slower than the training steps, a warning says so once. Its first
    batch is left out: until it comes, workers start.
    """  # noqa: D415  # a table follows

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count; ``on_train_epoch_start`` is not called for an epoch that is resumed."""
        self.first_epoch: list[tuple[int, float, float]] | None = []  # images, time and wait of each batch
        self._begin(trainer)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time between two epochs out of that of training."""
        self._begin(trainer)

    def _begin(self, trainer: Trainer) -> None:
        self.images, self.elapsed, self.waited = 0, 0.0, 0.0
        self.logged_step = trainer.global_step
        self.mark = perf_counter()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Add the time for which the loop waited for the batch."""
        self.wait = perf_counter() - self.mark
        self.waited += self.wait

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Log learning rate and norm of the gradients; Lightning clips them later."""
        if (trainer.global_step + 1) % log_interval(trainer) == 0:
            pl_module.log("train/lr", optimizer.param_groups[0]["lr"])
            gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
            pl_module.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, and log after a step that the trainer logs."""
        now = perf_counter()
        if self.first_epoch is not None:
            self.first_epoch.append((len(batch["image"]), now - self.mark, self.wait))
        self.elapsed += now - self.mark
        self.mark = now
        self.images += len(batch["image"])
        step = trainer.global_step
        if step == self.logged_step or step % log_interval(trainer):
            return
        pl_module.log("train/images_per_second", self.images * trainer.world_size / self.elapsed)
        pl_module.log("train/data_wait", self.waited / self.elapsed)
        if pl_module.device.type == "cuda":
            pl_module.log("train/gpu_memory", torch.cuda.max_memory_allocated(pl_module.device) / 2**30)
        self.images, self.elapsed, self.waited = 0, 0.0, 0.0
        self.logged_step = step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the time of validation out of that of training."""
        self.mark = perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say once if training waits for its data."""
        counted, self.first_epoch = (self.first_epoch or [])[1:], None
        images = sum(batch[0] for batch in counted)
        elapsed, waited = (sum(batch[part] for batch in counted) for part in (1, 2))
        if waited > max(SECONDS, SLOW_LOADER * elapsed):
            rank_zero_warn(
                f"training waits {waited / elapsed:.0%} of its time for data: the loader makes {images / elapsed:.0f} "
                f"images/s, the steps could take {images / (elapsed - waited):.0f}; more `num_workers` where cores are "
                "free, a store (`segdepth data convert`), or `superpixels_of: frame` make it faster"
            )
