"""The progress of a test that was stopped, kept in a file for the next test of the same thing."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from callbacks.checkpoints.checkpoint_io import PARTIAL, AtomicCheckpointIO, damage
from callbacks.lightning_internals import datamodule_of
from callbacks.records.metric_states import metric_states, restore_metrics

#: Options that change no metric: where files are, whose content the data's fingerprint knows, and who reads them.
OF_THE_MACHINE = frozenset({"root", "store", "num_workers"})


@runtime_checkable
class HasTestState(Protocol):
    """A callback that collects something with each batch of a test, and can resume in the middle of one."""

    @property
    def state_key(self) -> str:
        """Return the key of the callback, as Lightning's checkpoints have it."""

    def test_state(self) -> dict[str, Any]:
        """Return what was collected so far, as tensors and plain values."""

    def load_test_state(self, state: Mapping[str, Any]) -> None:
        """Take up what a test that was stopped had collected; called after ``on_test_start``."""


class TestProgress:
    """One process's share of a test: frames done, states of the metrics, and of callbacks (:class:`HasTestState`).

    The file is taken up only by a test with the same settings, weights, data and processes.

    Args:
        trainer: the trainer that tests.
        settings: configuration of model and data; another one has a file of its own.

    Attributes:
        path: of the file.
        frames: number of frames that this process is done with, by name of the test set.
    """

    __test__ = False  # not a test of pytest's

    def __init__(self, trainer: Trainer, settings: Mapping[str, Any]):
        self.trainer = trainer
        self.settings = json.dumps(_of_the_test(settings), sort_keys=True, default=str)
        short = hashlib.sha256(self.settings.encode()).hexdigest()[:8]
        share = f"-{trainer.global_rank}of{trainer.world_size}" if trainer.world_size > 1 else ""
        self.path = Path(trainer.default_root_dir) / f"test_progress-{short}{share}.pt"
        self.frames: dict[str, int] = {}
        self._loaded: dict[str, Any] | None = None
        self._weights = ""

    def load(self) -> None:
        """Read the file, if there is one, and it is of this very test."""
        if not self.path.exists() or damage(self.path):
            return
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            if content["identity"] == self._identity():
                self._loaded, self.frames = content, content["frames"]
        except Exception:  # whatever is in the file: the test then begins with its first frame
            self._loaded, self.frames = None, {}

    def restore(self, pl_module: LightningModule) -> bool:
        """Set metrics and callbacks, which have been reset, to the states that were loaded; False if there are none."""
        if self._loaded is None:
            return False
        content, self._loaded = self._loaded, None
        restore_metrics(_evaluations(pl_module), content["metrics"])
        for key, callback in self._callbacks().items():
            callback.load_test_state(content["callbacks"][key])
        return True

    def save(self, pl_module: LightningModule) -> None:
        """Write the file, whole or not at all.

        Raises:
            CheckpointError: if there is no room.
        """
        content = {
            "identity": self._identity(),
            "frames": self.frames,
            "metrics": metric_states(_evaluations(pl_module)),
            "callbacks": {key: callback.test_state() for key, callback in self._callbacks().items()},
        }
        AtomicCheckpointIO().save_checkpoint(content, self.path)

    def remove(self) -> None:
        """Remove the file: the test is over."""
        for path in (self.path, self.path.with_name(self.path.name + PARTIAL)):
            path.unlink(missing_ok=True)

    def _callbacks(self) -> dict[str, HasTestState]:
        """Return the callbacks that have a state, by key."""
        callbacks = self.trainer.callbacks  # type: ignore[attr-defined]
        return {callback.state_key: callback for callback in callbacks if isinstance(callback, HasTestState)}

    def _identity(self) -> dict[str, Any]:
        """Return what has to be the same for a test to be resumed."""
        datamodule = datamodule_of(self.trainer)
        self._weights = self._weights or digest(self.trainer.lightning_module)
        return {
            "settings": self.settings,
            "weights": self._weights,
            "data": [data.fingerprint for data in [datamodule, *datamodule.extra_tests]],
            "precision": str(self.trainer.precision),
            "callbacks": sorted(self._callbacks()),
        }


def _of_the_test(settings: Any) -> Any:
    """Return settings without those that change no metric."""
    if isinstance(settings, Mapping):
        return {key: _of_the_test(value) for key, value in settings.items() if key not in OF_THE_MACHINE}
    return [_of_the_test(value) for value in settings] if isinstance(settings, list) else settings


def _evaluations(pl_module: LightningModule) -> dict[str, nn.Module]:
    """Return the metrics of each test set of the method."""
    evaluations: Any = pl_module.evaluations
    return dict(evaluations.items())


def digest(module: nn.Module) -> str:
    """Return sixteen hexadecimal digits that stand for all weights and buffers of a module."""
    whole = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()[:16]
