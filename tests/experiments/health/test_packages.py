"""A run's record and the doctor take OpenCV under any of its names, and packages without metadata."""

import importlib.metadata

import cv2
import pytest

from datamodules import SeedsSuperpixels
from datamodules.pipeline.superpixels import _seeds
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


def test_a_missing_seeds_is_named_where_it_is_needed(monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc")
    assert any("no SEEDS superpixels" in problem.what for problem in software.environment().problems)
    _seeds.cache_clear()
    with pytest.raises(ImportError, match=r"lacks: install opencv-contrib-python .*SlicSuperpixels"):
        SeedsSuperpixels().check(64, 64)
