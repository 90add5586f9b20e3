"""One table of commands, one parser's habits, and help without torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.__main__ import main, run
from experiments.config.arguments import spell_out
from experiments.config.command_line import run_function
from experiments.config.commands import COMMANDS, Command, find_command, usage
from experiments.config.common_options import COMMON_OPTIONS
from experiments.config.error import ConfigError

LEAVES = [leaf for command in COMMANDS for leaf in (command.subcommands or (command,))]

CHECK = """
import sys
from experiments.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    assert end.code in (0, None), end.code
assert "torch" not in sys.modules
"""


@pytest.mark.parametrize(
    "words",
    [[], *([each.name] for each in COMMANDS if each.subcommands),
     *(leaf.name.split() for leaf in LEAVES if not leaf.trains and leaf.name not in ("evaluate", "data rooms"))],
    ids=" ".join,
)  # fmt: skip
def test_help_without_torch(words, tmp_path):
    before = os.times()
    done = subprocess.run([sys.executable, "-c", CHECK, *words, "--help"], capture_output=True, text=True)
    after = os.times()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: segdepth")
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    assert seconds < 2  # on a machine that is busy with other tests; alone it takes a quarter


def test_every_command_is_listed_and_found():
    for command in COMMANDS:
        assert f"\n  {command.name} " in usage()
        assert command.example in usage()
    for leaf in LEAVES:
        assert find_command([*leaf.name.split(), "--help"]) == (leaf, ["--help"])
        assert callable(leaf.load())


def test_version(capsys):
    main(["--version"])
    assert capsys.readouterr().out.startswith("segdepth 0.")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["fti"], "did you mean `fit`?"),
        (["data", "verfy"], "did you mean `verify`?"),
        (["compare", "--metrix", "a"], "there is no option `--metrix`: did you mean `--metrics`?"),
        (["table", "shed/tabel2"], "did you mean `shed/table2`"),
        (["sweep", "shed_segment"], "did you mean `shed_segments`"),
        (["claims", "shed_cots"], "did you mean `shed_cost`"),
        (["data", "verify", "nyu2"], "did you mean `nyuv2`"),
        (["evaluate", "--data", "nyuv2", "--protocol", "nyu_egen"], "did you mean `nyu_eigen`"),
        (["exp", "--data", "roms"], "did you mean `rooms`"),
        (["sweep", "x", "--jobs", "0"], "`--jobs`: expected"),
        (["sweep"], "required: file"),
        (["compare", "--tag"], "`--tag` needs a value"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(words, meant):
    with pytest.raises(ConfigError) as error:
        run(words[0], words[1:])
    assert meant in str(error.value)
    assert "\n" not in str(error.value)


CALLED = []


def noted(
    names: list[str], /, *, runs_root: Path = Path("runs"), dry: bool = False, html: bool = True,
    values: list[int] | None = None,
) -> None:  # fmt: skip
    """Note what comes.

    Args:
        names: some.
        runs_root: of runs.
        dry: or not.
        html: or not.
        values: numbers.
    """
    CALLED.append((names, runs_root, dry, html, values))


def call(*arguments):
    run_function(Command("noted", "", "", f"{__name__}:noted"), arguments)
    return CALLED.pop()


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").SimpleNamespace())
    monkeypatch.setattr(sys.modules[__name__], "noted", noted, raising=False)


def test_flags_are_alone_or_have_a_truth_value():
    assert call("a", "b") == (["a", "b"], Path("runs"), False, True, None)
    assert call("--dry", "a", "--no_html") == (["a"], Path("runs"), True, False, None)
    assert call("a", "--dry", "true", "--html=false") == (["a"], Path("runs"), True, False, None)
    with pytest.raises(ConfigError, match=r"`--dry perhaps`: expected true or false"):
        call("a", "--dry=perhaps")


def test_earlier_spellings_are_taken():
    for flag in ("--runs_root", "--root", "--run.root"):
        assert call("a", flag, "out")[1] == Path("out")
        assert call("a", f"{flag}=out")[1] == Path("out")


def test_an_option_of_several_values_may_be_repeated():
    assert call("a", "--values", "1", "2", "--dry", "--values=3") == (["a"], Path("runs"), True, True, [1, 2, 3])


def test_short_forms_of_all_commands_in_those_that_train(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/before")
    words = ["--data", "rooms", "--runs_root", "out", "--data_root=/data", "--data", "datamodules.RoomsDataModule"]
    assert spell_out(words) == ["--config", "data/rooms", "--run.root=out", "--data=datamodules.RoomsDataModule"]
    assert os.environ["DATA_ROOT"] == "/data"
    words = ["--data", "nyuv2", "--protocol", "nyu_eigen_filled"]
    assert spell_out(words) == ["--config", "data/nyuv2", "--config", "protocol/nyu_eigen_filled"]
    with pytest.raises(ConfigError, match="did you mean `nyu_eigen`"):
        spell_out(["--protocol=nyu_eigne"])


def test_switches_of_those_that_train_need_no_value():
    assert spell_out(["--run.resume", "-c", "x"]) == ["--run.resume=true", "-c", "x"]
    words = ["--run.resume", "--trainer.fast_dev_run", "--model.init_args.compile", "--run.name", "--trainer.benchmark"]
    on = ["--run.resume=true", "--trainer.fast_dev_run=true", "--model.init_args.compile=true"]
    assert spell_out(words) == [*on, "--run.name", "--trainer.benchmark=true"]
    given = ["--run.resume", "false", "--trainer.deterministic=false"]
    assert spell_out(given) == given


def test_help_of_training_begins_with_what_people_use(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: segdepth fit --config NAME [options]"
    assert len(COMMON_OPTIONS) == 20
    text = "\n".join(lines)
    for option, _ in COMMON_OPTIONS:
        assert text.index(option) < text.index("All options:")
    assert "--trainer.max_epochs" in text[text.index("All options:") :]


def test_completion_knows_commands_options_and_names(capsys):
    main(["--print_shtab", "bash"])
    script = capsys.readouterr().out
    for word in ("ablation", "--runs_root", "shed_hybrid", "verify", "shed_segments", "--boundary_curve"):
        assert word in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True).returncode == 0
    with pytest.raises(ConfigError, match="did you mean `bash`"):
        run("--print_shtab", ["bsh"])
