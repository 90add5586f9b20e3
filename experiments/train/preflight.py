"""All checks that come before weights are loaded, and before an epoch is spent.

:func:`before_building` looks at the configuration alone, :func:`before_starting` at what was built. What a
configuration names, and how it is written, :mod:`experiments.config.key_checks` checks before both.
"""

import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import ArgumentParser, Namespace
from lightning.fabric.utilities.seed import max_seed_value
from torch import nn

from datamodules import DepthDataModule
from experiments.config.error import ConfigError
from experiments.config.run_settings import RunSettings
from experiments.config.suggest import nearest
from experiments.train.checkpoint_file import check_checkpoint, check_origin, read_checkpoint
from experiments.train.plain_weights import Weights, fit_weights, plain_weights
from lightning_modules import DepthModule
from lightning_modules.backbones import check_sources
from lightning_modules.metrics.depth_errors import KEYS

#: Layers that need more than one value a channel in training.
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

#: Commands that train.
TRAINING = ("exp", "fit")


def data_stage(command: str) -> str | None:
    """Return the parts of the data that a command reads, as ``DepthDataModule.setup`` takes them; None for all."""
    return command if command in ("test", "predict") else None


def before_building(config: Namespace, command: str) -> DepthDataModule | None:
    """Check what needs no network: the checkpoint's method, and the data where weights are to be fetched.

    Args:
        config: of the command.
        command: ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.

    Returns:
        The data, set up; None where no weights are fetched.

    Raises:
        ConfigError | OSError | ValueError: of the first check that fails, in one line.
    """
    if path := config.get("ckpt_path"):
        check_checkpoint_method(Path(path), config.model.class_path)
        return None  # whose weights take the place of the initial ones
    check_initial_weights(config.model)
    return check_before_weights(config, data_stage(command), training=command in TRAINING)


def before_starting(
    model: DepthModule,
    datamodule: DepthDataModule,
    trainer: Any,
    run: RunSettings,
    command: str,
    checkpoint: str | None,
) -> Weights | None:
    """Check what was built, before Lightning opens the logger: a run that cannot start leaves no folder behind.

    Args:
        model: the method.
        datamodule: the data, set up.
        trainer: that is to run the command.
        run: where it is written.
        command: ``exp``, ``fit``, ``validate``, ``test`` or ``predict``.
        checkpoint: that is to be loaded; None for none.

    Returns:
        The method's weights, where the checkpoint is a file of weights alone, which Lightning cannot load.

    Raises:
        ConfigError | OSError | ValueError: of the first check that fails, in one line.
    """
    training = command in TRAINING
    model.check_data(datamodule, training=training)
    weights = check_weights(Path(checkpoint), model, datamodule, training=training) if checkpoint else None
    if training:
        check_monitor(run.monitor, model)
        check_batch_norm(model, datamodule, trainer.world_size)
    return weights


def check_seed(seed: Any) -> None:
    """Refuse a number that is no seed.

    Raises:
        ConfigError: naming the numbers that are.
    """
    if not isinstance(seed, bool) and seed is not None and not 0 <= seed <= max_seed_value:
        raise ConfigError(f"`--seed_everything {seed}`: not a seed; take one from 0 to {max_seed_value}")


def check_weights(path: Path, model: DepthModule, datamodule: DepthDataModule, *, training: bool) -> Weights | None:
    """Check that a checkpoint, or a file of weights alone, fits the method.

    Returns:
        The weights of a file of weights alone, by the method's names; None for a checkpoint.

    Raises:
        ConfigError: if it does not fit.
    """
    weights = plain_weights(path)
    if weights is not None:
        return fit_weights(weights, model, path)
    check_checkpoint(path, model, datamodule, training=training)
    return None


def check_checkpoint_method(path: Path, class_path: str) -> None:
    """Check that a checkpoint can be read and is of a method, before anything is built.

    Raises:
        ConfigError: as :func:`~experiments.train.checkpoint_file.read_checkpoint` does, or if it is another method's.
    """
    if plain_weights(path) is not None:  # of any method that they fit
        return
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception:  # what is wrong with it, the full check says
        content = read_checkpoint(path)
    if isinstance(content, dict):
        check_origin(path, content, class_path.rpartition(".")[2])


def check_initial_weights(model: Namespace) -> None:
    """Check that files and packages of initial weights are here, before anything is read.

    Args:
        model: configuration of the method; one that is not the suite's may mean anything by ``pretrained``.

    Raises:
        OSError | ValueError: in one line.
    """
    if model.class_path.startswith("lightning_modules.") and (pretrained := model.init_args.get("pretrained")):
        name = model.init_args.get("backbone") or model.init_args.get("encoder") or model.class_path.rpartition(".")[2]
        check_sources(name, pretrained)


def check_before_weights(config: Namespace, stage: str | None, *, training: bool) -> DepthDataModule | None:
    """Check data and method against each other before the weights of a pretrained network are fetched.

    Args:
        config: of the command.
        stage: parts of the data to look at, as ``DepthDataModule.setup`` takes it.
        training: whether the method is to be trained.

    Returns:
        The data, set up; None where no weights are fetched: what is built first is then no matter.

    Raises:
        ConfigError | OSError | ValueError: for data that cannot be read, or that do not fit the method.
    """
    if not config.model.init_args.get("pretrained"):
        return None
    sketch = _sketch(config.model)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DepthDataModule, "data")
    datamodule: DepthDataModule = parser.instantiate(Namespace(data=config.data)).data
    datamodule.prepare_data()
    datamodule.setup(stage)
    if sketch is not None:
        try:
            sketch.check_data(datamodule, training=training)
        except RuntimeError:  # of a check that computes, which without memory it cannot: the real method repeats it
            return datamodule
    return datamodule


def _sketch(config: Namespace) -> DepthModule | None:
    """The method without memory and weights, for its checks; None where it cannot be had so."""
    bare = config.clone()
    bare.init_args.pretrained = False
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DepthModule, "model")
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), torch.device("meta"):
            warnings.simplefilter("ignore")
            return parser.instantiate(Namespace(model=bare)).model
    except Exception:  # not every network can be built without memory; the real one says what is wrong with it
        return None


def check_monitor(monitor: str | None, model: DepthModule) -> None:
    """Refuse a validation metric that is misspelt, which would end the first validation.

    Args:
        monitor: `run.monitor`; terms of the loss (`val/loss_...`) are the method's to know.
        model: the method; one that is not the suite's may log metrics of its own.

    Raises:
        ConfigError: with the nearest metric.
    """
    known = {
        "val/loss",
        model.selected_by,
        *(f"val/{name}" for name in KEYS),
    }
    if not monitor or not type(model).__module__.startswith("lightning_modules.") or monitor.startswith("val/loss_"):
        return
    if monitor not in known and (near := nearest(monitor, known)):
        raise ConfigError(f"`run.monitor`: validation has no metric `{monitor}`; did you mean `{near[0]}`?")


def check_batch_norm(model: nn.Module, datamodule: DepthDataModule, processes: int) -> None:
    """Check that no batch normalisation over pooled features has a single value to go by in training.

    Args:
        model: the method.
        datamodule: the data, set up.
        processes: that train together; they normalise over the batches of all.

    Raises:
        ConfigError: naming the layer, and the options that make batches larger.
    """
    size = min(datamodule.process_batch_size, max(len(datamodule.train_set) // processes, 1))
    if size * processes > 1:
        return
    for name, module in model.named_modules():
        if isinstance(module, nn.Sequential) and _normalises_pooled(module):
            batch, frames = datamodule.batch_size, len(datamodule.train_set)
            raise ConfigError(
                f"training batches hold one frame (`data.init_args.batch_size` {batch}, {frames} training frames), and "
                f"`{name}` pools a channel into one value a frame: batch normalisation needs two; set a "
                "`batch_size` of at least 2 for each batch that `trainer.accumulate_grad_batches` adds up"
            )


def _normalises_pooled(layers: nn.Sequential) -> bool:
    """Whether layers average maps into one value a channel, and then normalise over the batch."""
    pooled = False
    for layer in layers:
        if pooled and any(isinstance(part, BATCH_NORMS) for part in layer.modules()):
            return True
        pooled |= isinstance(layer, nn.AdaptiveAvgPool2d) and layer.output_size in (1, (1, 1))
    return False
