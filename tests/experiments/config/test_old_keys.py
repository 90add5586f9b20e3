"""Configurations and command lines from when the options of the evaluation were one flat list are taken as they are."""

import pytest
import yaml

from experiments.config.compose import compose
from experiments.config.old_keys import flags_with_new_keys
from experiments.results.changed_tests import changes


def evaluation(*files):
    return compose([str(file) for file in files]).config["model"]["init_args"]["evaluation"]


def write(path, options, **more):
    path.write_text(yaml.safe_dump({"model": {"init_args": {"evaluation": options}}, **more}))
    return path


def test_files(tmp_path):
    new = write(tmp_path / "new.yaml", {"cloud": {"stride": 1, "squared": True}})
    old = write(tmp_path / "old.yaml", {"cloud_stride": 2, "groups": ["cloud"], "unit": None})
    with pytest.warns(FutureWarning, match=r"`cloud_stride` is now `cloud\.stride`"):
        assert evaluation(new, old) == {"cloud": {"stride": 2, "squared": True}, "groups": ["cloud"]}
    with pytest.warns(FutureWarning):
        assert evaluation(old, new)["cloud"] == {"stride": 1, "squared": True}


def test_sections_of_a_profile(tmp_path):
    section = {"model": {"init_args": {"evaluation": {"recall_at": [1]}}}}
    write(tmp_path / "mine.yaml", {"thin_radius": 0.1}, profile="small", profiles={"small": section})
    with pytest.warns(FutureWarning, match="thin_radius"):
        assert evaluation(tmp_path / "mine.yaml") == {"thin": {"radius": 0.1}, "retrieval": {"ks": [1]}}


def test_flags():
    old = [
        "--model.init_args.evaluation.cloud_stride", "2", "--evaluation.range_edges=[0,1]", "--evaluation.unit", "10",
        "--model.evaluation.recall_at", "[1]",
    ]  # fmt: skip
    with pytest.warns(FutureWarning, match="`recall_at` is now"):
        assert flags_with_new_keys(old) == [
            "--model.init_args.evaluation.cloud.stride", "2", "--evaluation.range.edges=[0,1]",
            "--evaluation.unit.unit", "10", "--model.evaluation.retrieval.ks", "[1]",
        ]  # fmt: skip


@pytest.mark.filterwarnings("error")
def test_other_flags_stay():
    flags = [
        "--evaluation.cloud.stride", "2", "--evaluation.unit", "{unit: 10}", "--evaluation.groups", "[depth]",
        "--data.cloud_stride", "2", "exp",
    ]  # fmt: skip
    assert flags_with_new_keys(flags) == flags


@pytest.mark.filterwarnings("error")
def test_a_test_of_an_old_run_differs_by_what_it_sets_and_not_by_names(tmp_path):
    def config(options):
        arguments = {"evaluation": options}
        return {"model": {"init_args": arguments}, "data": {"class_path": "datamodules.NYUv2DataModule"}}

    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config({"cloud_stride": 1, "unit": None})))
    assert changes(config({"cloud": {"stride": 1}, "unit": {"unit": None}}), tmp_path) == {}
    assert changes(config({"cloud": {"stride": 4}}), tmp_path) == {"model.init_args.evaluation.cloud.stride": 4}
