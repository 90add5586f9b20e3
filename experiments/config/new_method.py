"""`segdepth new method`: the files that a method of one's own begins with, complete and ready to run."""

import keyword
from importlib.util import find_spec
from pathlib import Path

from datamodules.files import printable, write_text_atomically
from experiments.config.compose import experiment_names
from experiments.config.error import ConfigError

#: Files of a method under a name of its own, which docs/extending.md explains.
TEMPLATES = Path(__file__).with_name("method_template")
SUFFIX = ".template"

#: Names in the templates, of modules and of classes.
MODULE, CLASS = "depth_and_classes", "DepthAndClasses"


def method(name: str, /, *, output: Path = Path()) -> None:
    """Write the four files of a new method: its network, its module, its experiment and its test.

    Args:
        name: of the method's module, such as my_method; its class is then MyMethod.
        output: folder to write to; by default the current one, where `segdepth` finds them.

    Raises:
        ConfigError: for a name that no module can have, that is taken, or that one of the files has already.
    """
    check_name(name)
    files = write_method(name, output)
    print(f"{', '.join(map(printable, files))}\n")
    print(f"segdepth exp --config {name}.yaml --config profile/quick    trains and tests it in minutes")
    print(f"python -m pytest test_{name}.py                             runs its test")


def check_name(name: str) -> None:
    """Check that a method can have a name.

    Raises:
        ConfigError: if it is no name of a Python module, or one that is taken.
    """
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or name.startswith("_"):
        raise ConfigError(
            f"`{printable(name)}`: no name of a Python module; take letters, digits and _, such as `my_method`"
        )
    if name in experiment_names():
        raise ConfigError(f"`{name}`: is an experiment of segdepth; take another name")
    found = find_spec(name)
    if found is not None and Path(found.origin or name).resolve() != Path(f"{name}.py").resolve():
        raise ConfigError(f"`{name}`: Python has a module of that name ({found.origin}); take another name")


def write_method(name: str, folder: Path) -> list[Path]:
    """Write the files of a method.

    Args:
        name: of its module.
        folder: to write to; made if it is not there.

    Returns:
        The files.

    Raises:
        ConfigError: if one of them is there already: none is then written.
        OSError: if one cannot be written, in one line.
    """
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    texts = {}
    for template in sorted(TEMPLATES.glob(f"*{SUFFIX}")):
        file = folder / template.name.removesuffix(SUFFIX).replace(MODULE, name)
        texts[file] = template.read_text(encoding="utf-8").replace(MODULE, name).replace(CLASS, camel)
    if there := [file for file in texts if file.exists() or file.is_symlink()]:
        raise ConfigError(f"{printable(there[0])}: is there already, nothing was written; take another name or folder")
    for file, text in texts.items():
        write_text_atomically(file, text)
    return list(texts)
