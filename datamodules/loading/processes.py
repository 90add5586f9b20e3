"""How the processes of a trainer share frames and batches."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        count: how many there are.
        rank: of this one, 0-based.
        devices: of this machine.
        accumulated: batches that each process accumulates for an optimizer step.
    """

    count: int = 1
    rank: int = 0
    devices: int = 1
    accumulated: int = 1

    @classmethod
    def of(cls, trainer: Any) -> "Processes":
        """Return those of a trainer; one process where there is no trainer."""
        if trainer is None:
            return cls()
        return cls(trainer.world_size, trainer.global_rank, trainer.num_devices, trainer.accumulate_grad_batches)

    def share_of(self, batch_size: int) -> int:
        """Return the frames that one process loads at a time in training.

        Args:
            batch_size: frames of an optimizer step.

        Raises:
            ValueError: if processes and accumulated batches do not divide it.
        """
        size, left = divmod(batch_size, self.count * self.accumulated)
        if left or not size:
            raise ValueError(
                f"`data.init_args.batch_size` {batch_size} is the whole of an optimizer step, which {self.count} "
                f"processes with {self.accumulated} accumulated batches each cannot share evenly; change `batch_size`, "
                "`trainer.devices` or `trainer.accumulate_grad_batches`"
            )
        return size

    def describe(self, batch_size: int) -> str:
        """Return how the frames of an optimizer step are shared, in words; raises as :meth:`share_of` does."""
        shares = f"{self.count} process{'es' if self.count > 1 else ''} x {self.share_of(batch_size)}"
        return f"batches of {batch_size}: {shares}" + (
            f" x {self.accumulated} accumulated" if self.accumulated > 1 else ""
        )
