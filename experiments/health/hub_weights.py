"""Weights of a hub: which ones experiments start from, which are in its cache, and files of users put there."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import timm
import torch
from huggingface_hub import CacheNotFound, constants
from huggingface_hub.file_download import repo_folder_name
from safetensors.torch import save

from datamodules.files import write_text_atomically, written_atomically
from experiments.config.compose import compose, experiment_names
from experiments.config.error import ConfigError
from lightning_modules.backbones.local_weights import whole_weights
from lightning_modules.networks.region_support.resnet34 import RESNET34

#: What the hub calls files of weights.
FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Need:
    """Weights that experiments start from in the profile of their papers.

    Attributes:
        name: of the backbone.
        hub: repository that has them.
        cached: file in the hub's cache; None if they are not there.
        experiments: that need them.
    """

    name: str
    hub: str
    cached: Path | None
    experiments: list[str] = field(default_factory=list)

    @property
    def megabytes(self) -> float:
        """Return the size of the cached file, or about that of one still to be fetched: four bytes a number."""
        if self.cached is not None:
            return self.cached.stat().st_size / 1e6
        with torch.device("meta"):
            return sum(value.numel() for value in timm.create_model(self.name).state_dict().values()) * 4e-6


def needed_weights() -> list[Need]:
    """Return the weights that the suite's experiments take from a hub, those of most experiments first."""
    needs: dict[str, Need] = {}
    for experiment in experiment_names():
        for name in _backbones(compose([experiment, "data/rooms"]).config.get("model", {})):
            if hub := hub_of(name):
                need = needs.setdefault(name, Need(name, hub, cached_file(hub)))
                need.experiments.append(experiment)
    return sorted(needs.values(), key=lambda need: -len(need.experiments))


def _backbones(model: dict[str, Any]) -> list[str]:
    """Backbones of a method that begin with weights of a hub."""
    options = model.get("init_args", {})
    if options.get("pretrained") is not True:
        return []
    if model["class_path"].endswith(".RegionSupportNetwork"):
        return [RESNET34]
    return str(options.get("backbone") or options.get("encoder") or "").split("+")


def hub_of(name: str) -> str | None:
    """Return the repository that has the weights of a backbone of timm; None if there is none."""
    return getattr(timm.get_pretrained_cfg(name) if timm.is_model(name.split(".")[0]) else None, "hf_hub_id", None)


def cached_file(hub: str) -> Path | None:
    """Return a repository's file of weights in the cache; None if it is not there."""
    found = (huggingface_hub.try_to_load_from_cache(hub, file) for file in FILES)
    return next((Path(path) for path in found if isinstance(path, str)), None)


def others_in_cache(known: set[str]) -> list[tuple[str, float]]:
    """Return further repositories in the cache that have weights, with their sizes in MB.

    Args:
        known: repositories that are left out.
    """
    try:
        repositories = huggingface_hub.scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    found = [(each.repo_id, each.size_on_disk / 1e6) for each in repositories if each.repo_type == "model"]
    return sorted(each for each in found if each[0] not in known and cached_file(each[0]) is not None)


def import_file(path: Path, backbone: str) -> Path:
    """Put a file of weights into the hub's cache as the hub would, so that ``pretrained: true`` finds it offline.

    Args:
        path: of the file.
        backbone: timm name, with or without a weight tag.

    Returns:
        The file in the cache, in timm's names.

    Raises:
        ConfigError: for a backbone without a place on the hub, or one whose weights are in the cache already.
        OSError | ValueError: if the file is missing, or does not fit; a classifier is needed here.
    """
    if "+" in backbone:
        raise ConfigError(f"`{backbone}` is a hybrid: import a file for each part, {' and '.join(backbone.split('+'))}")
    hub, settings = hub_of(backbone), timm.get_pretrained_cfg(backbone.removeprefix("smp:"))
    if hub is None or settings is None or settings.hf_hub_filename or settings.custom_load or settings.label_offset:
        raise ConfigError(
            f"`{backbone}`: no backbone whose weights timm reads from the hub's cache by a plain file; name the file "
            f"itself: `--model.init_args.pretrained {path}`"
        )
    if (cached := cached_file(hub)) is not None:
        raise ConfigError(f"weights of `{backbone}` are in the cache already, and stay as they are: {cached}")
    content = save(whole_weights(backbone, str(path)), metadata={"format": "pt"})
    folder = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=hub, repo_type="model")
    revision = hashlib.sha1(content, usedforsecurity=False).hexdigest()  # in the place of the hub's commit
    imported = folder / "snapshots" / revision / FILES[0]
    for place in (imported, folder / "refs" / "main"):
        place.parent.mkdir(parents=True, exist_ok=True)
    with written_atomically(imported, "make room, or set HF_HOME to another folder") as file:
        file.write(content)
    write_text_atomically(folder / "refs" / "main", revision)
    return imported
