"""The `segdepth` command: LightningCLI over merged experiment files, with one folder per run."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.seed import max_seed_value
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks import ExactResume, NonFiniteReport, ResumableTest, RunRecorder, StagedTraining
from callbacks.checkpoint_io import AtomicCheckpointIO
from callbacks.run_logger import RunLogger, finish_run
from callbacks.stop_signals import StopSignals
from datamodules import DepthDataModule
from datamodules.files import ROOMS_MARKER
from experiments.banner import print_banner
from experiments.checkpoint_file import check_checkpoint
from experiments.command_line import take_flag
from experiments.compose import Composition, ConfigError, compose
from experiments.explain import explain
from experiments.failures import explain_failure
from experiments.plain_weights import fit_weights, plain_weights
from experiments.published import oracle_mark, tables_of
from experiments.run_folder import (
    RUN_ENVIRONMENT,
    RunSettings,
    find_checkpoint,
    name_run,
    resume_checkpoint,
    was_requeued,
)
from experiments.trainer import ExperimentTrainer
from lightning_modules import DepthModule


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
            trainer_defaults={"callbacks": [ExactResume(), NonFiniteReport(), StagedTraining(), ResumableTest()]},
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

    def _parse_ckpt_path(self) -> None:
        """Leave the configuration as it is: Lightning would overwrite it with what the checkpoint was trained with.

        The protocol of a data set that is tested on is not that of the training's, and whether the weights fit
        :func:`check_checkpoint` tells.
        """

    def _set_seed(self) -> None:
        """Seed everything.

        Raises:
            ConfigError: for a number that is no seed.
        """
        seed = self.config[self.subcommand].get("seed_everything")
        if not isinstance(seed, bool) and seed is not None and not 0 <= seed <= max_seed_value:
            raise ConfigError(f"`--seed_everything {seed}`: not a seed; take one from 0 to {max_seed_value}")
        super()._set_seed()

    def before_instantiate_classes(self) -> None:
        """Name the run, find the checkpoint that `last` or `best` stands for, and point the trainer to the folder."""
        config = self.config[self.subcommand]
        run = RunSettings(**config.run.as_dict())
        run.experiment = run.experiment or self.composition.experiment
        if config.get("ckpt_path") in ("last", "best"):
            found = find_checkpoint(Path(run.root), run.experiment, config.ckpt_path, run.name)
            config.ckpt_path = str(found)
            run.name = found.parent.parent.name  # whatever is done with a run's checkpoint belongs to the run
        data = config.data.class_path.rsplit(".", 1)[-1].removesuffix("DataModule").lower()
        root = Path(str(config.data.init_args.get("root", ""))).expanduser()
        if (root / ROOMS_MARKER).is_file():  # synthetic data is never called by another set's name
            data = f"rooms-{data}"
        run.name = run.name or name_run(data, self.composition.profile)
        goes_on = (run.resume or was_requeued()) and self.subcommand in ("exp", "fit")
        if goes_on and not config.get("ckpt_path") and (checkpoint := resume_checkpoint(run)):
            config.ckpt_path = str(checkpoint)
        run.tags = list(dict.fromkeys([run.experiment, data, *filter(None, [self.composition.profile]), *run.tags]))
        for key, value in vars(run).items():
            config.run[key] = value
        config.trainer.default_root_dir = str(run.folder)
        self.run_settings = run
        self._point_logger(config.trainer.get("logger"), run)
        _choose_monitor(config.trainer.get("callbacks"), run.monitor)
        if config.get("weights_only") is None:
            config.weights_only = (
                True  # checkpoints of the suite hold plain values, and others' pickles may hold anything
            )
        if self.subcommand == "predict":
            config.return_predictions = False  # PredictionWriter writes them; a whole set would not fit in memory
        if self.subcommand == "test":
            config.verbose = False  # RunSummary prints the figures

    def after_instantiate_classes(self) -> None:
        """Check the data before Lightning opens the logger: a run that cannot start leaves no folder behind."""
        self.datamodule.prepare_data()
        self.datamodule.setup()
        if self.model.oracle:
            self._mark_oracle(oracle_mark(self.model.oracle))
        self._let_tests_go_on()
        if isinstance(self.trainer, ExperimentTrainer):
            self.trainer.tested = self.run_settings.tested
        training = self.subcommand in ("exp", "fit")
        self.model.check_data(self.datamodule, training=training)
        if path := self.config[self.subcommand].get("ckpt_path"):
            self._take_checkpoint(Path(path), training)
        if type(self.trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # else the user has chosen another
            self.trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        batch = None
        if training:
            self.datamodule.trainer = self.trainer  # as Lightning does when it starts: whose processes share a batch
            batch = self.datamodule.describe_batch()
        if self.trainer.is_global_zero:
            print_banner(self.run_settings, self.composition.profile, self.model, self.datamodule.describe(), batch)

    def _take_checkpoint(self, path: Path, training: bool) -> None:
        """Check a checkpoint that Lightning is to load; load a file of weights alone, which it cannot."""
        weights = plain_weights(path)
        if weights is None:
            check_checkpoint(path, self.model, self.datamodule, training=training)
            return
        self.model.load_state_dict(fit_weights(weights, self.model, path))
        self.config_init[self.subcommand].ckpt_path = None  # the record keeps what was asked for
        begins = "; training begins with them at its first step" if training else ""
        rank_zero_info(f"{path}: weights alone, {len(weights)} tensors{begins}")

    def _let_tests_go_on(self) -> None:
        """Say what has to be the same for a stopped test to go on."""
        config = self.config[self.subcommand].as_dict()
        watching = config["trainer"]["callbacks"]
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, ResumableTest):
                callback.settings = {**{key: config[key] for key in ("model", "data")}, "callbacks": watching}

    def _mark_oracle(self, mark: str) -> None:
        """Tag a run whose method reads ground truth in tests, here and on W&B."""
        self.config[self.subcommand].run.tags = self.run_settings.tags = [*self.run_settings.tags, mark]
        if isinstance(self.trainer.logger, RunLogger):
            self.trainer.logger.add_tags([mark])

    def _point_logger(self, logger: Any, run: RunSettings) -> None:
        """Tell :class:`~callbacks.RunLogger` of the run; any other logger is the user's own affair."""
        if getattr(logger, "class_path", "").endswith("RunLogger"):
            logger.init_args.save_dir = str(run.folder)
            logger.init_args.name = f"{run.experiment}/{run.name}"
            tables = tables_of(str(run.experiment))
            method = self.config[self.subcommand].model.class_path.rsplit(".", 1)[-1]
            papers = dict.fromkeys(table.partition("/")[0] for table in tables)
            logger.init_args.group = " ".join(tables) or run.experiment
            logger.init_args.job_type = self.subcommand
            logger.init_args.tags = [*run.tags, method, *papers, *tables]


def _choose_monitor(callbacks: Any, monitor: str | None) -> None:
    """Tell :class:`~callbacks.BestCheckpoint` which figure is best when lowest; a list in YAML can only be replaced."""
    for callback in callbacks or []:
        if monitor is not None and callback.class_path.endswith("BestCheckpoint"):
            callback.init_args.monitor, callback.init_args.mode = monitor, "min"


def run_trainer_command(command: str, arguments: Sequence[str]) -> None:
    """Run ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        ConfigError: for a configuration that cannot be used, in one line.
    """
    named, rest = take_flag(arguments, "--experiment")  # W&B's agent orders a sweep's flags as it likes
    names, rest = take_flag(rest, "--config", "-c")
    names = [*named, *names]
    if not names and not {"-h", "--help"} & set(rest) and not any(a.startswith("--help") for a in rest):
        raise ConfigError(f"`segdepth {command}` needs a configuration: segdepth {command} --config shed_hybrid")
    composition = compose(names)
    config = ["--config", yaml.safe_dump(composition.config)] if names else []
    for flag in rest:
        composition.sources.pop(flag.removeprefix("--").partition("=")[0], None)  # set by the command line, not a file
    torch.set_float32_matmul_precision("high")
    quieten()
    inherited = RUN_ENVIRONMENT in os.environ
    StopSignals.latest = 0
    try:
        SegdepthCLI(composition, [command, *config, *rest])
    except ArgumentError as error:
        raise ConfigError(explain(str(error), composition)) from error
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):  # which Lightning turns into exit status 1
            raise KeyboardInterrupt from None
        raise
    except Exception as error:
        if line := explain_failure(error):
            raise ConfigError(line) from error
        if StopSignals.latest and not isinstance(error, OSError | ValueError):  # those say what is wrong, and where
            print(f"segdepth: stopped by {signal.Signals(StopSignals.latest).name}", file=sys.stderr)
            raise SystemExit(128 + StopSignals.latest) from error
        raise
    finally:
        finish_run(failed=sys.exception() is not None)
        if not inherited:
            os.environ.pop(RUN_ENVIRONMENT, None)  # the next run of this process is another one


def quieten() -> None:
    """Silence what libraries say about themselves and no user can act on."""
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")  # argv and args differ on purpose
    warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")  # Lightning, of torch's pytree
    warnings.filterwarnings("ignore", message="The number of training batches")  # small sets are meant to be small
    warnings.filterwarnings(
        "ignore", message="Total length of `DataLoader`"
    )  # a test that goes on has done a whole set
    warnings.filterwarnings("ignore", message="Found .* in eval mode at the start")  # what a stage freezes
    warnings.filterwarnings("ignore", message="The dirpath has changed")  # a checkpoint tested in another run's folder
    logging.getLogger().addFilter(lambda record: "Images sizes do not match" not in str(record.msg))  # W&B, of panels
    tips = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    tips.addFilter(lambda record: not record.getMessage().startswith("💡"))  # advertisements
