"""From jsonargparse's nested error report to one line that names file, key and mend."""

import difflib
import inspect
import re
from pydoc import locate

from experiments.compose import Composition

_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"Problem with given class_path '([^']+)'")
_UNKNOWN = re.compile(
    r"Option '([^']+)' is not accepted|does not accept option '([^']+)'|unrecognized arguments: --(\S+)"
)
_EXPECTED = re.compile(
    r"Expected an? (?:<class '([^']+)'>|typing\.Literal\[([^\]]+)\]|(.+?))(?:\. Got value: (.*))?$", re.M
)


def explain(message: str, composition: Composition) -> str:
    """One line for a configuration that does not parse.

    Args:
        message: jsonargparse's report: nested ``Parser key`` blocks, each with the class it concerns and complaints.
        composition: which file set which key.
    """
    keys, classes = _KEY.findall(message), _CLASS.findall(message)
    key = ".init_args.".join(keys)
    if unknown := _UNKNOWN.search(message):
        name = next(group for group in unknown.groups() if group)
        key = f"{key}.init_args.{name}" if key and classes else name
        return f"{_source(key, composition)}: there is no key `{key}`{_suggest(key, classes)}"
    if classes and (missing := re.search(r"(?:has no attribute|No module named) .*", message)):
        key = f"{key}.class_path"
        return f"{_source(key, composition)}: key `{key}`: there is no class `{classes[-1]}` ({missing.group()})"
    return f"{_source(key, composition)}: key `{key}`: {_expected(message)}"


def _source(key: str, composition: Composition) -> str:
    """File that set a key; what no file set was a flag."""
    return composition.sources.get(key, "command line")


def _suggest(key: str, classes: list[str]) -> str:
    parent, _, name = key.rpartition(".")
    if parent.endswith("init_args") and classes:
        known = _parameters(locate(classes[-1]))
    elif parent == "trainer":
        known = _parameters(locate("lightning.pytorch.Trainer"))
    else:
        known = ["model", "data", "trainer", "run", "seed_everything", "ckpt_path", "base", "profile", "profiles"]
        parent, name = "", key.split(".")[0]
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean `{parent}{'.' if parent else ''}{near[0]}`?" if near else f"; known: {', '.join(known)}"


def _parameters(cls: object) -> list[str]:
    """Names that a class and its bases take."""
    bases = inspect.getmro(cls) if isinstance(cls, type) else ()
    names = [n for base in bases for n in inspect.signature(base.__init__).parameters]  # type: ignore[misc]
    return sorted(set(names) - {"self", "args", "kwargs"})


def _expected(message: str) -> str:
    """What would have been accepted; of a union, every alternative."""
    found = _EXPECTED.findall(message)
    if not found:
        return message.strip().splitlines()[-1].strip()
    # the innermost block is the reason; the blocks around it only say that their other alternatives fail as well
    innermost = [f for f in found if f[3]][:1] or found
    kinds = [name.replace("NoneType", "null") or f"one of {choices}" if name or choices else other
             for name, choices, other, _ in innermost]  # fmt: skip
    got = innermost[0][3] or (re.findall(r"Given value: (.*)", message) or [""])[0]
    return f"expected {' or '.join(dict.fromkeys(kinds))}, got {got}"
