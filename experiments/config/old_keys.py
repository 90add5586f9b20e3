"""Options of the evaluation by the names they had when they were one flat list: old configurations have them."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

#: Key of the evaluation's options in a method's arguments, and in a configuration or on a command line.
KEY = "evaluation"
PLACES = (KEY, f"model.{KEY}", f"model.init_args.{KEY}")


def with_new_keys(content: Any, *, warn: bool = True) -> Any:
    """Return a configuration, or a section of a profile, whose evaluation has its options by group.

    Args:
        content: as it was read.
        warn: of old names.
    """
    model = content.get("model") if isinstance(content, Mapping) else None
    arguments = model.get("init_args") if isinstance(model, Mapping) else None
    options = arguments.get(KEY) if isinstance(arguments, Mapping) else None
    if model is None or arguments is None or not isinstance(options, Mapping) or not _has_old(options):
        return content
    from lightning_modules.evaluation_options import by_group  # imports torch, which new configurations need not

    return {**content, "model": {**model, "init_args": {**arguments, KEY: by_group(options, warn=warn)}}}


def flags_with_new_keys(flags: Sequence[str]) -> list[str]:
    """Return a command line whose evaluation has its options by group; warn of old names."""
    if not any(flag.partition("=")[0].removeprefix("--").rpartition(".")[0] in PLACES for flag in flags):
        return list(flags)
    from lightning_modules.evaluation_options import RENAMED, by_group

    renamed = []
    for flag, following in zip_longest(flags, flags[1:], fillvalue=""):
        key, equals, value = flag.partition("=")
        place, _, name = key.removeprefix("--").rpartition(".")
        # `unit` is a group's name, too, and may be given the mapping of its options
        if place in PLACES and name in RENAMED and not (value if equals else following).lstrip().startswith("{"):
            by_group({name: value})  # for its warning
            flag = f"--{'.'.join((place, *RENAMED[name]))}{equals}{value}"
        renamed.append(flag)
    return renamed


def _has_old(options: Mapping[str, Any]) -> bool:
    """Tell whether an option is neither ``groups`` nor the mapping of a group's options."""
    return any(name != "groups" and not isinstance(value, Mapping) for name, value in options.items())
