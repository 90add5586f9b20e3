"""The method and the data of a finished run, as its folder says, with the weights of its checkpoint."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightning_modules
from datamodules import DepthDataModule
from experiments.config.arguments import Changes
from experiments.config.compose import Composition, ConfigError, compose
from experiments.config.offered_classes import import_offered
from experiments.config.parts import parse_parts, parts_parser
from experiments.config.suggest import known_experiments, nearest
from experiments.results.of_run import OfRun
from experiments.results.run_folder import find_checkpoint
from experiments.train.checkpoint_file import check_checkpoint, read_checkpoint
from lightning_modules import DepthModule
from lightning_modules.backbones import weights_left_out

#: A run as it was.
NO_CHANGES = Changes()

#: Options of a run that do not count here, where one test set is looked at.
NOT_NEEDED = (
    ("model", "checkpoint", None),
    ("model", "test_protocols", None),
    ("data", "extra_tests", None),
    ("data", "variants", None),
)


@dataclass(frozen=True)
class FinishedModel(OfRun):
    """What a run has learnt.

    Attributes:
        folder: the run's folder, ``<root>/<experiment>/<run>``.
        checkpoint: file whose weights the method has.
        module: the method.
        datamodule: the data that it was trained on, or those that the command line names instead.
        precision: of the run's trainer.
    """

    checkpoint: Path
    module: DepthModule
    datamodule: DepthDataModule
    precision: str


def find_run(name: str, root: Path, which: str) -> tuple[Path, Path]:
    """Return the folder and checkpoint of the run that a name stands for.

    Args:
        name: a run's folder, ``<experiment>/<run>`` under ``root``, or an experiment, of which the newest run is taken.
        root: folder of all runs.
        which: ``best`` or ``last``.

    Raises:
        ConfigError: if there is no such run, or it has no such checkpoint.
    """
    for folder in (Path(name), root / name):
        if (folder / "config.yaml").is_file():
            folder = folder.resolve()
            return folder, find_checkpoint(folder.parents[1], folder.parent.name, which, folder.name)
    if not (root / name).is_dir():
        known = known_experiments(root)
        runs = [f"{path.parent.parent.name}/{path.parent.name}" for path in root.glob("*/*/config.yaml")]
        near = nearest(name, [*known, *runs])
        meant = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known) or 'none'}."
        raise ConfigError(
            f"no run `{name}`; {meant} Name a run's folder, or an experiment that has runs under {root} (`--runs_root`)"
        )
    checkpoint = find_checkpoint(root, name, which)
    return checkpoint.parents[1].resolve(), checkpoint


def open_run(name: str, root: Path, which: str = "best", changes: Changes = NO_CHANGES) -> FinishedModel:
    """Build the method and the data of a run from its ``config.yaml``, and load its weights.

    Args:
        name: see :func:`find_run`.
        root: folder of all runs.
        which: ``best`` or ``last``.
        changes: to the configuration.

    Raises:
        ConfigError: if there is no such run, its configuration cannot be used, or the checkpoint does not fit.
    """
    run = build_run(*find_run(name, root, which), changes)
    run.datamodule.prepare_data()
    return run


def build_run(folder: Path, checkpoint: Path, changes: Changes = NO_CHANGES) -> FinishedModel:
    """Build the method and the data of a run, whose files are not looked at, and load weights.

    Args:
        folder: the run's folder, with its ``config.yaml``.
        checkpoint: file whose weights the method gets.
        changes: to the configuration.

    Raises:
        ConfigError: if the configuration cannot be used, or the checkpoint does not fit.
    """
    composition = run_configuration(folder, changes)
    module, datamodule = build_parts(composition, changes.flags)
    check_checkpoint(checkpoint, module, datamodule, training=False)
    content = read_checkpoint(checkpoint)
    module.load_state_dict(content["state_dict"])
    if content.get("stage") in [stage.name for stage in getattr(module, "stages", ())]:
        module.on_load_checkpoint(content)  # a method that is trained in stages works as in the checkpoint's
    precision = str(composition.config.get("trainer", {}).get("precision", "32-true"))
    return FinishedModel(folder, checkpoint, module.eval(), datamodule, precision)


def run_configuration(folder: Path, changes: Changes = NO_CHANGES) -> Composition:
    """Return a run's configuration, without what does not count once it is finished.

    Args:
        folder: the run's folder, with its ``config.yaml``.
        changes: to the configuration.

    Raises:
        ConfigError: if it cannot be read, or is no run's.
    """
    composition = compose([str(folder / "config.yaml"), *changes.names], changes.flags)
    if missing := {"model", "data"} - composition.config.keys():
        raise ConfigError(f"{folder / 'config.yaml'}: has no `{min(missing)}`, hence is no run's; name another run")
    for part, key, value in NOT_NEEDED:
        if key in composition.config[part].get("init_args", {}):
            composition.config[part]["init_args"][key] = value
    return composition


def build_parts(composition: Composition, flags: Sequence[str] = ()) -> tuple[DepthModule, DepthDataModule]:
    """Build the method, without its weights, and the data of a configuration; no file of the data is looked at.

    Args:
        composition: with the sections ``model`` and ``data``.
        flags: that change it.

    Raises:
        ConfigError: if it does not parse, in one line.
    """
    import_offered(lightning_modules)
    parser = parts_parser()
    parser.add_subclass_arguments(DepthModule, "model", required=True)
    options = parse_parts(parser, {key: composition.config[key] for key in ("model", "data")}, flags, composition)
    with warnings.catch_warnings(), weights_left_out():  # the checkpoint has all weights
        warnings.filterwarnings("ignore", message="Attribute .* is an instance of `nn.Module`")  # of no checkpoint here
        made = parser.instantiate(options)
    return made.model, made.data
