"""The nearest of the names that there are, for messages that ask whether it was meant."""

import difflib
from collections.abc import Iterable
from pathlib import Path

#: So many names are listed where none is near; of more, a message says how to see them.
SHOWN = 24


def nearest(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Return the names most like one, the likest first, capitals aside; a name's beginning is most like it.

    Args:
        name: as it was typed.
        known: names that there are.
        count: of names, at most.
    """
    by_lower: dict[str, str] = {}
    for candidate in known:
        by_lower.setdefault(candidate.lower(), candidate)
    begun = sorted((known for known in by_lower if len(name) > 2 and known.startswith(name.lower())), key=len)
    near = difflib.get_close_matches(name.lower(), by_lower, n=count)
    return [by_lower[known] for known in dict.fromkeys([*begun, *near])][:count]


def did_you_mean(name: str, known: Iterable[str], all_of_them: str = "", prefix: str = "") -> str:
    """End of a message about a name that there is not: the nearest, else those that there are.

    Args:
        name: as it was typed.
        known: names that there are.
        all_of_them: where they are listed (`make` lists them), for more names than a line can hold.
        prefix: that all of them have when they are typed (``data/``).
    """
    names = sorted(set(known))
    if near := nearest(name, names, count=3):
        others = f" (near it too: {', '.join(prefix + other for other in near[1:])})" if near[1:] else ""
        return f"did you mean `{prefix}{near[0]}`{others}?"
    if len(names) > SHOWN:
        return all_of_them or f"there are {', '.join(names[:SHOWN])}, and {len(names) - SHOWN} more"
    return f"there are {', '.join(names)}" if names else "there are none"


def known_experiments(root: Path) -> list[str]:
    """Return names of the experiments that have folders of runs under ``root``."""
    return sorted({path.parent.parent.name for path in root.glob("*/*/config.yaml")})
