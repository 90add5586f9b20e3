"""Method, data and trainer put together as an experiment's configuration puts them together."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningCLI

from callbacks import StagedTraining
from datamodules import DepthDataModule
from lightning_modules import DepthModule
from tests.contract.methods import METHODS, NEVER_PRETRAINED

#: What every method of the suite needs, of frames of 64x96: native truth and network input differ in size.
DATA = {
    "crop": [64, 64], "eval_size": [64, 64], "val_scenes": 0.5, "batch_size": 2, "eval_batch_size": 2, "num_workers": 0,
    "superpixels": {"class_path": "datamodules.GridSuperpixels"},
    "derived": [{"class_path": "datamodules.EdgeTarget"}],
    "frame_maps": [{"class_path": "datamodules.RegionSupportTarget"}],
}  # fmt: skip

TRAINER = {
    "accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False, "enable_model_summary": False,
    "enable_checkpointing": False, "num_sanity_val_steps": 0, "use_distributed_sampler": False, "max_epochs": 1,
}  # fmt: skip


class Assembly:
    """A method with data that it can be trained and tested on, and a trainer.

    Args:
        name: of the method.
        frames: folder of labelled frames, in NYUv2's format.
        folder: where the trainer may write.
        callbacks: of the trainer, beside the one that goes through stages.
        method: further options of the method.
        trainer: further options of the trainer.
    """

    def __init__(
        self,
        name: str,
        frames: Path,
        folder: Path,
        *,
        callbacks: Sequence[Callback] = (),
        method: dict[str, Any] | None = None,
        trainer: dict[str, Any] | None = None,
    ):
        model = METHODS[name]
        own = {"protocol": {"name": "plain", "min_depth": 0.1, "max_depth": 10.0}, **model["init_args"]}
        if name not in NEVER_PRETRAINED:
            own["pretrained"] = False
        if "stages" in own:
            trainer = {**(trainer or {}), "max_epochs": -1}
        config = {
            "model": {**model, "init_args": {**own, **(method or {})}},
            "data": {"class_path": "datamodules.NYUv2DataModule", "init_args": {"root": str(frames), **DATA}},
            "trainer": {**TRAINER, "default_root_dir": str(folder), **(trainer or {})},
        }
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "LightningCLI's args parameter")  # pytest's own arguments are not meant
            cli = LightningCLI(
                DepthModule, DepthDataModule, subclass_mode_model=True, subclass_mode_data=True, run=False,
                save_config_callback=None, seed_everything_default=0, args=config,
                trainer_defaults={"callbacks": [StagedTraining(), *callbacks]},
            )  # fmt: skip
        self.method: DepthModule = cli.model
        self.data: DepthDataModule = cli.datamodule
        self.trainer: Trainer = cli.trainer
