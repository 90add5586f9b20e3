"""`segdepth evaluate`: metrics of predictions that any program made, by the very code of `segdepth test`."""

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar

from callbacks import ConstantBaseline, Panels, PerImageTable, ResumableTest, RunSummary, WorstCases
from callbacks.records.run_recorder import git_state
from datamodules import DepthDataModule
from datamodules.files import printable, write_text_atomically
from experiments.config.arguments import Changes
from experiments.config.compose import ConfigError, compose
from experiments.config.folder_names import check_folder_name
from experiments.config.idle_options import refuse_idle
from experiments.config.parts import parse_parts, parts_parser
from experiments.foreign.boundary_curve import write_boundary_curves
from experiments.foreign.prediction_files import HDF5_SUFFIXES, STACK_SUFFIXES, PredictionFiles
from experiments.foreign.stored_predictions import StoredPredictions
from experiments.health.packages import package_versions
from experiments.results.folder_lock import work_in
from experiments.results.run_folder import RUN_ENVIRONMENT, take_folder
from experiments.train.quiet import quieten
from lightning_modules.evaluation import EvaluationOptions
from lightning_modules.metrics import EvalProtocol

#: What a configuration says of training and of the network's input means nothing here.
NO_NETWORK = {
    "resize": None,
    "crop": [1, 1],
    "eval_size": None,
    "superpixels": None,
    "derived": None,
    "extra_tests": None,
    "variants": None,
}


@dataclass
class Task:
    """What is evaluated, and where the results go.

    Attributes:
        predictions: folder of one file a frame, named by the frame's number in its data set counted from 1 (0001.npy,
            .npz, .exr, .pfm, .tiff in metres; .png, .tiff in 16 bits) or as the data set calls the frame, or of such a
            folder a scene, or what `segdepth infer` made of the images; or an HDF5, .npy or .npz file of all maps;
            several with `--boundary_curve`.
        output: folder for metrics, table and pictures; by default one under runs/, where `segdepth compare` finds it.
        method: name of the method; that of the predictions by default.
        scale: steps a metre of 16-bit integers.
        key: array to read of an .npz or HDF5 file that holds several.
        inverse: the files hold 1 / depth.
        stretch: the maps show whole frames squeezed to another aspect ratio; else that is refused, as of a crop.
        allow_missing: evaluate the frames that have a prediction, and record how many have none.
        accelerator: auto, cpu, gpu or mps.
        devices: processes.
    """

    predictions: list[Path]
    output: Path | None = None
    method: str | None = None
    scale: float = 1000.0
    key: str | None = None
    inverse: bool = False
    stretch: bool = False
    allow_missing: bool = False
    accelerator: str = "auto"
    devices: int = 1


def evaluate(changes: Changes, /, *, task: Task, boundary_curve: bool = False) -> None:
    """Compare predictions with the truth of a data set: table, metrics.json, per_image.csv and pictures.

    Args:
        changes: the data set and the protocol.
        task: the predictions.
        boundary_curve: draw boundary metrics over Canny's thresholds instead, of one or several sets of predictions.

    Raises:
        ConfigError: for a command line, configuration or folder that cannot be used, in one line.
        FileNotFoundError | ValueError: for predictions that are missing or cannot be read, in one line.
    """
    if boundary_curve:
        draw_boundary_curve(changes, task)
        return
    if len(task.predictions) > 1:
        raise ConfigError("several `--predictions` are compared with `--boundary_curve` alone; evaluate them singly")
    (source,) = task.predictions
    parser, options = read_parts(changes)
    made = parser.instantiate(options)
    check_folder_name("--method", task.method)
    method = task.method or name_of(source)
    module: DepthDataModule = made.data
    module.prepare_data()
    files = find_predictions(task, source, module)
    quieten()
    torch.set_float32_matmul_precision("high")  # as `test` does
    inherited = RUN_ENVIRONMENT in os.environ
    fix = "wait until it ends, or choose another `--output`"
    place = take_folder(Path("runs") / method, None, module.name, "", fix)
    try:
        with work_in(task.output, fix) if task.output else place as folder:
            if (folder / "metrics.json").exists():
                raise ConfigError(f"{printable(folder)}: holds metrics already; choose another `--output`")
            trainer = make_trainer(task, folder, method)
            if trainer.is_global_zero:
                config = nested(yaml.safe_load(parser.dump(options, skip_unset=False)), task)
                write_text_atomically(folder / "config.yaml", yaml.safe_dump(config, sort_keys=False))
                environment = describe(method, files, module, trainer)
                write_text_atomically(folder / "environment.json", json.dumps(environment, indent=2))
                frames = len(module.splits.test)
                found = f", found {files.matched}" if files.matched else ""
                print(f"{method}: {frames} predictions of {module.name}{found}; protocol {made.protocol.name}")
            stored = StoredPredictions(files, protocol=made.protocol, evaluation=made.evaluation)
            trainer.test(stored, datamodule=module, verbose=False)
    finally:
        if not inherited:
            os.environ.pop(RUN_ENVIRONMENT, None)


def draw_boundary_curve(changes: Changes, task: Task) -> None:
    """Write the boundary metrics of prediction sets over Canny's thresholds, as a picture and a table.

    Raises:
        ConfigError | FileNotFoundError | ValueError: as :func:`evaluate`, and for sets of the same name.
    """
    parser, options = read_parts(changes)
    made = parser.instantiate(options)
    module: DepthDataModule = made.data
    module.prepare_data()
    names = [name_of(source) for source in task.predictions]
    if len(set(names)) < len(names):
        names = [str(source) for source in task.predictions]
    splits, sets = module.splits, {}
    common = list(splits.test)
    for name, source in zip(names, task.predictions, strict=True):
        module.splits = splits
        files = find_predictions(task, source, module)
        common = [position for position in common if position in set(module.splits.test)]
        sets[name] = StoredPredictions(files, protocol=made.protocol, evaluation=made.evaluation)
    module.splits = replace(splits, test=common)
    if len(sets) < len(names) or not common:
        raise ConfigError("`--predictions`: name each set once, and sets that have frames in common")
    for path in write_boundary_curves(sets, module, task.output or Path("boundary_curve")):
        print(printable(path))


def name_of(predictions: Path) -> str:
    """Return what a set of predictions is called: its folder, or its file without ending."""
    source = predictions.resolve()
    return source.stem if source.suffix.lower() in (*HDF5_SUFFIXES, *STACK_SUFFIXES) else source.name


def read_parts(changes: Changes) -> tuple[ArgumentParser, Namespace]:
    """Return a parser, and the data set, protocol and groups of metrics as a command line configures them.

    Raises:
        ConfigError: if they cannot be used.
    """
    composition = compose(changes.names, changes.flags)
    refuse_idle("evaluate", composition.flags)
    data = composition.config.get("data", {})
    if "class_path" not in data:
        raise ConfigError("`segdepth evaluate` needs a data set: segdepth evaluate --data nyuv2 --predictions FOLDER")
    method = composition.config.get("model", {}).get("init_args", {})
    config = {key: method[key] for key in ("protocol", "evaluation") if key in method}
    config["data"] = {**data, "init_args": {**data.get("init_args", {}), **NO_NETWORK}}
    parser = parts_parser()
    parser.add_class_arguments(EvalProtocol, "protocol")
    parser.add_class_arguments(EvaluationOptions, "evaluation")
    return parser, parse_parts(parser, config, changes.flags, composition)


def nested(options: dict[str, Any], task: Task) -> dict[str, Any]:
    """Return what was evaluated as a run's configuration has it, which `--config` takes again."""
    method = {key: options[key] for key in ("protocol", "evaluation")}
    plain = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(task).items()}
    plain["predictions"] = str(task.predictions[0])
    return {"model": {"init_args": method}, "data": options["data"], "evaluate": plain}


def find_predictions(task: Task, source: Path, module: DepthDataModule) -> PredictionFiles:
    """Return the predictions of a data set's test frames; where some may be missing, the test set becomes the others.

    Raises:
        FileNotFoundError: if some are missing and may not be, or all are.
        ValueError: if they cannot be told apart.
    """
    indices = module.reader.indices
    test = [indices[position] for position in module.splits.test]
    files = PredictionFiles(
        source, test, max(indices) + 1, scale=task.scale, key=task.key, inverse=task.inverse,
        stretch=task.stretch, names=partial(names_of, module),
        called=partial(called_of, module),
    )  # fmt: skip
    if not files.missing:
        return files
    count = f"{len(files.missing)} of {len(test)} predictions are missing"
    first = f"{printable(source)}: {count}, the first of frame {files.missing[0] + 1} (counted from 1)"
    if len(files.missing) == len(test):
        named = ", or name them as it names them" if any(called_of(module).values()) else ""
        raise FileNotFoundError(f"{first}; number them as `{module.name}` numbers its frames{named}")
    if not task.allow_missing:
        raise FileNotFoundError(f"{first}; make them, or evaluate the others with `--allow_missing`")
    print(f"{first}; evaluating the other {len(test) - len(files.missing)}")
    missing = set(files.missing)
    present = [position for position in module.splits.test if indices[position] not in missing]
    module.splits = replace(module.splits, test=present)
    return files


def names_of(module: DepthDataModule) -> dict[int, tuple[str, int]]:
    """Return scene and number in it of each test frame, by its number in the data set."""
    reader = module.reader
    indices, numbers = reader.indices, reader.frame_numbers
    return {indices[position]: (reader.scenes[position], int(numbers[position])) for position in module.splits.test}


def called_of(module: DepthDataModule) -> dict[int, str]:
    """Return the name of each frame that the data set's files name, by its number in the data set."""
    reader = module.reader
    named = {reader.indices[position]: reader.name_of(position) for position in module.splits.test}
    return {index: name for index, name in named.items() if name}


def make_trainer(task: Task, folder: Path, method: str) -> Trainer:
    """Return the trainer with the callbacks of `test`, without a logger."""
    watching: list[Callback] = [RichProgressBar(), ConstantBaseline(), Panels(), PerImageTable(), WorstCases()]
    return Trainer(
        accelerator=task.accelerator,
        devices=task.devices,
        logger=False,
        callbacks=[*watching, RunSummary(method), ResumableTest()],
        default_root_dir=folder,
        use_distributed_sampler=False,  # the data modules bring their own: no padded duplicates
        enable_checkpointing=False,
        enable_model_summary=False,
    )


def describe(method: str, files: PredictionFiles, module: DepthDataModule, trainer: Trainer) -> dict[str, Any]:
    """Return what was evaluated, with what, as plain JSON."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **git_state(Path(__file__).parent),
        "packages": package_versions(),
        "hardware": {"processes": trainer.world_size, "precision": str(trainer.precision)},
        "data": module.describe(),
        "method": method,
        "predictions": {
            "source": printable(files.source),
            "matched": files.matched,
            "missing": [index + 1 for index in files.missing],
        },
    }
