"""Parts of a network that learn at their own rates."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from torch import nn


def parameter_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], lr_scale: Mapping[str, float], *, trained_only: bool = False
) -> list[dict[str, Any]]:
    """Split parameters into the groups that an optimizer takes, by prefixes of their names.

    Args:
        parameters: names and parameters, all that the method has.
        lr_scale: factor on the learning rate, by prefix of the name, in whole parts (``network.backbone`` is no prefix
            of ``network.backbones.0``); the longest prefix that matches counts.
        trained_only: leave out frozen parameters; a prefix may then match frozen parameters alone.

    Returns:
        First the parameters that no prefix matches, then a group for each prefix, in order, with its factor as
        ``lr_scale``; groups without a parameter are left out.

    Raises:
        ValueError: as :func:`check_lr_scale` does.
    """
    named = list(parameters)
    check_lr_scale([name for name, _ in named], lr_scale)
    groups: dict[str | None, list[nn.Parameter]] = {prefix: [] for prefix in (None, *lr_scale)}
    for name, parameter in named:
        if parameter.requires_grad or not trained_only:
            fitting = [prefix for prefix in lr_scale if f"{name}.".startswith(f"{prefix}.")]
            groups[max(fitting, key=len, default=None)].append(parameter)
    return [
        {"params": own} | ({} if prefix is None else {"lr_scale": lr_scale[prefix]})
        for prefix, own in groups.items()
        if own
    ]


def check_lr_scale(names: Iterable[str], lr_scale: Mapping[str, float]) -> None:
    """Check that no factor is negative, and that each prefix matches a parameter.

    Args:
        names: of all parameters.
        lr_scale: factor by prefix of the name.

    Raises:
        ValueError: if a factor is negative, or a prefix matches no parameter; the nearest name is suggested.
    """
    if bad := [prefix for prefix, scale in lr_scale.items() if scale < 0]:
        raise ValueError(f"`model.init_args.lr_scale.{bad[0]}` must not be negative, got {lr_scale[bad[0]]}")
    if not lr_scale:
        return
    parts = [name.split(".") for name in names]
    known = dict.fromkeys(".".join(words[:end]) for words in parts for end in range(1, len(words) + 1))
    for prefix in lr_scale:
        if prefix not in known:
            begun = sorted((name for name in known if name.startswith(prefix)), key=len)
            near = begun or get_close_matches(prefix, known, n=1)
            meant = f"did you mean `{near[0]}`? " if near else ""
            there = ", ".join(dict.fromkeys(".".join(words[:2]) for words in parts))
            raise ValueError(
                f"`model.init_args.lr_scale`: no parameter's name begins with `{prefix}`; {meant}there are {there}"
            )
