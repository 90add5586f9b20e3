"""The `segdepth` command: LightningCLI over merged experiment files, with one folder per run."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentError, Namespace
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.fabric.utilities.seed import max_seed_value
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from callbacks import (
    ExactResume,
    NonFiniteReport,
    PropertyCheck,
    ResumableTest,
    RunRecorder,
    RunSummary,
    StagedTraining,
)
from callbacks.checkpoints.checkpoint_io import AtomicCheckpointIO
from callbacks.checkpoints.stop_signals import StopSignals
from callbacks.records.other_processes import OtherProcesses
from callbacks.records.run_logger import RunLogger, finish_run
from datamodules import DepthDataModule
from experiments.config.arguments import take_flag
from experiments.config.compose import Composition, ConfigError, compose
from experiments.config.explain import explain
from experiments.config.idle_options import idle_in_trainer
from experiments.config.key_checks import check_composition
from experiments.health.failures import explain_failure
from experiments.health.packages import package_versions
from experiments.results.changed_tests import changes, data_label, name_of
from experiments.results.published import oracle_mark, tables_of
from experiments.results.run_files import read_json
from experiments.results.run_folder import (
    RUN_ENVIRONMENT,
    RunSettings,
    find_checkpoint,
    resume_checkpoint,
    take_folder,
    was_requeued,
)
from experiments.train.banner import print_banner
from experiments.train.checkpoint_file import check_checkpoint
from experiments.train.early_checks import (
    check_batch_norm,
    check_before_weights,
    check_checkpoint_method,
    check_monitor,
)
from experiments.train.lightning_cli_internals import OpenCLI
from experiments.train.plain_weights import fit_weights, plain_weights
from experiments.train.trainer import ExperimentTrainer
from lightning_modules import DepthModule


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
        """Lightning's subcommands, and ``exp``: fit, then test the best checkpoint."""
        return {"exp": {"model", "datamodule"}, **LightningCLI.subcommands()}

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """A parser that takes whole names only: the beginning of a flag may be another one's tomorrow."""
        return super().init_parser(**{"allow_abbrev": False, **kwargs})

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add ``--run.*``."""
        parser.add_class_arguments(RunSettings, "run")

    def check_seed(self) -> None:
        """Check the configured seed.

        Raises:
            ConfigError: for a number that is no seed.
        """
        seed = self.config[self.subcommand].get("seed_everything")
        if not isinstance(seed, bool) and seed is not None and not 0 <= seed <= max_seed_value:
            raise ConfigError(f"`--seed_everything {seed}`: not a seed; take one from 0 to {max_seed_value}")

    def before_instantiate_classes(self) -> None:
        """Name the run, find the checkpoint that `last` or `best` stands for, and point the trainer to the folder."""
        config = self.config[self.subcommand]
        run = RunSettings(**config.run.as_dict())
        run.experiment = run.experiment or self.composition.experiment
        if config.get("ckpt_path") in ("last", "best"):
            named = run.name or os.environ.get(RUN_ENVIRONMENT)
            found = find_checkpoint(Path(run.root), run.experiment, config.ckpt_path, named)
            config.ckpt_path = str(found)
            run.name = found.parent.parent.name  # whatever is done with a run's checkpoint belongs to the run
            os.environ[RUN_ENVIRONMENT] = run.name  # a process that looks later may find a newer one
        data = data_label(config.data.as_dict())
        self._take_folder(run, data)
        goes_on = (run.resume or was_requeued()) and self.subcommand in ("exp", "fit")
        if goes_on and not config.get("ckpt_path") and (checkpoint := resume_checkpoint(run)):
            config.ckpt_path = str(checkpoint)
        run.profile = self._profile(run)
        run.tags = list(dict.fromkeys([run.experiment, data, *filter(None, [run.profile]), *run.tags]))
        for key, value in vars(run).items():
            config.run[key] = value
        if self.subcommand == "test":
            self._stand_beside(run)
        config.trainer.default_root_dir = str(run.place)
        self.run_settings = run
        self._point_logger(config.trainer.get("logger"), run)
        _choose_monitor(config.trainer.get("callbacks"), run.monitor)
        self._check_early(config)
        if config.get("weights_only") is None:
            config.weights_only = (
                True  # checkpoints of the suite hold plain values, and others' pickles may hold anything
            )
        if self.subcommand == "predict":
            config.return_predictions = False  # PredictionWriter writes them; a whole set would not fit in memory
        if self.subcommand == "test":
            config.verbose = False  # RunSummary prints the figures

    def _profile(self, run: RunSettings) -> str:
        """Profile in force: named now, or when the run was made whose saved configuration this is; "" for none."""
        if self.composition.profile or run.profile is not None:
            return self.composition.profile or str(run.profile)
        if not self.composition.config.get("trainer", {}).get("default_root_dir"):
            return ""
        return str(read_json(run.folder / "environment.json").get("profile", "unknown"))  # of an older run

    def _stand_beside(self, run: RunSettings) -> None:
        """Give a test that differs from the run's own a folder of its own."""
        config = self.config[self.subcommand]
        made_with = yaml.safe_load(self.parser_of(self.subcommand).dump(config, skip_none=False))
        changed = changes(made_with, run.folder)
        if changed and not run.test_name:
            run.test_name = config.run.test_name = name_of(changed)
        if changed:
            options = ", ".join(sorted(changed))
            rank_zero_info(
                f"this test differs from the run's own in {options}: its figures stand beside those, in {run.place} "
                f"(`--run.test_name` names it, `segdepth compare --test {run.test_name}` shows it)"
            )

    def _take_folder(self, run: RunSettings, data: str) -> None:
        """Name a run that has no name, and hold its folder: two commands at once would mix what they leave there."""
        file = " --ckpt_path FILE" if self.subcommand not in ("exp", "fit") else ""
        mend = f"wait until it ends, or work in another folder: `--run.name NAME{file}`"
        place = take_folder(run.folder.parent, run.name, data, self.composition.profile, mend)
        run.name = self.hold(place).name

    @property
    def data_stage(self) -> str | None:
        """Parts of the data that the command reads, as ``DepthDataModule.setup`` takes it; None for all."""
        return self.subcommand if self.subcommand in ("test", "predict") else None

    def _check_early(self, config: Namespace) -> None:
        """Check what needs no network: the checkpoint's method, and the data where weights are to be fetched."""
        if path := config.get("ckpt_path"):
            check_checkpoint_method(Path(path), config.model.class_path)
        self.early_data = check_before_weights(config, self.data_stage, training=self.subcommand in ("exp", "fit"))

    def after_instantiate_classes(self) -> None:
        """Check the data before Lightning opens the logger: a run that cannot start leaves no folder behind."""
        if self.early_data is not None:
            self.datamodule = self.early_data
        else:
            self.datamodule.prepare_data()
            self.datamodule.setup(self.data_stage)
        if self.model.oracle:
            self._mark_oracle(oracle_mark(self.model.oracle))
        self._watch()
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
            check_monitor(self.run_settings.monitor, self.model)
            check_batch_norm(self.model, self.datamodule, self.trainer.world_size)
        if self.trainer.is_global_zero:
            if idle := idle_in_trainer(str(self.subcommand), self.composition.flags):
                print(f"without effect in `{self.subcommand}`: {', '.join(f'--{flag}' for flag in idle)}")
            print_banner(
                self.run_settings, str(self.run_settings.profile), self.model, self.datamodule.describe(), batch
            )

    def _watch(self) -> None:
        """Let no process wait for another without end, and let a test that is stopped go on; these come last."""
        config = self.config[self.subcommand].as_dict()
        settings = {"model": config["model"], "data": config["data"], "callbacks": config["trainer"]["callbacks"]}
        waiting = OtherProcesses(self.run_settings.wait_minutes)
        waiting.apply(self.trainer)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, RunSummary):
                callback.method = callback.method or str(self.run_settings.experiment)
        self.trainer.callbacks.extend([waiting, ResumableTest(settings)])  # type: ignore[attr-defined]

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

    def _mark_oracle(self, mark: str) -> None:
        """Tag a run whose method reads ground truth in tests, here and on W&B."""
        self.config[self.subcommand].run.tags = self.run_settings.tags = [*self.run_settings.tags, mark]
        if isinstance(self.trainer.logger, RunLogger):
            self.trainer.logger.add_tags([mark])

    def _point_logger(self, logger: Any, run: RunSettings) -> None:
        """Tell :class:`~callbacks.RunLogger` of the run; any other logger is the user's own affair."""
        if getattr(logger, "class_path", "").endswith("RunLogger"):
            logger.init_args.save_dir = str(run.place)
            logger.init_args.name = "/".join(filter(None, (run.experiment, run.name, run.test_name)))
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
