"""What configurations, command lines and checkpoints of earlier versions say, in the names of today.

Class paths of modules that moved are replaced as they are read. What was removed is accepted still, without effect.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: Where the classes of a module that moved are now: a package that exports them, or their module.
MOVED = {
    **dict.fromkeys(
        (
            "callbacks.checkpoints", "callbacks.cloud_pictures", "callbacks.confusion_matrix",
            "callbacks.constant_baseline", "callbacks.exact_resume", "callbacks.history", "callbacks.last_checkpoint",
            "callbacks.nonfinite_report", "callbacks.panels", "callbacks.parameter_table", "callbacks.per_image_table",
            "callbacks.prediction_writer", "callbacks.property_check", "callbacks.resumable_test",
            "callbacks.retrieval_picture", "callbacks.run_logger", "callbacks.run_recorder", "callbacks.run_summary",
            "callbacks.staged_training", "callbacks.thumbnails", "callbacks.training_monitor",
            "callbacks.validation_panels", "callbacks.worst_cases",
        ),
        "callbacks",
    ),
    "callbacks.checkpoint_io": "callbacks.checkpoints.checkpoint_io",
    "callbacks.other_processes": "callbacks.records.other_processes",
    **dict.fromkeys(
        (
            "datamodules.corruptions", "datamodules.derived.frame_maps", "datamodules.derived.sample_maps",
            "datamodules.hypersim", "datamodules.ibims", "datamodules.nyu_fused", "datamodules.nyuv2",
            "datamodules.nyuv2_oc", "datamodules.nyuv2_raw", "datamodules.preprocess", "datamodules.rooms_datamodule",
            "datamodules.rooms_fused", "datamodules.superpixels", "datamodules.variants",
        ),
        "datamodules",
    ),
    "experiments.predicted_semantics": "experiments.foreign.predicted_semantics",
    "experiments.sync_batch_norm": "experiments.train.sync_batch_norm",
    "lightning_modules.losses.image_classes": "lightning_modules.losses",
    "lightning_modules.losses.segmentation": "lightning_modules.losses",
    "lightning_modules.networks.semantic_inputs": "lightning_modules.networks.semantic_md.semantic_inputs",
    "lightning_modules.nonfinite": "lightning_modules.training.nonfinite",
    "lightning_modules.schedules": "lightning_modules.training.schedules",
}  # fmt: skip

#: Classes that are gone, by their class path today had they stayed, and why.
REMOVED_CLASSES = {
    "datamodules.ClassMaps": "Semantic-MD's network makes them of the batch's `semantics`",
    "datamodules.SemanticContours": "Semantic-MD's network makes them of the batch's `semantics`",
    "datamodules.UnitDepth": "losses and metrics of guided MTI-Net divide depth by 10 m themselves",
}

#: Options that are gone, by dotted key, and why.
REMOVED_OPTIONS: dict[str, str] = {}


def _pattern(modules: Mapping[str, str]) -> re.Pattern[str]:
    longest_first = sorted(map(re.escape, modules), key=len, reverse=True)
    return re.compile(rf"(?<![\w.])({'|'.join(longest_first)})\.(?=[A-Z]\w*(?![\w.]))")


_MOVED = _pattern(MOVED)

#: Of the modules that have one old name.
_BEFORE = {new: old for old, new in MOVED.items() if list(MOVED.values()).count(new) == 1}
_TODAY = _pattern(_BEFORE)


def rename_text(text: str) -> str:
    """Return a text, a flag or a value, with today's class paths in the place of earlier ones."""
    return _MOVED.sub(lambda found: f"{MOVED[found[1]]}.", text)


def rename(node: Any) -> Any:
    """Return a configuration, or a part of one, with today's class paths in the place of earlier ones."""
    if isinstance(node, Mapping):
        return {key: rename(value) for key, value in node.items()}
    if isinstance(node, list):
        return [rename(value) for value in node]
    return rename_text(node) if isinstance(node, str) else node


def first_names(text: str) -> str:
    """Return a text with the class paths that modules which moved had first.

    Runs are named after digests of their configurations: a run that was made before a move keeps its name.
    """
    return _TODAY.sub(lambda found: f"{_BEFORE[found[1]]}.", text)


def drop_removed(content: dict[str, Any], prefix: str = "") -> tuple[dict[str, Any], list[str]]:
    """Take out of a configuration what was removed from the suite.

    Args:
        content: of a configuration, renamed.
        prefix: of its dotted keys.

    Returns:
        The rest, and what each thing was that is gone: the dotted key or the class, and why.
    """
    gone: list[str] = []
    kept: dict[str, Any] = {}
    for key, value in content.items():
        dotted = re.sub(r"^profiles\.[^.]+\.", "", f"{prefix}{key}")
        if dotted in REMOVED_OPTIONS:
            gone.append(f"`{dotted}` ({REMOVED_OPTIONS[dotted]})")
        elif name := removed_class(value):
            gone.append(f"`{name}` ({REMOVED_CLASSES[name]})")
            kept[key] = None
        elif isinstance(value, dict):
            kept[key], more = drop_removed(value, f"{dotted}.")
            gone += more
        elif isinstance(value, list):
            names = [removed_class(element) for element in value]
            gone += [f"`{name}` ({REMOVED_CLASSES[name]})" for name in names if name]
            kept[key] = [element for element, name in zip(value, names, strict=True) if not name]
        else:
            kept[key] = value
    return kept, gone


def removed_class(value: Any) -> str:
    """Return the class path of a value that configures a removed class; "" for any other value."""
    path = value.get("class_path") if isinstance(value, Mapping) else value
    return path if isinstance(path, str) and path in REMOVED_CLASSES else ""


def rename_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a command line in the names of today, without flags of what was removed.

    Args:
        arguments: of a command that configures classes.

    Returns:
        The arguments, and what is gone, as :func:`drop_removed` says it.
    """
    kept: list[str] = []
    gone: list[str] = []
    for words, key, value in _flags(map(rename_text, arguments)):
        option = next((name for name in REMOVED_OPTIONS if f"{key}.".startswith(f"{name}.")), None)
        if option is not None:
            gone.append(f"`{option}` ({REMOVED_OPTIONS[option]})")
        elif name := removed_class(value):
            gone.append(f"`{name}` ({REMOVED_CLASSES[name]})")
        else:
            kept += words
    return kept, gone


def warn_of_removed(gone: Sequence[str]) -> None:
    """Say in one warning what was configured and is gone."""
    if gone:
        warnings.warn(f"accepted without effect: {', '.join(dict.fromkeys(gone))}", stacklevel=3)


def _flags(arguments: Iterator[str]) -> Iterator[tuple[list[str], str, str]]:
    """Words of each flag or other argument, its key without dashes and `+`, and its value."""
    words: list[str] = []
    for argument in [*arguments, "--"]:
        if words and not argument.startswith("--") and "=" not in words[0] and len(words) == 1:
            words.append(argument)
            continue
        if words:
            flag, equals, value = words[0].partition("=")
            yield words, flag.removeprefix("--").removesuffix("+"), value if equals else "".join(words[1:])
        words = [argument]
