"""Runs a typed function from a command line: its signature makes the options, its docstring the help."""

import os
import re
from argparse import RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from inspect import Parameter, signature
from typing import Any, get_args, get_origin

import docstring_parser
from jsonargparse import ActionYesNo, ArgumentError, ArgumentParser

from experiments.config.argparse_internals import options_of
from experiments.config.arguments import Changes, take_changes, take_data_names
from experiments.config.commands import Command
from experiments.config.error import ConfigError
from experiments.config.explain import expected
from experiments.config.suggest import nearest

#: Other spellings of options, by the option; the first that a command has is meant.
SPELLINGS = {"--runs_root": ("--root", "--run.root"), "--data_root": ("--root",), "--backbone": ("--for",)}

WORDS = {"true": True, "yes": True, "false": False, "no": False}


class RunFlags(tuple[str, ...]):
    """What follows a `--`: flags of the runs that a command starts."""

    __slots__ = ()


@dataclass(frozen=True)
class _Option:
    """An option, or an argument without a name.

    Attributes:
        name: of the parameter.
        type: its annotation.
        default: its value where nothing is said; ``Parameter.empty`` if something must be.
        positional: whether it goes without a name.
        owner: parameter whose dataclass it is a field of; "" if it is a parameter itself.
    """

    name: str
    type: Any
    default: Any
    positional: bool = False
    owner: str = ""


def run_function(command: Command, arguments: Sequence[str]) -> None:
    """Run a command.

    Args:
        command: one that does not train.
        arguments: of its command line, after its name.

    Raises:
        ConfigError: for a command line that cannot be used, in one line.
    """
    changes, own, after = Changes(), list(arguments), None
    if "--" in own:
        own, after = own[: own.index("--")], own[own.index("--") + 1 :]
    if command.configures and not {"-h", "--help"} & set(own):
        if command.data_first:
            own = take_data_names(own)
        changes, own = take_changes(own, command.configures)  # names are checked before anything is imported
    function = command.load()
    options = list(_options(function))
    parser = make_parser(command, function)
    if after is not None and not any(_takes_flags(option) for option in options):
        own += ["--", *after]
    lists = {f"--{option.name}" for option in options if _element(option.type) is not option.type}
    values = _parse(parser, _joined(_spelt(own, options, parser), lists))
    if command.configures and values.get("data_root"):
        os.environ["DATA_ROOT"] = str(values["data_root"])
    owned: dict[str, dict[str, Any]] = {}
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for option in options:
        if option.type is Changes:
            positional.append(changes)
        elif _takes_flags(option):
            named[option.name] = None if after is None and option.type is not RunFlags else RunFlags(after or ())
        elif option.owner:
            owned.setdefault(option.owner, {})[option.name] = values[option.name]
        elif option.positional:
            positional.append(option.default if values[option.name] is None else values[option.name])
        else:
            named[option.name] = values[option.name]
    parameters = signature(function, eval_str=True).parameters
    function(*positional, **named, **{name: parameters[name].annotation(**given) for name, given in owned.items()})


def make_parser(command: Command, function: Callable[..., Any]) -> ArgumentParser:
    """Return the parser of a function's options.

    Args:
        command: whose function it is.
        function: typed and documented; a parameter before ``/`` goes without a name on the command line, the fields of
            a dataclass are options of their own.
    """
    documented = docstring_parser.parse(function.__doc__ or "")
    parser = ArgumentParser(
        prog=f"segdepth {command.name}",
        description=documented.short_description,
        epilog=command.notes or None,
        exit_on_error=False,
        allow_abbrev=False,
        formatter_class=RawDescriptionHelpFormatter,
    )
    help_ = {param.arg_name: param.description for param in documented.params}
    for parameter in signature(function, eval_str=True).parameters.values():
        if is_dataclass(parameter.annotation) and parameter.annotation is not Changes:
            own = docstring_parser.parse(parameter.annotation.__doc__ or "")
            help_ |= {param.arg_name: param.description for param in own.params}
    options = list(_options(function))
    for option in options:
        if option.type is not Changes and not _takes_flags(option):
            _add(parser, option, _help(option, help_.get(option.name)))
    if command.configures:
        _add_configuration(parser, command)
    return parser


def _help(option: _Option, documented: str | None) -> str:
    """Return what an option's docstring says, and its default where that says more than nothing."""
    text = (documented or "").removesuffix(".")
    default = option.default
    if default in (None, "", False, True, Parameter.empty) or option.positional or is_dataclass(default):
        return text
    shown = " ".join(default) if isinstance(default, tuple | list) else default
    return f"{text} ({shown})"


def _add(parser: ArgumentParser, option: _Option, help_: str | None) -> None:
    kind = _element(option.type)
    listed = kind is not option.type
    needed = option.default is Parameter.empty
    if option.positional:
        if listed:
            parser.add_argument(option.name, nargs="+" if needed else "*", type=kind, help=help_)
        else:
            parser.add_argument(option.name, type=kind, help=help_)
        return
    value = list(option.default) if isinstance(option.default, tuple) else option.default
    default: dict[str, Any] = {"required": True} if needed else {"default": value}
    if kind is bool:
        parser.add_argument(f"--{option.name}", action=ActionYesNo, help=help_, **default)
    elif listed:
        parser.add_argument(f"--{option.name}", nargs="+", type=kind, help=help_, **default)
    else:
        parser.add_argument(f"--{option.name}", type=kind, help=help_, **default)


def _add_configuration(parser: ArgumentParser, command: Command) -> None:
    """Add what :func:`~experiments.config.arguments.take_changes` has taken already: for the help alone."""
    sections = ", ".join(f"--{section}.KEY VALUE" for section in command.configures)
    group = parser.add_argument_group("configuration", f"Single options are set by {sections}.")
    if "data" in command.configures:
        alone = "; its name alone will do, before all options" if command.data_first else ""
        group.add_argument("--data", metavar="NAME", type=str, help=f"data set, as in `--config data/NAME`{alone}")
        group.add_argument("--data_root", type=str, help="folder of the data sets' folders, instead of DATA_ROOT")
    if "protocol" in command.configures:
        group.add_argument("--protocol", metavar="NAME", type=str, help="protocol, as in `--config protocol/NAME`")
    group.add_argument("--config", "-c", metavar="FILE", type=str, help="file that changes the configuration")


def _options(function: Callable[..., Any]) -> Iterator[_Option]:
    """Yield the options of a function, fields of dataclasses among them."""
    for parameter in signature(function, eval_str=True).parameters.values():
        kind = parameter.annotation
        if is_dataclass(kind) and kind is not Changes:
            for field in fields(kind):
                factory = field.default_factory
                default = Parameter.empty if factory is MISSING else factory()
                yield _Option(
                    field.name, field.type, default if field.default is MISSING else field.default, owner=parameter.name
                )
        else:
            positional = parameter.kind is Parameter.POSITIONAL_ONLY
            yield _Option(parameter.name, kind, parameter.default, positional=positional)


def _spelt(arguments: Sequence[str], options: Sequence[_Option], parser: ArgumentParser) -> list[str]:
    """Return arguments with options as they are spelt today, and a truth value beside a flag as the flag alone."""
    known = {string for action in options_of(parser) for string in action.option_strings}
    today: dict[str, str] = {}
    for option, earlier in SPELLINGS.items():
        if option in known:
            today |= {old: option for old in earlier if old not in known and old not in today}
    flags = {f"--{option.name}" for option in options if option.type is bool}
    spelt: list[str] = []
    remaining = list(arguments)
    while remaining:
        flag, equals, value = remaining.pop(0).partition("=")
        flag = today.get(flag, flag)
        if flag in flags and (equals or (remaining and remaining[0].lower() in WORDS)):
            said = value if equals else remaining.pop(0)
            if said.lower() not in WORDS:
                raise ConfigError(f"`{flag} {said}`: expected true or false; `{flag}` alone is true")
            spelt.append(flag if WORDS[said.lower()] else f"--no_{flag.removeprefix('--')}")
        else:
            spelt.append(f"{flag}{equals}{value}")
    return spelt


def _takes_flags(option: _Option) -> bool:
    return RunFlags in (option.type, *get_args(option.type))


def _element(kind: Any) -> Any:
    """Return the type of a list's elements, also of a list or None; any other type itself."""
    for candidate in (kind, *get_args(kind)):
        if get_origin(candidate) in (list, Sequence):
            return get_args(candidate)[0]
    return kind


def _joined(arguments: Sequence[str], lists: set[str]) -> list[str]:
    """Return arguments with the values of an option that takes several in one place, however often it is given."""
    rest: list[str] = []
    values: dict[str, list[str]] = {}
    last: list[str] = rest
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if flag in lists:
            last = values.setdefault(flag, [])
            last += [value] if equals else []
            continue
        if argument.startswith("-"):
            last = rest
        last.append(argument)
    return [*rest, *(word for flag, given in values.items() for word in (flag, *given))]


def _parse(parser: ArgumentParser, arguments: Sequence[str]) -> dict[str, Any]:
    """Return values by name.

    Raises:
        ConfigError: for what does not parse, in one line.
    """
    try:
        parsed = parser.parse_args(list(arguments))
    except ArgumentError as error:
        raise ConfigError(f"{_slip(str(error), parser)}; `{parser.prog} --help` lists the options") from error
    values: dict[str, Any] = parser.instantiate(parsed).as_dict()
    return values


def _slip(message: str, parser: ArgumentParser) -> str:
    """Return one line for what a parser complains of."""
    known = [string for action in options_of(parser) for string in action.option_strings]
    if found := re.search(r"[Uu]nrecognized arguments: (.*)", message):
        word = found[1].split()[0].partition("=")[0]
        near = nearest(word, known)
        return f"there is no option `{word}`" + (f": did you mean `{near[0]}`?" if near else "")
    if found := re.search(r'Parser key "([^"]+)"', message):
        return f"`--{found[1]}`: {expected(message)}"
    if found := re.search(r"argument (--\S+): expected (?:one|at least one) argument", message):
        return f"`{found[1]}` needs a value"
    return message.strip().splitlines()[-1].strip()
