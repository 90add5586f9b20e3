"""Entry point of `segdepth` and of `python -m experiments`."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from experiments.config.commands import COMMANDS, Command, find_command, usage
from experiments.config.error import ConfigError
from experiments.health.standard_streams import prepare_streams


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error a user can fix is one line and exit status 2."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    prepare_streams(ends=command.startswith("-") or any(c.prints_only for c in COMMANDS if c.name == command))
    try:
        run(command, rest)
    except Exception as error:
        if os.environ.get("SEGDEPTH_DEBUG"):
            raise
        print(f"segdepth: error: {explain_error(error)}", file=sys.stderr)
        print("(SEGDEPTH_DEBUG=1 shows where it came from)", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning turns Ctrl-C into exit status 1
        if isinstance(end, SystemExit) and not isinstance(end.__context__, KeyboardInterrupt):
            raise
        print("segdepth: interrupted", file=sys.stderr)
        sys.exit(130)


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a command by its name, without help for what goes wrong.

    Modules are imported as late as can be: a missing system library is then a line, not a traceback, and help is fast.

    Raises:
        ConfigError: for a command line that cannot be used; what else a command raises.
    """
    from experiments.config.home_paths import expand_argument
    from experiments.config.old_keys import flags_with_new_keys
    from experiments.config.old_names import rename_arguments, warn_of_removed
    from experiments.config.users_folder import importable_folder, say_clashes
    from experiments.health.address_space import check_address_limit
    from experiments.health.surroundings import tidy_environment

    if name in ("-h", "--help"):
        print(usage())
        return
    if name == "--version":
        from experiments.health.packages import package_version

        print(f"segdepth {package_version('segdepth') or 'unknown'}")
        return
    if name == "--print_shtab":
        from experiments.config.completion import completion

        print(completion(*arguments))
        return
    arguments, removed = rename_arguments(flags_with_new_keys([expand_argument(argument) for argument in arguments]))
    warn_of_removed(removed)
    tidy_environment()
    command, arguments = find_command([name, *arguments])
    if any(each.trains or each.loads_torch for each in COMMANDS if each.name == name):
        check_address_limit()
    if command.default and not arguments:
        command, arguments = find_command(command.default.split())
    if command.subcommands:
        if arguments and arguments[0] not in ("-h", "--help"):
            raise ConfigError(f"`segdepth {name} {arguments[0]}`: name a command; {usage(command).splitlines()[0]}")
        print(usage(command))
        return
    with explained_imports(), importable_folder():
        if command.trains or command.configures:
            say_clashes(Path.cwd())
        if command.trains:
            _train(command, arguments)
        else:
            from experiments.config.command_line import run_function

            run_function(command, arguments)


def _train(command: Command, arguments: Sequence[str]) -> None:
    """Run a command of LightningCLI, after what can be said without loading it."""
    from experiments.config.arguments import check_names, spell_out

    arguments = spell_out(arguments)
    check_names(arguments)
    command.load()(command.name, arguments)


@contextmanager
def explained_imports() -> Iterator[None]:
    """Say what helps where a library cannot be loaded.

    Raises:
        ConfigError: for a missing system library, or memory that is full.
    """
    from experiments.health.address_space import limit_hint

    try:
        yield
    except ImportError as error:
        if "failed to map segment" in str(error):
            raise ConfigError(f"memory is full while libraries are loaded{limit_hint()} ({error})") from error
        if ".so" in str(error):
            raise ConfigError(
                f"a system library that OpenCV needs is missing ({error}); "
                "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0 libxcb1, or put "
                "opencv-contrib-python-headless in the place of opencv-contrib-python"
            ) from error
        raise


def explain_error(error: Exception) -> str:
    """Return one line for an error: a full disk, full memory, an absent accelerator, or else its own message."""
    from experiments.health.disk_errors import explain_disk

    line = explain_disk(error)
    # an error that was raised from another one explains it already; without torch, nothing of it can have failed
    if line is None and error.__cause__ is None and "torch" in sys.modules:
        from experiments.health.failures import explain_failure

        line = explain_failure(error)
    return line or one_line(error)


def one_line(error: BaseException) -> str:
    """Return the line of a message that says what is wrong.

    An error raised in a DataLoader worker brings the worker's traceback along; its last line counts. One raised while
    jsonargparse builds an object comes in a list, beside what else the key would have accepted.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    reasons = [reason for reason in reasons if not reason.startswith(("Expected a", "Does not validate"))]
    if "Union subtypes" in str(error) and reasons:
        return reasons[-1]
    return lines[-1] if lines else type(error).__name__


if __name__ == "__main__":
    main()
