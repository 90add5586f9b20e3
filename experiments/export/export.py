"""`segdepth export`: what a finished run has learnt, in files for people and for other programs."""

from collections.abc import Sequence
from importlib import import_module

from experiments.config.compose import ConfigError

USAGE = """usage: segdepth export COMMAND RUN [RUN ...] [options]

  clouds       point clouds of test frames as PLY files, and pictures of them   segdepth export clouds shed_hybrid
  hierarchies  segment hierarchies of several runs side by side                 segdepth export hierarchies RUN_A RUN_B
  program      a method as one file that needs torch alone (torch.export)       segdepth export program shed_hybrid

RUN is a run's folder, or an experiment: its newest run. `segdepth export COMMAND --help` lists a command's options."""

#: What can be exported: module and function.
COMMANDS = {
    "clouds": ("experiments.export.result_pictures", "export_clouds"),
    "hierarchies": ("experiments.export.result_pictures", "export_hierarchies"),
    "program": ("experiments.export.program", "export_run"),
}


def export(arguments: Sequence[str]) -> None:
    """Run one of :data:`COMMANDS`.

    Raises:
        ConfigError: for a command line, run or configuration that cannot be used, in one line.
    """
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help"):
        print(USAGE)
        return
    if command not in COMMANDS:
        raise ConfigError(f"no command `export {command}`; commands: {', '.join(COMMANDS)}")
    module, function = COMMANDS[command]
    getattr(import_module(module), function)(rest)
