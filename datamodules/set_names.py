"""Which names the frames of others may not have: nothing that is not a data set's own is ever tabled as it."""

import re

#: How names of data sets of the suite begin.
RESERVED = ("nyu", "rooms", "hypersim", "ibims", "not_")

#: Letters of any script, digits, `_` and `-`: a part of metric keys, folders and W&B's names.
_NAME = re.compile(r"[^\W_][\w-]{0,39}")


def is_reserved(name: str) -> bool:
    """Return whether a name is, or could be taken for, that of a data set of the suite."""
    return name.casefold().startswith(RESERVED)


def check_set_name(name: str, place: str) -> None:
    """Check the name that a data set of one's own is to have in metric keys, tables and run names.

    Args:
        name: the name.
        place: file and key that set it, for the message.

    Raises:
        ValueError: if it is not one word, or reserved.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{place} is {name!r}, which cannot stand in metric keys; take a letter or digit, then letters, digits, "
            "`_` and `-`, 40 at most"
        )
    if is_reserved(name):
        raise ValueError(
            f"{place} is {name!r}: names that begin with {', '.join(RESERVED)} are those of data sets of the suite, "
            "which these frames would be taken for; take another name, such as "
            f"my_{name.replace('-', '_')}"
        )
