"""Every configuration error is one line that names file, key and mend."""

import pytest

from experiments.cli import run_trainer_command
from experiments.compose import ConfigError


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


def test_misspelt_keys(wrong):
    assert wrong("trainer: {max_epoch: 3}") == (
        "mine.yaml: there is no key `trainer.max_epoch`; did you mean `trainer.max_epochs`?"
    )
    assert wrong("model: {init_args: {segmets: [3, 2]}}") == (
        "mine.yaml: there is no key `model.init_args.segmets`; did you mean `model.init_args.segments`?"
    )
    assert "did you mean `data.init_args.superpixels.init_args.size`?" in wrong(
        "data: {init_args: {superpixels: {init_args: {sise: 8}}}}"
    )
    assert wrong("modl: {init_args: {width: 8}}").endswith("did you mean `model`?")


def test_wrong_values(wrong):
    line = wrong("model: {init_args: {width: wide}}")
    assert line == "mine.yaml: key `model.init_args.width`: expected int, got wide"
    assert wrong("model: {init_args: {protocol: {crop: eigenn}}}") == (
        "mine.yaml: key `model.init_args.protocol.crop`: "
        "expected one of 'none', 'eigen', 'densedepth', 'p2orm', got eigenn"
    )


def test_flags_are_named_as_such(wrong):
    assert wrong(None, "--model.init_args.segmets", "[1]").startswith("command line: there is no key")
    assert wrong(None, "--data.init_args.batch_size", "two") == (
        "command line: key `data.init_args.batch_size`: expected int, got two"
    )
    line = wrong(None, "--trainer.max_epochs", "many")
    assert line.startswith("command line: key `trainer.max_epochs`: expected int")


def test_unknown_classes(wrong):
    line = wrong("model: {class_path: lightning_modules.SHEDD}")
    assert line.startswith("mine.yaml: key `model.class_path`: there is no class `lightning_modules.SHEDD`")


def test_a_command_needs_a_configuration():
    with pytest.raises(ConfigError, match="needs a configuration: segdepth fit --config shed_hybrid"):
        run_trainer_command("fit", [])
