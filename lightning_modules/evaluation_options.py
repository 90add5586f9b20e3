"""What is measured in `test`, beyond the protocol."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from lightning_modules.metrics.suite import SUITE

T = TypeVar("T", bound=type)

#: Group and argument that an option of one flat list became.
RENAMED = {
    "delta_thresholds": ("depth", "thresholds"),
    "unit": ("unit", "unit"),
    "object_averaging": ("object", "averaging"),
    "object_min_pixels": ("object", "min_pixels"),
    "cloud_stride": ("cloud", "stride"),
    "cloud_squared": ("cloud", "squared"),
    "cloud_thresholds": ("cloud", "thresholds"),
    "plane_min_area": ("plane", "min_area"),
    "recall_at": ("retrieval", "ks"),
    "recall_frame_window": ("retrieval", "frame_window"),
    "segment_tolerance": ("segment", "tolerance"),
    "absent_classes": ("semantic", "absent"),
    "edge_threshold": ("edge", "threshold"),
    "edge_levels": ("edge", "levels"),
    "range_edges": ("range", "edges"),
    "border_distance": ("label_border", "distance"),
    "thin_radius": ("thin", "radius"),
    "layout_min_area": ("layout", "min_area"),
    "layout_max_rms": ("layout", "max_rms"),
    "smoothness_step": ("smoothness", "step"),
    "smoothness_margin": ("smoothness", "margin"),
}


def by_group(options: Mapping[str, Any], *, warn: bool = True) -> dict[str, Any]:
    """Return options with those of the old flat list moved to their groups.

    Args:
        options: by name, as a configuration or a checkpoint has them; other names stay as they are.
        warn: give one warning that names the moved options.
    """
    old = [name for name in options if name in RENAMED and not _is_group(options[name])]
    kept = {name: value for name, value in options.items() if name not in old}
    for name in old:
        group, argument = RENAMED[name]
        if options[name] is not None:  # `unit: null`
            kept[group] = {argument: options[name], **kept.get(group, {})}
    if old and warn:
        new = ", ".join(f"`{name}` is now `{'.'.join(RENAMED[name])}`" for name in old)
        warnings.warn(f"options of `evaluation` by their old names: {new}", FutureWarning, stacklevel=2)
    return kept


def _is_group(value: Any) -> bool:
    """Tell whether a value holds options of a group: `unit` is the name of an old option, and of a group."""
    return isinstance(value, Mapping) or is_dataclass(value)


def _with_a_field_a_group(cls: T) -> T:
    """Give a class, which is to become a dataclass, the options of each group under the group's name."""
    for group, metric in SUITE.items():
        cls.__annotations__[group] = metric.options
        setattr(cls, group, field(default_factory=metric.options))
    return cls


@dataclass(frozen=True)
@_with_a_field_a_group
class EvaluationOptions:
    """What is measured in `test`, beyond the protocol: groups, and the options of each under its name.

    The options of a group are the arguments of its metric class, see :data:`~lightning_modules.metrics.suite.SUITE`:
    ``cloud: {stride: 1}`` are those of :class:`~lightning_modules.metrics.PointCloudChamfer`.

    Args:
        groups: names of the groups of metrics to measure; None measures all that the data allow.
        flip_uncertainty: predict each frame mirrored left to right as well, and take the disagreement of the two
            depths for the prediction's uncertainty, which the group ``uncertainty`` judges; it takes twice the time.
            Depth, and so all other metrics, stay those of the frame as it is.

    Raises:
        ValueError: if a group is unknown.
        TypeError: if a group has no such option.
    """

    groups: tuple[str, ...] | None = None
    flip_uncertainty: bool = False

    def __post_init__(self) -> None:
        if unknown := set(self.groups or ()) - set(SUITE):
            near = get_close_matches(min(unknown), SUITE, n=1)
            meant = f"did you mean `{near[0]}`? " if near else ""
            raise ValueError(f"`evaluation.groups`: no group `{min(unknown)}`; {meant}groups: {', '.join(SUITE)}")
        for group, metric in SUITE.items():
            if isinstance(given := getattr(self, group), Mapping):
                object.__setattr__(self, group, metric.options(**given))

    def restricted(self, groups: Sequence[str] | None) -> "EvaluationOptions":
        """Return the same options, restricted to the groups that are in ``groups``; None keeps all.

        Raises:
            ValueError: if one is unknown.
        """
        if groups is None:
            return self
        both = tuple(name for name in groups if self.groups is None or name not in SUITE or name in self.groups)
        return replace(self, groups=both)

    def of(self, group: str) -> dict[str, Any]:
        """Return the options of a group by name."""
        options = getattr(self, group)
        return {option.name: getattr(options, option.name) for option in fields(options)}
