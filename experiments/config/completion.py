"""Tab completion: a script for the shell, of all commands, their options and the names that there are."""

from argparse import ArgumentParser

from experiments.config.argparse_internals import options_of
from experiments.config.commands import COMMANDS, Command
from experiments.config.common_options import COMMON_OPTIONS
from experiments.config.compose import EXPERIMENTS, experiment_names
from experiments.config.error import ConfigError
from experiments.config.suggest import did_you_mean

SHELLS = ("bash", "zsh", "tcsh")


def completion(shell: str = "bash") -> str:
    """Return a script that completes `segdepth`: ``eval "$(segdepth --print_shtab bash)"``.

    Raises:
        ConfigError: for a shell that there is no script for.
    """
    import shtab

    if shell not in SHELLS:
        raise ConfigError(f"--print_shtab: no completion for `{shell}`; {did_you_mean(shell, SHELLS)}")
    script: str = shtab.complete(_parser(), shell)
    return script


def _parser() -> ArgumentParser:
    """Return a parser that knows what can be typed, and converts nothing."""
    parser = ArgumentParser(prog="segdepth")
    parser.add_argument("--version", action="store_true")
    _add_commands(parser, COMMANDS)
    return parser


def _add_commands(parser: ArgumentParser, commands: tuple[Command, ...]) -> None:
    added = parser.add_subparsers()
    for command in commands:
        own = added.add_parser(command.name.split()[-1], help=command.summary)
        if command.subcommands:
            _add_commands(own, command.subcommands)
        elif command.trains:
            options = dict.fromkeys(option.split()[0] for option, _ in COMMON_OPTIONS)
            for option in options:
                own.add_argument(option, choices=_names(option))
        else:
            _add_options(own, command)


def _add_options(parser: ArgumentParser, command: Command) -> None:
    from experiments.config.command_line import make_parser

    for action in options_of(make_parser(command, command.load())):
        choices = _names(action.option_strings[0] if action.option_strings else f"{command.name} {action.dest}")
        if action.option_strings and "--help" not in action.option_strings:
            if action.nargs == 0:
                parser.add_argument(*action.option_strings, action="store_true")
            else:
                parser.add_argument(*action.option_strings, nargs=action.nargs, choices=choices or action.choices)
        elif choices:
            parser.add_argument(action.dest, nargs=action.nargs, choices=choices)


def _names(option: str) -> list[str] | None:
    """Return names that an option takes, where they are known."""
    folders = {"--data": "data", "--protocol": "protocol", "sweep file": "sweeps", "claims files": "claims"}
    if option == "--config":
        parts = [f"{kind}/{path.stem}" for kind in ("data", "profile", "protocol", "test_on")
                 for path in sorted((EXPERIMENTS / kind).glob("*.yaml"))]  # fmt: skip
        return [*experiment_names(), *parts]
    if option in folders:
        return sorted(path.stem for path in (EXPERIMENTS / folders[option]).glob("*.yaml"))
    if option in ("compare experiments", "export clouds runs", "export hierarchies runs", "export program run"):
        return experiment_names()
    return None
