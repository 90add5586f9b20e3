"""What a test that was stopped has measured so far, kept in a file for the next test of the same thing."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from callbacks.checkpoints.checkpoint_io import PARTIAL, AtomicCheckpointIO, damage
from callbacks.checkpoints.metric_states import metric_states, restore_metrics
from callbacks.pictures.retrieval_picture import SeenFrame
from callbacks.pictures.worst_cases import Case

#: Options that change no figure: where files are, whose content the data's fingerprint knows, and who reads them.
OF_THE_MACHINE = frozenset({"root", "store", "num_workers"})

#: What a file may hold besides tensors and plain values.
KINDS = [
    Case, SeenFrame, np.ndarray, np.dtype, np.dtypes.UInt8DType, np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
]  # fmt: skip


class TestProgress:
    """One process's share of a test: frames done, states of the metrics, and what callbacks have collected.

    A callback names in ``kept_in_test`` those of its attributes that grow with each batch: plain values, or modules
    that hold metrics. The file is taken up only by a test with the same settings, weights, data and processes.

    Args:
        trainer: that tests.
        settings: configuration of model and data; another one has a file of its own.
    """

    __test__ = False  # not a test of pytest's

    def __init__(self, trainer: Trainer, settings: Mapping[str, Any]):
        self.trainer = trainer
        self.settings = json.dumps(_of_the_test(settings), sort_keys=True, default=str)
        short = hashlib.sha256(self.settings.encode()).hexdigest()[:8]
        share = f"-{trainer.global_rank}of{trainer.world_size}" if trainer.world_size > 1 else ""
        self.path = Path(trainer.default_root_dir) / f"test_progress-{short}{share}.pt"
        self.frames: dict[str, int] = {}  # of this process, by test set
        self._loaded: dict[str, Any] | None = None
        self._weights = ""

    def load(self) -> None:
        """Read the file, if there is one, and it is of this very test."""
        if not self.path.exists() or damage(self.path):
            return
        try:
            with torch.serialization.safe_globals(KINDS):
                content = torch.load(self.path, map_location="cpu", weights_only=True)
            if content["identity"] == self._identity():
                self._loaded, self.frames = content, content["frames"]
        except Exception:  # whatever is in the file: the test then begins with its first frame
            self._loaded, self.frames = None, {}

    def restore(self, pl_module: LightningModule) -> bool:
        """Put back what was loaded, after metrics and callbacks have been reset; whether there was anything."""
        if self._loaded is None:
            return False
        content, self._loaded = self._loaded, None
        restore_metrics(_modules(pl_module.evaluations), content["metrics"], pl_module.device)
        for key, callback, name in self._collected():
            kept, value = content["callbacks"][key], getattr(callback, name)
            if modules := _modules(value):
                restore_metrics(modules, kept, pl_module.device)
            else:
                setattr(callback, name, kept)
        return True

    def save(self, pl_module: LightningModule) -> None:
        """Write the file, whole or not at all.

        Raises:
            CheckpointError: if there is no room.
        """
        collected = {}
        for key, callback, name in self._collected():
            value = getattr(callback, name)
            modules = _modules(value)
            collected[key] = metric_states(modules) if modules else value
        content = {
            "identity": self._identity(),
            "frames": self.frames,
            "metrics": metric_states(_modules(pl_module.evaluations)),
            "callbacks": collected,
        }
        AtomicCheckpointIO().save_checkpoint(content, self.path)

    def remove(self) -> None:
        """Forget the file: the test is over."""
        for path in (self.path, self.path.with_name(self.path.name + PARTIAL)):
            path.unlink(missing_ok=True)

    def _collected(self) -> Iterator[tuple[str, Callback, str]]:
        """Key, callback and name of each attribute that grows with the test."""
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            for name in getattr(callback, "kept_in_test", ()):
                yield f"{type(callback).__name__}.{name}", callback, name

    def _identity(self) -> dict[str, Any]:
        """What has to be the same for a test to go on."""
        datamodule: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        self._weights = self._weights or digest(self.trainer.lightning_module)
        return {
            "settings": self.settings,
            "weights": self._weights,
            "data": [data.fingerprint for data in [datamodule, *datamodule.extra_tests]],
            "precision": str(self.trainer.precision),
            "callbacks": sorted(key for key, _, _ in self._collected()),
        }


def _of_the_test(settings: Any) -> Any:
    """Settings without what changes no figure."""
    if isinstance(settings, Mapping):
        return {key: _of_the_test(value) for key, value in settings.items() if key not in OF_THE_MACHINE}
    return [_of_the_test(value) for value in settings] if isinstance(settings, list) else settings


def _modules(value: Any) -> dict[str, nn.Module]:
    """Modules of a dict of modules; none of anything else."""
    if not isinstance(value, dict | nn.ModuleDict):
        return {}
    return {key: module for key, module in value.items() if isinstance(module, nn.Module)}


def digest(module: nn.Module) -> str:
    """Sixteen hexadecimal digits that stand for all weights and buffers of a module."""
    whole = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        whole.update(name.encode())
        whole.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return whole.hexdigest()[:16]
