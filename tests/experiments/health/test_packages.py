"""A run's record and the doctor take OpenCV under any of its names, and packages without metadata."""

import importlib
import importlib.metadata
from unittest.mock import Mock

import cv2
import pytest

import segdepth
from datamodules import SeedsSuperpixels
from datamodules.pipeline.superpixels import _seeds
from experiments.__main__ import main
from experiments.health import packages, software
from experiments.health.packages import OPENCV, PACKAGES, package_versions


@pytest.fixture
def only_opencv(monkeypatch):
    """Pretend that OpenCV is installed under one name; None for no metadata at all, of any package."""
    true = importlib.metadata.version

    def install(name):
        def version(asked):
            if name is None or (asked in OPENCV and asked != name):
                raise importlib.metadata.PackageNotFoundError(asked)
            return "4.13.0.92" if asked == name else true(asked)

        monkeypatch.setattr(packages, "version", version)

    return install


@pytest.mark.parametrize("name", OPENCV)
def test_opencv_under_any_name(only_opencv, name):
    only_opencv(name)
    found = package_versions()
    assert {key: found[key] for key in found if "opencv" in key} == {name: "4.13.0.92"}
    section = software.environment()
    assert not [problem for problem in section.problems if problem.stops]
    assert section.facts["opencv-contrib-python"] == "4.13.0.92" + (f" as {name}" if name != OPENCV[0] else "")


def test_without_any_metadata(only_opencv):
    only_opencv(None)
    found = package_versions()
    assert found.keys() == {*PACKAGES, "opencv"}
    assert found["opencv"] == cv2.__version__
    problems = software.environment().problems
    assert not [problem for problem in problems if problem.stops]
    assert any("torch has no metadata" in problem.what for problem in problems)


@pytest.mark.parametrize(
    "error", [KeyError("Version"), OSError("unreadable"), UnicodeDecodeError("utf-8", b"", 0, 1, "")]
)
def test_damaged_metadata_count_as_missing_ones(monkeypatch, error):
    monkeypatch.setattr(packages, "version", Mock(side_effect=error))
    assert package_versions()["opencv"] == cv2.__version__


def test_a_checkout_that_nobody_installed_has_no_version(monkeypatch, capsys):
    missing = Mock(side_effect=importlib.metadata.PackageNotFoundError("segdepth"))
    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(packages, "version", missing)
    importlib.reload(segdepth)
    try:
        assert segdepth.__version__ == "unknown"
        main(["--version"])
        assert capsys.readouterr().out == "segdepth unknown\n"
    finally:
        monkeypatch.undo()
        importlib.reload(segdepth)


def test_a_missing_seeds_is_named_where_it_is_needed(monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc")
    assert any("no SEEDS superpixels" in problem.what for problem in software.environment().problems)
    _seeds.cache_clear()
    with pytest.raises(ImportError, match=r"lacks: install opencv-contrib-python .*SlicSuperpixels"):
        SeedsSuperpixels().check(64, 64)
