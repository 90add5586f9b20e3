"""What a metric class says of each of its metrics: the unit, which way is better, and where it is shown."""

import re
from dataclasses import dataclass
from functools import cache
from string import Formatter


@dataclass(frozen=True)
class MetricInfo:
    """Facts on a metric that tables, plots and claims need.

    Attributes:
        unit: of the value, such as ``m``, ``px`` or ``%``; empty for shares, ratios and counts.
        higher_is_better: None for counts, and for what is neither good nor bad.
        detail: it answers one question, and is left to ``metrics.json`` and ``per_image.csv``: the table of a test
            would drown in such metrics.
        left_out: it counts what is left out or wrong; tables show no zero of it, and in ``metrics.json`` its name
            begins with the group's.
    """

    unit: str = ""
    higher_is_better: bool | None = None
    detail: bool = False
    left_out: bool = False


def higher(unit: str = "", *, detail: bool = False) -> MetricInfo:
    """Return the facts on a metric that is better the higher it is."""
    return MetricInfo(unit, True, detail)


def lower(unit: str = "", *, detail: bool = False) -> MetricInfo:
    """Return the facts on a metric that is better the lower it is."""
    return MetricInfo(unit, False, detail)


#: Facts by name, or by a template of names.
Infos = dict[str, MetricInfo]

#: Facts on a count of what is left out or wrong, and on one that belongs to details.
LEFT_OUT = MetricInfo(left_out=True)
LEFT_OUT_OF_DETAILS = MetricInfo(left_out=True, detail=True)


def find_info(name: str, infos: Infos) -> MetricInfo | None:
    """Return the facts on a metric, or None if its name is not known.

    Args:
        name: of the metric.
        infos: facts by name, or by a template of names such as ``delta{i}``; a whole name goes before a template, the
            first of several templates counts.
    """
    if name in infos:
        return infos[name]
    return next((info for template, info in infos.items() if _fits(template, name)), None)


def _fits(template: str, name: str) -> bool:
    """Tell whether a template such as ``delta{i}`` may have been filled in to give a name."""
    return "{" in template and _pattern(template).fullmatch(name) is not None


@cache
def _pattern(template: str) -> re.Pattern[str]:
    parts = Formatter().parse(template)
    return re.compile("".join(re.escape(text) + ("" if field is None else ".+") for text, field, *_ in parts))
