"""The `segdepth` command: LightningCLI over merged experiment files, with one folder per run."""

import difflib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from datamodules import DepthDataModule
from experiments.compose import Composition, ConfigError, compose
from experiments.recorder import RunRecorder
from experiments.run_folder import RunSettings, find_checkpoint, name_run
from experiments.trainer import ExperimentTrainer
from lightning_modules import DepthModule

TRAINER_COMMANDS = ("exp", "fit", "validate", "test", "predict")


class SegdepthCLI(LightningCLI):
    """LightningCLI that knows the run folder.

    Args:
        composition: the merged configuration that ``args`` carries, for names and error messages.
        args: subcommand and flags.
    """

    def __init__(self, composition: Composition, args: list[str]):
        self.composition = composition
        super().__init__(
            DepthModule,
            DepthDataModule,
            trainer_class=ExperimentTrainer,
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_callback=RunRecorder,
            save_config_kwargs={"profile": composition.profile},
            parser_kwargs={"exit_on_error": False},
            args=args,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's subcommands, and ``exp``: fit, then test the best checkpoint."""
        return {"exp": {"model", "datamodule"}, **LightningCLI.subcommands()}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--run.*``."""
        parser.add_class_arguments(RunSettings, "run")

    def before_instantiate_classes(self) -> None:
        """Name the run, find the checkpoint that `last` or `best` stands for, and point the trainer to the folder."""
        config = self.config[self.subcommand]
        run = RunSettings(**config.run.as_dict())
        run.experiment = run.experiment or self.composition.experiment
        if config.get("ckpt_path") in ("last", "best"):
            checkpoint = find_checkpoint(Path(run.root), run.experiment, config.ckpt_path, run.name)
            config.ckpt_path = str(checkpoint)
            if self.subcommand in ("exp", "fit"):
                run.name = checkpoint.parent.parent.name
        data = config.data.class_path.rsplit(".", 1)[-1].removesuffix("DataModule").lower()
        run.name = run.name or name_run(data, self.composition.profile)
        run.tags = list(dict.fromkeys([run.experiment, data, *filter(None, [self.composition.profile]), *run.tags]))
        for key, value in vars(run).items():
            config.run[key] = value
        config.trainer.default_root_dir = str(run.folder)

    def instantiate_trainer(self, **kwargs: Any) -> ExperimentTrainer:
        """Build the trainer; its logger is told of the run by :class:`RunRecorder`."""
        trainer: ExperimentTrainer = super().instantiate_trainer(**kwargs)
        return trainer


def run_trainer_command(command: str, arguments: Sequence[str]) -> None:
    """Run ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        ConfigError: for a configuration that cannot be used, in one line.
    """
    names, rest = split_configs(arguments)
    if not names and not {"-h", "--help"} & set(rest) and not any(a.startswith("--help") for a in rest):
        raise ConfigError(f"`segdepth {command}` needs a configuration: segdepth {command} --config shed_hybrid")
    composition = compose(names)
    config = ["--config", yaml.safe_dump(composition.config)] if names else []
    torch.set_float32_matmul_precision("high")
    try:
        SegdepthCLI(composition, [command, *config, *rest])
    except ArgumentError as error:
        raise ConfigError(explain_argument_error(str(error), composition)) from error


def split_configs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate ``--config NAME`` (``-c NAME``, ``--config=NAME``), in order, from the other arguments."""
    names, rest, remaining = [], [], iter(arguments)
    for argument in remaining:
        if argument in ("--config", "-c"):
            names.append(next(remaining, ""))
        elif argument.startswith("--config="):
            names.append(argument.removeprefix("--config="))
        else:
            rest.append(argument)
    return names, rest
