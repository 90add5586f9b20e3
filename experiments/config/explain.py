"""From jsonargparse's nested error report to one line that names file, key and fix."""

import re
import textwrap
from dataclasses import fields, is_dataclass
from pydoc import locate

from experiments.config.class_arguments import argument_names
from experiments.config.compose import Composition
from experiments.config.run_settings import RunSettings
from experiments.config.suggest import nearest

_KEY = re.compile(r'Parser key "([^"]+)"')
_CLASS = re.compile(r"Problem with given class_path '([^']+)'")
_UNKNOWN = re.compile(
    r"Option '([^']+)' is not accepted|does not accept option '([^']+)'|unrecognized arguments: (?:--)?([^\s=]+)"
)
_EXPECTED = re.compile(
    r"Expected an? (?:<class '([^']+)'>|typing\.Literal\[([^\]]+)\]|(.+?))(?:\. Got value: (.*))?$", re.M
)


#: Keys at the top of a configuration.
TOP = ("model", "data", "trainer", "run", "seed_everything", "ckpt_path", "base", "tests", "profile", "profiles")

#: Sections of `evaluate` that configure one class.
PARTS = {"protocol": "lightning_modules.metrics.EvalProtocol"}

#: Characters of a value that are printed.
LONGEST = 100


def explain(message: str, composition: Composition) -> str:
    """Return one line for a configuration that does not parse.

    Args:
        message: jsonargparse's report: nested ``Parser key`` blocks, each with the class it concerns and complaints.
        composition: which file set which key, and where.
    """
    keys, classes = _KEY.findall(message), _CLASS.findall(message)
    key = ".init_args.".join(keys)
    if lacking := re.search(r"argument (--\S+): expected (?:one|at least one) argument", message):
        return f"command line: `{lacking[1]}` needs a value"
    if unknown := _UNKNOWN.search(message):
        name = next(group for group in unknown.groups() if group)
        if key and classes:
            plain = is_dataclass(locate(classes[-1]))  # configured by its fields alone, without `init_args`
            argument = f"{key}.{name}" if plain else f"{key}.init_args.{name}"
            return _unknown_argument(argument, f"{key}.class_path", classes[-1], composition)
        return f"{composition.place(name)}: there is no key `{name}`{_suggest(name, composition)}"
    if classes and (missing := re.search(r"(?:has no attribute|No module named|No \S+ attribute) .*", message)):
        key = f"{key}.class_path"
        return f"{composition.place(key)}: key `{key}`: there is no class `{classes[-1]}` ({missing.group()})"
    return f"{composition.place(key)}: key `{key}`: {expected(message)}"


def _unknown_argument(key: str, class_key: str, class_path: str, composition: Composition) -> str:
    """An argument that its class does not take: a slip of who wrote it, or of who wrote a class that lacks it."""
    parent, _, name = key.rpartition(".")
    known = _parameters(locate(class_path))
    near = nearest(name, known)
    setter, owner = composition.sources.get(key), composition.sources.get(class_key)
    if not near and setter is not None and owner is not None and setter != owner:
        return (
            f"{composition.place(class_key)}: `{class_path}` takes no `{name}`, which {composition.place(key)} sets; "
            "give the class that argument"
        )
    fix = f"did you mean `{parent}.{near[0]}`?" if near else f"known: {', '.join(known)}"
    return f"{composition.place(key)}: there is no key `{key}`; {fix}"


def _suggest(key: str, composition: Composition) -> str:
    """The full name of the key that is likely meant: a near one, or one that is so called elsewhere."""
    known = _all_keys(composition)
    parent, _, name = key.rpartition(".")
    if parent in PARTS and (near := nearest(name, _parameters(locate(PARTS[parent])))):
        return f"; did you mean `{parent}.{near[0]}`?"
    siblings = {full.rpartition(".")[2]: full for full in known if full.rpartition(".")[0] == parent} if parent else {}
    if near := nearest(name, siblings):
        return f"; did you mean `{siblings[near[0]]}`?"
    anywhere = {full.rpartition(".")[2]: full for full in reversed(known) if "." in full}
    if name in anywhere:
        return f"; did you mean `{anywhere[name]}`?"
    if near := nearest(key.split(".")[0], TOP):
        return f"; did you mean `{near[0]}`?"
    if near := nearest(name, anywhere):
        return f"; did you mean `{anywhere[near[0]]}`?"
    return f"; known: {', '.join(TOP)}"


def _all_keys(composition: Composition) -> list[str]:
    """Dotted keys of the trainer, of the run, and of the classes that the configuration names."""
    known = [f"trainer.{name}" for name in _parameters(locate("lightning.pytorch.Trainer"))]
    known += [f"run.{field.name}" for field in fields(RunSettings)]
    for section in ("model", "data"):
        class_path = (composition.config.get(section) or {}).get("class_path")
        made = locate(class_path) if isinstance(class_path, str) else None
        known += [f"{section}.init_args.{name}" for name in _parameters(made)]
    return known


def _parameters(made: object) -> list[str]:
    """Return the names that a class takes; none of what is no class."""
    return sorted(argument_names(made)) if isinstance(made, type) else []


def expected(message: str) -> str:
    """Return what would have been accepted, of a union every alternative, and what was given."""
    found = _EXPECTED.findall(message)
    if not found:
        return message.strip().splitlines()[-1].strip()
    # the innermost block is the reason; the blocks around it only say that their other alternatives fail as well
    innermost = [f for f in found if f[3]][:1] or found
    kinds = [name.replace("NoneType", "null") or f"one of {choices}" if name or choices else other
             for name, choices, other, _ in innermost]  # fmt: skip
    got = innermost[0][3] or (re.findall(r"Given value: (.*)", message) or [""])[0]
    return f"expected {' or '.join(dict.fromkeys(kinds))}, got {textwrap.shorten(got, LONGEST, placeholder=' ...')}"
