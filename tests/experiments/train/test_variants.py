"""Variants of a test set in a run: in the same test, or in a later one of the finished run."""

import csv
import json

import pytest
import yaml

from experiments.__main__ import main
from experiments.config.compose import compose
from experiments.results.finished_runs import read_runs, variants_in
from lightning_modules.evaluation import EvaluationOptions
from tests.experiments.conftest import tiny
from tests.helpers.few_callbacks import FEW_CALLBACKS

CORRUPTIONS = [f"{kind}{level}" for kind in ("noise", "blur", "jpeg", "dark") for level in (1, 2, 3)]


def figures(run):
    return json.loads((run / "metrics.json").read_text())


def table(run):
    with (run / "per_image.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["shed_hybrid", "dpt_hybrid", "shed_hybrid_224", "shed_hybrid_hypersim"])
def test_the_papers_geometry_keeps_the_name_and_the_other_comes_along(name, monkeypatch):
    """SHED, section 4.1: 384x384 at inference."""
    monkeypatch.setenv("DATA_ROOT", "/data")
    data = compose([name]).config["data"]["init_args"]
    assert data["eval_size"] == ([224, 224] if name.endswith("224") else [384, 384])
    assert {key: shown["eval_size"] for key, shown in data["variants"].items()} == {"whole": "whole"}
    quick = compose([name, "data/rooms", "profile/quick"]).config["data"]["init_args"]
    assert quick["eval_size"] is None
    assert {key: shown and shown["eval_size"] for key, shown in quick["variants"].items()} == {
        "whole": None,
        "squeezed": quick["crop"],
    }


def test_corruptions_stand_beside_the_geometry(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    for name in ("shed_hybrid", "semantic_md_two_head", "mti_net_guided", "region_support_joined"):
        variants = compose([name, "test_on/robustness"]).config["data"]["init_args"]["variants"]
        assert [key for key, shown in variants.items() if shown.get("corruption")] == CORRUPTIONS
        assert ("whole" in variants) == (name == "shed_hybrid")
    strengths = {
        key: next(iter(variants[key]["corruption"]["init_args"].values())) for key in CORRUPTIONS
    }  # ImageNet-C's severities 1, 3 and 5, from its code
    assert [strengths[f"noise{level}"] for level in (1, 2, 3)] == pytest.approx([255 * c for c in (0.08, 0.18, 0.38)])
    assert [strengths[f"blur{level}"] for level in (1, 2, 3)] == [1, 3, 6]
    assert [strengths[f"jpeg{level}"] for level in (1, 2, 3)] == [25, 15, 7]


def test_groups_are_those_of_both():
    options = EvaluationOptions(groups=("depth", "cloud"))
    assert options.restricted(None) == options
    assert options.restricted(["depth", "object"]).groups == ("depth",)
    sparse = EvaluationOptions(cloud={"stride": 2})
    assert sparse.restricted(["cloud"]) == EvaluationOptions(("cloud",), cloud={"stride": 2})
    with pytest.raises(ValueError, match="no group `clouds`"):
        options.restricted(["clouds"])


def test_one_run_reports_both_geometries_and_a_later_test_adds_corruptions(workplace, capsys):
    squeezed = {"eval_size": [96, 96], "groups": ["depth", "object", "boundary"]}
    both = {"data": {"init_args": {"variants": {"squeezed": squeezed}}}, "trainer": {"callbacks": FEW_CALLBACKS}}
    (workplace / "both.yaml").write_text(yaml.safe_dump(both))
    main(["exp", *tiny("dpt_hybrid"), "--config", "both.yaml", "--run.name", "it"])
    run = workplace / "runs" / "dpt_hybrid" / "it"
    first = figures(run)
    both = {"nyuv2", "nyuv2_squeezed"}
    assert {key.split("/")[1] for key in first} == both
    assert {row["dataset"] for row in table(run)} == both
    assert "chamfer3d_precision" in {key.rpartition("/")[2] for key in first if key.startswith("test/nyuv2/")}
    squeezed = {key.rpartition("/")[2]: value for key, value in first.items() if key.startswith("test/nyuv2_squeezed/")}
    assert "object_rmse" in squeezed
    assert not {name for name in squeezed if name.startswith(("chamfer3d", "scene_recall", "depth_boundary"))}
    assert "dpt_hybrid on nyuv2_squeezed, rooms" in capsys.readouterr().out

    # the same geometry as a run's own gives the same figures
    own = ["--data.init_args.eval_size", "[96, 96]", "--run.name", "own"]
    main(["test", *tiny("dpt_hybrid"), *own, "--ckpt_path", str(run / "checkpoints" / "best.ckpt")])
    alone = figures(workplace / "runs" / "dpt_hybrid" / "own")
    for name, value in squeezed.items():
        assert alone[f"test/nyuv2/{name}"] == pytest.approx(value, rel=1e-6, nan_ok=True), name

    # rows that the later test does not make again
    rows = table(run)
    earlier = {**rows[0], "dataset": "elsewhere"}
    with (run / "per_image.csv").open("a", newline="") as file:
        csv.DictWriter(file, rows[0]).writerow(earlier)
    main(["test", "--config", str(run / "config.yaml"), "--config", "test_on/robustness", "--ckpt_path", "best"])
    assert [path.name for path in run.parent.iterdir()].count("it") == 1
    later = figures(run)
    assert {key: later[key] for key in first} == first
    names = {f"nyuv2_{name}" for name in CORRUPTIONS}
    assert {key.split("/")[1] for key in later} == both | names
    errors = [later[f"test/nyuv2_{name}/abs_rel"] for name in CORRUPTIONS if name != "blur1"]  # 0.2 pixels of 48 rows
    assert len({later["test/nyuv2/abs_rel"], *errors}) == len(errors) + 1
    again = table(run)
    assert {row["dataset"] for row in again} == both | names | {"elsewhere"}
    assert [row for row in again if row["dataset"] == "nyuv2"] == [
        {**row, **{key: row.get(key, "") for key in again[0]}} for row in rows if row["dataset"] == "nyuv2"
    ]
    assert [row["abs_rel"] for row in again if row["dataset"] == "elsewhere"] == [earlier["abs_rel"]]

    # each has its record, under the protocol and the options of the set that it shows
    results = {result.dataset: result for result in read_runs(workplace / "runs") if result.run == "it"}
    noisy = results["nyuv2_noise2"]
    assert noisy.variant["corruption"] == "GaussianNoise(sigma=45.9, seed=0)"
    assert results["nyuv2"].variant == {}
    environment, config = noisy.tested_with
    assert environment["data"]["name"] == "nyuv2"
    assert environment["data"]["frames"]["test"] == 4
    assert config["model"]["init_args"]["protocol"]["name"] == "rooms"
    assert set(variants_in(run)) == names | {"nyuv2_squeezed"}


def test_a_group_that_there_is_not(workplace, capsys):
    variants = {"odd": {"eval_size": [48, 48], "groups": ["clouds"]}}
    (workplace / "odd.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"variants": variants}}}))
    with pytest.raises(SystemExit):
        main(["test", *tiny("dpt_hybrid"), "--config", "odd.yaml"])
    assert "`evaluation.groups`: no group `clouds`" in capsys.readouterr().err
