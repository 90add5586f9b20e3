"""Parts of a network that learn at their own rates."""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn


def parameter_groups(
    parameters: Iterable[tuple[str, nn.Parameter]], lr_scale: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Split parameters into the groups that an optimizer takes, by the beginnings of their names.

    Args:
        parameters: names and parameters.
        lr_scale: factor on the learning rate, by beginning of the name, whole parts of it (``network.backbone`` does
            not begin ``network.backbones.0``); of several that fit the longest counts.

    Returns:
        The parameters that no beginning fits first, then a group for each, in order, with the factor as ``lr_scale``;
        groups without a parameter are left out.

    Raises:
        ValueError: if a factor is negative, or a beginning fits no parameter.
    """
    if bad := [prefix for prefix, scale in lr_scale.items() if scale < 0]:
        raise ValueError(f"`model.init_args.lr_scale.{bad[0]}` must not be negative, got {lr_scale[bad[0]]}")
    groups: dict[str | None, list[nn.Parameter]] = {prefix: [] for prefix in (None, *lr_scale)}
    met: set[str] = set()
    parts: dict[str, None] = {}
    for name, parameter in parameters:
        parts[".".join(name.split(".")[:2])] = None
        fitting = [prefix for prefix in lr_scale if f"{name}.".startswith(f"{prefix}.")]
        met.update(fitting)
        groups[max(fitting, key=len, default=None)].append(parameter)
    if strangers := [prefix for prefix in lr_scale if prefix not in met]:
        raise ValueError(
            f"`model.init_args.lr_scale`: no parameter's name begins with `{strangers[0]}`; "
            f"there are {', '.join(parts)}"
        )
    return [
        {"params": own} | ({} if prefix is None else {"lr_scale": lr_scale[prefix]})
        for prefix, own in groups.items()
        if own
    ]
