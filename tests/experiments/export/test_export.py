"""`segdepth export` from a trained run's folder to clouds and pictures, at the smallest size."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from experiments.__main__ import main
from experiments.config.arguments import Changes
from experiments.config.compose import ConfigError
from experiments.export import result_pictures as export_pictures
from experiments.export.choices import FrameChoice, RunChoice
from experiments.export.finished_model import find_run
from tests.experiments.conftest import tiny


def read_vertices(path):
    """(N, 3) positions and (N, 3) colours of a PLY file that this suite writes."""
    body = path.read_bytes().split(b"end_header\n", 1)[1]
    vertices = np.frombuffer(body, np.dtype([("position", "<f4", 3), ("color", "u1", 3)]))
    return vertices["position"], vertices["color"]


@pytest.fixture
def trained(workplace):
    """A run of SHED, without its test."""
    main(["fit", *tiny("shed_hybrid"), "--run.name", "one", "--trainer.logger", "false"])
    return workplace / "runs" / "shed_hybrid" / "one"


@pytest.mark.slow
def test_clouds_hold_truth_and_prediction(trained, capsys):
    main(["export", "clouds", "shed_hybrid", "--frames", "6", "4", "--accelerator", "cpu"])
    output = capsys.readouterr().out
    levels = [f"shed_hybrid_level{level}" for level in range(4)]
    expected = {f"nyuv2_{frame:04d}_{name}.ply" for frame in (4, 6) for name in ("truth", "shed_hybrid", *levels)}
    assert {path.name for path in (trained / "export").glob("*.ply")} == expected
    assert output.count("6 clouds") == 2
    assert cv2.imread(str(trained / "export" / "nyuv2_0006.png")).std() > 10

    main(["predict", *tiny("shed_hybrid"), "--run.name", "one", "--ckpt_path", "best", "--trainer.logger", "false"])
    predicted = np.load(trained / "predictions" / "nyuv2" / "0007.npy")
    with h5py.File("data/nyuv2/nyu_depth_v2_labeled.mat") as file:
        truth, image = file["depths"][6].T, file["images"][6].transpose(2, 1, 0)
    for name, depth in (("truth", truth), ("shed_hybrid", predicted)):
        position, color = read_vertices(trained / "export" / f"nyuv2_0006_{name}.ply")
        np.testing.assert_allclose(-position[:, 2], depth.ravel(), atol=1e-3)
        np.testing.assert_allclose(color, image.reshape(-1, 3), atol=1)
    parts, colors = read_vertices(trained / "export" / "nyuv2_0006_shed_hybrid_level3.ply")
    np.testing.assert_array_equal(parts, position)
    assert (colors != color).any()

    main(["export", "clouds", str(trained), "--points", "100", "--output", "few", "--data.init_args.max_depth", "9.0"])
    assert len(list((trained.parents[2] / "few").glob("*.png"))) == 4
    assert 20 < len(read_vertices(trained.parents[2] / "few" / "nyuv2_0006_truth.ply")[0]) <= 100


@pytest.mark.slow
def test_hierarchies_of_two_runs(trained, monkeypatch):
    flags = ["--model.init_args.segments", "[5,3,1]", "--run.name", "two", "--trainer.logger", "false"]
    main(["fit", *tiny("shed_hybrid"), *flags])
    drawn = {}
    draw = export_pictures.draw_hierarchies
    monkeypatch.setattr(export_pictures, "draw_hierarchies", lambda results: drawn.update(results) or draw(results))
    main(["export", "hierarchies", "shed_hybrid/one", "shed_hybrid/two", "--frames", "5", "--output", "out"])
    assert cv2.imread("out/nyuv2_0005_hierarchies.png").std() > 10
    assert list(drawn) == ["shed_hybrid/one", "shed_hybrid/two"]
    for result, most in zip(drawn.values(), ((6, 4, 2), (5, 3, 1)), strict=True):
        counts = [len(np.unique(level)) for level in result.segments]
        assert all(count <= bound for count, bound in zip(counts[1:], most, strict=True))
        assert result.index == 5
        assert 0 <= result.metrics["level1_achievable_accuracy"] <= 1
    assert len(np.unique(drawn["shed_hybrid/two"].segments[3])) == 1


@pytest.mark.slow
def test_what_a_run_cannot_give_is_said_in_a_line(workplace, capsys):
    main(["fit", *tiny("dpt_hybrid"), "--run.name", "one", "--trainer.logger", "false"])
    with pytest.raises(SystemExit):
        main(["export", "hierarchies", "dpt_hybrid"])
    assert "dpt_hybrid: has no segments" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "clouds", "dpt_hybrid", "--frames", "2"])
    assert "no test frame 2; its 4 test frames are between 4 and 7" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["export", "clouds", "dpt_hybrid", "dpt_hybrid/one"])
    assert "a run is named twice" in capsys.readouterr().err


def test_runs_are_found_by_folder_and_by_name(tmp_path, monkeypatch):
    for name in ("old", "new"):
        checkpoints = tmp_path / "runs" / "shed_hybrid" / name / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints.parent / "config.yaml").write_text("model: {}\n")
        torch.save({}, checkpoints / "best.ckpt")
    monkeypatch.chdir(tmp_path / "runs")
    newest, older = (tmp_path / "runs" / "shed_hybrid" / name for name in ("new", "old"))
    root = tmp_path / "runs"
    assert find_run("shed_hybrid", root, "best") == (newest, newest / "checkpoints" / "best.ckpt")
    for name in ("shed_hybrid/old", str(older)):
        assert find_run(name, root, "best") == (older, older / "checkpoints" / "best.ckpt")
    with pytest.raises(ConfigError, match="no run `shed`"):
        find_run("shed", root, "best")
    with pytest.raises(ConfigError, match=r"last\.ckpt"):
        find_run("shed_hybrid/old", root, "last")


def test_flags_of_the_configuration_are_told_from_the_commands_own(monkeypatch):
    called = []
    monkeypatch.setattr(export_pictures, "export_clouds", lambda *given: called.append(given))
    line = ["--config", "profile/quick", "a", "b", "--frames", "1", "2", "--data.init_args.root", "/x", "--model.k=3"]
    main(["export", "clouds", *line, "--data", "nyuv2", "--root", "out"])
    ((runs, changes, where, which, points),) = called
    assert (runs, which.frames, points, where.runs_root) == (["a", "b"], [1, 2], None, Path("out"))
    assert changes.names == ("data/nyuv2", "profile/quick")
    assert changes.flags == ("--data.init_args.root", "/x", "--model.k=3")


def test_points_are_counted():
    with pytest.raises(ConfigError, match="--points"):
        export_pictures.export_clouds(["a"], Changes(), RunChoice(), FrameChoice(), 0)


def test_the_command_explains_itself(capsys):
    for line in ([], ["--help"]):
        main(["export", *line])
        assert "hierarchies" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="2"):
        main(["export", "cloud"])
    assert "no command `export cloud`; commands: clouds, hierarchies, program" in capsys.readouterr().err
