"""The `segdepth` command: LightningCLI over merged experiment files, with one folder per run."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.rank_zero import rank_zero_info

import callbacks
import datamodules
import lightning_modules
from callbacks import (
    ExactResume,
    NonFiniteReport,
    PropertyCheck,
    ResumableTest,
    RunRecorder,
    StagedTraining,
)
from callbacks.checkpoints.checkpoint_io import AtomicCheckpointIO
from callbacks.checkpoints.stop_signals import StopSignals
from callbacks.records.other_processes import OtherProcesses
from callbacks.records.run_logger import RunLogger, finish_run
from callbacks.records.this_run import ThisRun
from datamodules import DepthDataModule
from experiments.config.arguments import take_flag
from experiments.config.commands import find_command
from experiments.config.common_options import common_help
from experiments.config.compose import Composition, ConfigError, compose
from experiments.config.explain import explain
from experiments.config.idle_options import idle_in_trainer
from experiments.config.key_checks import check_composition
from experiments.config.offered_classes import import_offered
from experiments.config.run_settings import RunSettings
from experiments.health.failures import explain_failure
from experiments.health.packages import package_versions
from experiments.results.marks import oracle_mark
from experiments.results.run_folder import RUN_ENVIRONMENT
from experiments.train.banner import print_banner
from experiments.train.lightning_cli_internals import OpenCLI
from experiments.train.plain_weights import Weights
from experiments.train.preflight import TRAINING, before_building, before_starting, check_seed, data_stage
from experiments.train.quiet import quieten
from experiments.train.run_place import settle_run, stand_beside
from experiments.train.trainer import ExperimentTrainer
from experiments.train.watched_run import link_run, watched_run
from lightning_modules import DepthModule
from lightning_modules.backbones import weights_left_out


class SegdepthCLI(OpenCLI):
    """LightningCLI that knows the run folder.

    Args:
        composition: the merged configuration that ``args`` carries, for names and error messages.
        args: subcommand and flags.
        holding: what lets go of the run's folder when the command ends; by default the process holds it to its end.
    """

    def __init__(self, composition: Composition, args: list[str], holding: ExitStack | None = None):
        self.composition = composition
        stack = holding or ExitStack()
        # a function, for callbacks that copy the method reach this object through the trainer, and a stack has no copy
        self.hold: Callable[[AbstractContextManager[Path]], Path] = lambda place: stack.enter_context(place)
        import_offered(callbacks, datamodules, lightning_modules)
        super().__init__(
            DepthModule,
            DepthDataModule,
            trainer_class=ExperimentTrainer,
            trainer_defaults={"callbacks": [ExactResume(), NonFiniteReport(), PropertyCheck(), StagedTraining()]},
            subclass_mode_model=True,
            subclass_mode_data=True,
            seed_everything_default=0,
            save_config_callback=RunRecorder,
            save_config_kwargs={"versions": package_versions},
            parser_kwargs={"exit_on_error": False},
            args=args,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return Lightning's subcommands, and ``exp``: fit, then test the best checkpoint."""
        return {"exp": {"model", "datamodule"}, **LightningCLI.subcommands()}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Return a parser that takes whole names only: the beginning of a flag may be another one's tomorrow."""
        return super().init_parser(**{"allow_abbrev": False, **kwargs})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--run.*``, and tell the run to the logger and callbacks that ask for it."""
        parser.add_class_arguments(RunSettings, "run")
        link_run(parser, self._watched_run)

    def _watched_run(self, run: RunSettings) -> ThisRun:
        method = self.config[self.subcommand].model.class_path.rsplit(".", 1)[-1]
        return watched_run(run, str(self.subcommand), method)

    def check_seed(self) -> None:
        """Check the configured seed.

        Raises:
            ConfigError: for a number that is no seed.
        """
        check_seed(self.config[self.subcommand].get("seed_everything"))

    def before_instantiate_classes(self) -> None:
        """Settle the run, point the trainer to its folder, and check what can be checked so early."""
        config, command = self.config[self.subcommand], str(self.subcommand)
        self.run_settings = run = settle_run(config, self.composition, command, self.hold)
        if command == "test":
            stand_beside(run, yaml.safe_load(self.parser_of(command).dump(config, skip_none=False)))
            config.run.test_name = run.test_name
        config.trainer.default_root_dir = str(run.place)
        self.early_data = before_building(config, command)
        if config.get("weights_only") is None:
            # checkpoints of the suite hold plain values, and others' pickles may hold anything
            config.weights_only = True
        if command == "predict":
            config.return_predictions = False  # PredictionWriter writes them; a whole set would not fit in memory
        if command == "test":
            config.verbose = False  # RunSummary prints the metrics

    def instantiate_classes(self) -> None:
        """Build method, data and trainer; initial weights are not looked for where a checkpoint's take their place."""
        checkpoint = self.config[self.subcommand].get("ckpt_path")
        with weights_left_out() if checkpoint else nullcontext():
            super().instantiate_classes()

    def after_instantiate_classes(self) -> None:
        """Set up the data, check what was built, and say what is about to run."""
        config, command = self.config[self.subcommand], str(self.subcommand)
        if self.early_data is not None:
            self.datamodule = self.early_data
        else:
            self.datamodule.prepare_data()
            self.datamodule.setup(data_stage(command))
        self._prepare_trainer(config.as_dict())
        weights = before_starting(
            self.model, self.datamodule, self.trainer, self.run_settings, command, config.get("ckpt_path")
        )
        if weights is not None:
            self._load(weights, config.ckpt_path)
        if self.model.oracle:
            self._mark_oracle(oracle_mark(self.model.oracle))
        if self.trainer.is_global_zero:
            if idle := idle_in_trainer(command, self.composition.flags):
                print(f"without effect in `{command}`: {', '.join(f'--{flag}' for flag in idle)}")
            batch = self.datamodule.describe_batch() if command in TRAINING else None
            data = self.datamodule.describe()
            print_banner(self.run_settings, str(self.run_settings.profile), self.model, data, batch)

    def _prepare_trainer(self, config: dict[str, Any]) -> None:
        """Give the trainer what every command of the suite has; callbacks that come last are added here."""
        if isinstance(self.trainer, ExperimentTrainer):
            self.trainer.tested = self.run_settings.tested
        if type(self.trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # else the user has chosen another
            self.trainer.strategy.checkpoint_io = AtomicCheckpointIO()
        waiting = OtherProcesses(self.run_settings.wait_minutes)  # no process waits for another without end
        waiting.apply(self.trainer)
        settings = {"model": config["model"], "data": config["data"], "callbacks": config["trainer"]["callbacks"]}
        self.trainer.callbacks.extend([waiting, ResumableTest(settings)])  # type: ignore[attr-defined]
        if self.subcommand in TRAINING:
            self.datamodule.trainer = self.trainer  # as Lightning does when it starts: whose processes share a batch

    def _load(self, weights: Weights, path: str) -> None:
        """Load weights alone, which Lightning cannot."""
        self.model.load_state_dict(weights)
        self.config_init[self.subcommand].ckpt_path = None  # the record keeps what was asked for
        begins = "; training begins with them at its first step" if self.subcommand in TRAINING else ""
        rank_zero_info(f"{path}: weights alone, {len(weights)} tensors{begins}")

    def _mark_oracle(self, mark: str) -> None:
        """Tag a run whose method reads ground truth in tests, here and on W&B."""
        self.config[self.subcommand].run.tags = self.run_settings.tags = [*self.run_settings.tags, mark]
        if isinstance(self.trainer.logger, RunLogger):
            self.trainer.logger.add_tags([mark])


def run_trainer_command(command: str, arguments: Sequence[str]) -> None:
    """Run ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        ConfigError: for a configuration that cannot be used, in one line.
    """
    if {"-h", "--help"} & set(arguments):
        print(common_help(find_command([command])[0]))
    named, rest = take_flag(arguments, "--experiment")  # W&B's agent orders a sweep's flags as it likes
    names, rest = take_flag(rest, "--config", "-c")
    names = [*named, *names]
    if not names and not {"-h", "--help"} & set(rest) and not any(a.startswith("--help") for a in rest):
        raise ConfigError(f"`segdepth {command}` needs a configuration: segdepth {command} --config shed_hybrid")
    composition = compose(names, rest)
    if names:
        check_composition(composition, names)
    config = ["--config", yaml.safe_dump(composition.config)] if names else []
    torch.set_float32_matmul_precision("high")
    quieten()
    inherited = RUN_ENVIRONMENT in os.environ
    StopSignals.latest = 0
    with ExitStack() as holding:
        try:
            SegdepthCLI(composition, [command, *config, *rest], holding)
        except ArgumentError as error:
            raise ConfigError(explain(str(error), composition)) from error
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
