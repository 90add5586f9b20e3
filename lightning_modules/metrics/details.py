"""Which figures are details: each answers one question, and the table of a test would drown in them."""

import re

#: Patterns that a whole name may match.
DETAILS = re.compile(
    r"(abs_rel|rmse|delta1)_(at_.*|border|interior|thin)|object_roughness.*"
    r"|(wall|floor|ceiling|layout)_(flatness|orientation|planes).*"
    r"|(range|label_border|thin|layout|smoothness)_(excluded|nonfinite)|.*_nonempty|boundary_images"
)


def is_detail(name: str) -> bool:
    """Whether a figure, such as ``rmse_at_2_5``, is left to ``metrics.json`` and ``per_image.csv``.

    Args:
        name: of the figure, without stage and data set.
    """
    return DETAILS.fullmatch(name) is not None


def is_count(name: str) -> bool:
    """Whether a figure counts what is left out or wrong, of which tables show no zero; named as :func:`is_detail`."""
    return "excluded" in name or "nonfinite" in name or name == "negative"
