"""Entry point of `segdepth` and of `python -m experiments`."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from experiments.health.standard_streams import prepare_streams

USAGE = """usage: segdepth COMMAND ...

  exp       train, then test the best checkpoint        segdepth exp --config shed_hybrid --config data/rooms
  fit       train                                       segdepth fit --config shed_hybrid
  validate  figures of a checkpoint on validation data  segdepth validate --config shed_hybrid --ckpt_path best
  test      figures of a checkpoint on test data        segdepth test --config shed_hybrid --ckpt_path best
  predict   write a checkpoint's predictions            segdepth predict --config shed_hybrid --ckpt_path best
  evaluate  figures of predictions of any program       segdepth evaluate --predictions FOLDER --data nyuv2
  export    point clouds and pictures of a run          segdepth export clouds shed_hybrid
  compare   finished runs side by side                  segdepth compare shed_hybrid dpt_hybrid
  table     published figures beside measured ones      segdepth table shed/table2
  sweep     a grid of runs, resumable                   segdepth sweep shed_segments
  ablation  every row of a paper's tables, resumable    segdepth ablation semantic_md
  claims    a paper's claims, put to the test           segdepth claims shed -- --config data/rooms
  data      state, check, copy and picture of the data  segdepth data status
  doctor    what is wrong with this machine             segdepth doctor

`segdepth COMMAND --help` lists a command's options."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; an error a user can mend is one line and exit status 2."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    prepare_streams(ends=command in PRINTING_COMMANDS)
    if command in ("-h", "--help"):
        print(USAGE)
        return
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


#: Commands that train nothing: module and function.
OTHER_COMMANDS = {
    "evaluate": ("experiments.foreign.evaluate", "evaluate"),
    "export": ("experiments.export.export", "export"),
    "compare": ("experiments.comparison.compare", "compare"),
    "table": ("experiments.results.table", "table"),
    "sweep": ("experiments.grid.sweep", "sweep"),
    "ablation": ("experiments.grid.ablation", "ablation"),
    "claims": ("experiments.judging.claims", "claims"),
    "data": ("experiments.datasets.data", "data"),
    "doctor": ("experiments.health.doctor", "doctor"),
}
#: Those of them that load PyTorch and OpenCV themselves.
LOADING_COMMANDS = ("evaluate", "export", "data")
#: Those that end when nobody reads what they print; the others have more to do.
PRINTING_COMMANDS = ("-h", "--help", "compare", "table", "data", "doctor")
TRAINER_COMMANDS = ("exp", "fit", "validate", "test", "predict")


def run(command: str, arguments: Sequence[str]) -> None:
    """Import what the command needs, and only now: a missing system library is then a line, not a traceback."""
    from experiments.config.compose import ConfigError
    from experiments.config.home_paths import expand_argument
    from experiments.config.old_names import rename_arguments, warn_of_removed
    from experiments.health.address_space import check_address_limit, limit_hint
    from experiments.health.surroundings import tidy_environment

    tidy_environment()
    arguments, removed = rename_arguments(arguments)
    warn_of_removed(removed)
    if command not in (*TRAINER_COMMANDS, *OTHER_COMMANDS):
        raise ConfigError(f"no command `{command}`; commands: {', '.join([*TRAINER_COMMANDS, *OTHER_COMMANDS])}")
    if command in (*TRAINER_COMMANDS, *LOADING_COMMANDS):
        check_address_limit()
    if command in (*TRAINER_COMMANDS, "data", "evaluate"):
        from experiments.config.arguments import check_names

        check_names(command, arguments)
    try:
        if command in TRAINER_COMMANDS:
            from experiments.train.cli import run_trainer_command

            do: Callable[[Sequence[str]], None] = partial(run_trainer_command, command)
        else:
            module, function = OTHER_COMMANDS[command]
            do = getattr(import_module(module), function)
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
    do([expand_argument(argument) for argument in arguments])


def explain_error(error: Exception) -> str:
    """One line for an error: the cause of a full disk, full memory, an absent accelerator, else its own message."""
    from experiments.health.disk_errors import explain_disk

    line = explain_disk(error)
    # an error that was raised from another one explains it already; without torch, nothing of it can have failed
    if line is None and error.__cause__ is None and "torch" in sys.modules:
        from experiments.health.failures import explain_failure

        line = explain_failure(error)
    return line or one_line(error)


def one_line(error: BaseException) -> str:
    """The line of a message that says what is wrong.

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
