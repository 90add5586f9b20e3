"""Every configuration error is one line that names file, key and fix."""

import subprocess
import sys

import pytest
from lightning.fabric.utilities.exceptions import MisconfigurationException

from experiments.__main__ import main
from experiments.config.compose import ConfigError
from experiments.health.failures import explain_failure
from experiments.train.cli import run_trainer_command


@pytest.fixture
def wrong(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    monkeypatch.chdir(tmp_path)

    def line(yaml=None, *flags):
        arguments = ["--config", "shed_hybrid", *flags]
        if yaml is not None:
            (tmp_path / "mine.yaml").write_text(yaml)
            arguments += ["--config", "mine.yaml"]
        with pytest.raises(ConfigError) as error:
            run_trainer_command("fit", arguments)
        assert "\n" not in str(error.value)
        return str(error.value)

    return line


def test_a_flag_without_its_value(wrong):
    assert wrong(None, "--run.name", "--") == "command line: `--run.name` needs a value"


def test_misspelt_keys(wrong):
    assert wrong("trainer: {max_epoch: 3}") == (
        "mine.yaml:1: there is no key `trainer.max_epoch`; did you mean `trainer.max_epochs`?"
    )
    assert wrong("model: {init_args: {segmets: [3, 2]}}") == (
        "mine.yaml:1: there is no key `model.init_args.segmets`; did you mean `model.init_args.segments`?"
    )
    assert "did you mean `data.init_args.superpixels.init_args.size`?" in wrong(
        "data: {init_args: {superpixels: {init_args: {sise: 8}}}}"
    )
    assert wrong("modl: {init_args: {width: 8}}").endswith("did you mean `model.init_args.width`?")


def test_wrong_values(wrong):
    line = wrong("model: {init_args: {width: wide}}")
    assert line == "mine.yaml:1: key `model.init_args.width`: expected int, got wide"
    assert wrong("model: {init_args: {protocol: {crop: eigenn}}}") == (
        "mine.yaml:1: key `model.init_args.protocol.crop`: "
        "expected one of 'none', 'eigen', 'densedepth', 'p2orm', got eigenn"
    )


def test_a_slip_in_the_structure_is_named_with_its_line(wrong):
    assert wrong("model:\n  init_arg: {width: 8}\n") == (
        "mine.yaml:2: there is no key `model.init_arg`; did you mean `model.init_args`?"
    )
    assert wrong("model:\n  width: 8\n") == (
        "mine.yaml:2: there is no key `model.width`; arguments of the class stand under `model.init_args`"
    )
    assert "`data.init_args.superpixels.init_args`" in wrong("data: {init_args: {superpixels: {size: 8}}}")


def test_a_class_that_lacks_what_another_file_sets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(
        "base: data/rooms\nmodel:\n  class_path: tests.helpers.tiny_method.TinyMethod\n"
    )
    (tmp_path / "small.yaml").write_text("model:\n  init_args: {pretrained: false}\n")
    method = r"^mine\.yaml:3: `tests\.helpers\.tiny_method\.TinyMethod`"
    with pytest.raises(ConfigError, match=method + r" takes no `pretrained`, which small\.yaml:2 sets"):
        run_trainer_command("fit", ["--config", "mine.yaml", "--config", "small.yaml", "--config", "profile/quick"])


def test_abbreviations_are_refused_with_the_full_name(wrong):
    for flag in ("--trainer.max_epoch", "--trainer.max_ep", "--max_epochs"):
        assert wrong(None, flag, "3").endswith("did you mean `trainer.max_epochs`?")
    assert wrong(None, "--segments", "[24,48,6]").endswith("did you mean `model.init_args.segments`?")
    assert wrong(None, "segments", "[24,48,6]").endswith("did you mean `model.init_args.segments`?")


def test_what_is_not_named_is_missed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("trainer: {max_epochs: 1}")
    with pytest.raises(ConfigError, match=r"^mine\.yaml, profile/quick: no experiment is named .*shed_hybrid"):
        run_trainer_command("fit", ["--config", "mine.yaml", "--config", "profile/quick"])


def test_a_missing_accelerator_is_advised_on(tmp_path, monkeypatch):
    assert "no GPU is found: leave `trainer.accelerator`" in explain_failure(
        MisconfigurationException("No supported gpu backend found!")
    )
    asked = MisconfigurationException("You requested gpu: [0, 3]\n But your machine only has: [0]")
    assert explain_failure(asked).startswith("GPUs [0, 3] are asked for and [0] are there: leave")
    assert explain_failure(MisconfigurationException("something else")) is None


def test_every_command_advises_on_a_missing_accelerator(monkeypatch, capsys):
    def fail(*, accelerator: str):
        raise MisconfigurationException("No supported gpu backend found!")

    monkeypatch.setattr("experiments.foreign.evaluate.evaluate", fail)
    with pytest.raises(SystemExit):
        main(["evaluate", "--accelerator", "gpu"])
    assert "no GPU is found: leave" in capsys.readouterr().err


def test_names_are_checked_without_torch(tmp_path):
    """A slip in a name is told at once, not after the seconds that the libraries take."""
    check = (
        "import sys\nfrom experiments.__main__ import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    for arguments, meant in (
        (["exp", "--config", "shed_hybird"], "shed_hybrid"),
        (["data", "verify", "nyu2"], "nyuv2"),
        (["evaluate", "--data", "nyu2"], "nyuv2"),
    ):
        done = subprocess.run([sys.executable, "-c", check, *arguments], capture_output=True, text=True, check=True)
        assert f"did you mean `{meant}`" in done.stderr
        assert done.stdout.strip() == "False"


def test_flags_are_named_as_such(wrong):
    assert wrong(None, "--model.init_args.segmets", "[1]").startswith("command line: there is no key")
    assert wrong(None, "--data.init_args.batch_size", "two") == (
        "command line: key `data.init_args.batch_size`: expected int, got two"
    )
    line = wrong(None, "--trainer.max_epochs", "many")
    assert line.startswith("command line: key `trainer.max_epochs`: expected int")


def test_unknown_classes(wrong):
    line = wrong("model: {class_path: lightning_modules.SHEDD}")
    assert line.startswith("mine.yaml:1: key `model.class_path`: there is no class `lightning_modules.SHEDD`")


def test_a_command_needs_a_configuration():
    with pytest.raises(ConfigError, match="needs a configuration: segdepth fit --config shed_hybrid"):
        run_trainer_command("fit", [])
