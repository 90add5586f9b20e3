"""What a training step costs beyond the network: our loop, as `make exp` runs it, against a bare PyTorch loop.

The quick profile of SHED on Rooms, batches in memory. Our loop is Lightning with the module, every callback, the
progress bar and the offline logger of `experiments/base/trainer.yaml`. The bare loop is a copy of the network with the
same loss, optimizer and schedule, and nothing else. Its steps are made by the loader that our loop draws batches from,
between two batches: steps of both alternate, so that whatever else the machine does hits both. Times are summed over
blocks of `log_every_n_steps`, since some of the work is done once per block; the medians of blocks are compared. On the
CPU, so is the CPU time of all threads, which other programs disturb less.

    .venv/bin/python -m benchmarks.trainer_overhead             12 blocks; Rooms is rendered once, in half a minute
    .venv/bin/python -m benchmarks.trainer_overhead --quick     3 blocks, and only what is measured against the target
"""

import argparse
import contextlib
import copy
import io
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch
import wandb
import yaml
from rich.console import Console
from rich.table import Table

from experiments.config.compose import compose
from experiments.train.cli import SegdepthCLI, quieten
from lightning_modules import DepthModule
from lightning_modules.batch import Batch

#: Our loop may cost at most this much of the bare loop's time more.
TARGET = 0.05

#: Blocks at the start that do not count.
WARMUP = 1

#: Batches that are kept in memory.
BATCHES = 8

#: Flags that leave out some of what surrounds the network.
AS_IT_RUNS = "as `make exp` runs it"
CONTESTANTS: dict[str, tuple[str, ...]] = {
    AS_IT_RUNS: (),
    "Lightning and the module alone": (
        "--trainer.logger=false",
        "--trainer.callbacks=[]",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_checkpointing=false",
    ),
}


class PreparedRun(SegdepthCLI):
    """What `segdepth fit` would run, without running it."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Do nothing: the benchmark itself runs the trainer."""


class Cost(NamedTuple):
    """Seconds by the clock and of the CPU, or how much more of them."""

    wall: float
    cpu: float


class Alternating:
    """Batches for our loop; between two of them, a step of the bare loop on the same batch.

    Attributes:
        own: cost of our loop from one batch until the next is asked for.
        bare: cost of each step of the bare loop.
    """

    def __init__(self, batches: Sequence[Batch], steps: int, bare_step: Callable[[Batch], None]):
        self.batches, self.steps, self.bare_step = batches, steps, bare_step
        self.own: list[Cost] = []
        self.bare: list[Cost] = []

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        for batch in islice(cycle(self.batches), self.steps):
            start = now()
            self.bare_step(batch)
            handed_out = now()
            yield batch
            asked = now()
            self.bare.append(Cost(handed_out.wall - start.wall, handed_out.cpu - start.cpu))
            self.own.append(Cost(asked.wall - handed_out.wall, asked.cpu - handed_out.cpu))

    def blocks(self, size: int) -> tuple[list[Cost], list[Cost]]:
        """Return mean costs of a step, of our loop and of the bare one, by blocks of ``size`` steps without warm-up."""
        starts = range(WARMUP * size, len(self.own), size)
        own, bare = (
            [Cost(*map(statistics.mean, zip(*costs[first : first + size], strict=True))) for first in starts]
            for costs in (self.own, self.bare)
        )
        return own, bare


def now() -> Cost:
    """Time, when all that was asked of a GPU is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Cost(time.perf_counter(), time.process_time())


def bare_loop(model: DepthModule, steps: int) -> Callable[[Batch], None]:
    """Return a step of the plainest loop that trains a copy of a module in the same way."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = copy.deepcopy(model).to(device).train()
    optimizer = model.optimizer(model.parameters())
    scheduler = model.schedule.build(optimizer, steps)

    def step(batch: Batch) -> None:
        batch = {key: value.to(device) if hasattr(value, "to") else value for key, value in batch.items()}
        optimizer.zero_grad()
        depth = model(batch).depth
        model.depth_loss(depth, batch["depth"], batch["valid"]).backward()
        optimizer.step()
        scheduler.step()

    return step


def time_blocks(flags: Sequence[str], blocks: int) -> tuple[list[Cost], list[Cost], str]:
    """Return the cost of a step of our loop and of the bare one, by blocks, and what was trained."""
    composition = compose(["shed_hybrid", "data/rooms", "profile/quick"])
    config = yaml.safe_dump(composition.config)
    one_epoch = ["--trainer.max_epochs=1", "--trainer.limit_val_batches=0", "--trainer.devices=1", "--run.name=timed"]
    run = PreparedRun(composition, ["fit", "--config", config, *one_epoch, *flags])
    interval = run.trainer.log_every_n_steps
    batches = list(islice(run.datamodule.train_dataloader(), BATCHES))
    loader = Alternating(batches, steps := (blocks + WARMUP) * interval, bare_loop(run.model, steps))
    run.datamodule.train_dataloader = lambda: loader
    run.trainer.fit(run.model, datamodule=run.datamodule)
    wandb.finish()
    frames, _, height, width = batches[0]["image"].shape
    return *loader.blocks(interval), f"{frames} frames of {height}x{width}, blocks of {interval} steps"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 blocks, and only what is measured against the target")
    quick = parser.parse_args().quick

    torch.set_num_threads(1)
    quieten()
    os.environ["WANDB_MODE"] = "offline"
    contestants = {AS_IT_RUNS: CONTESTANTS[AS_IT_RUNS]} if quick else CONTESTANTS
    table = Table("", "our step, ms", "bare step, ms", "more", "80 % of blocks", "more CPU time")
    for name, flags in contestants.items():
        with TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
            own, bare, what = time_blocks(flags, 3 if quick else 12)
        more = [Cost(a.wall / b.wall - 1, a.cpu / b.cpu - 1) for a, b in zip(own, bare, strict=True)]
        wall, tenth = sorted(cost.wall for cost in more), len(more) // 10
        table.add_row(
            name,
            f"{1e3 * statistics.median(cost.wall for cost in own):.1f}",
            f"{1e3 * statistics.median(cost.wall for cost in bare):.1f}",
            f"{statistics.median(wall):+.1%}" + (f" (<= {TARGET:.0%})" if name == AS_IT_RUNS else ""),
            f"{wall[tenth]:+.1%} to {wall[-1 - tenth]:+.1%}",
            f"{statistics.median(cost.cpu for cost in more):+.1%}",
        )
    place = torch.cuda.get_device_name() if torch.cuda.is_available() else "one thread of the CPU"
    table.title = f"quick SHED; {place}, torch {torch.__version__}"
    table.caption = f"{what}; {len(own)} blocks, alternating step by step"
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
