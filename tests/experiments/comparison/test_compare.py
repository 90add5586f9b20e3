"""The comparison page's content, and the command around it; `tests/browser` opens the page."""

import json
import re
from types import SimpleNamespace

import pytest

from experiments.comparison import wandb_report
from experiments.comparison.frame_groups import DIFFERENT_FRAMES
from experiments.comparison.run_records import find_runs
from experiments.config.compose import ConfigError
from tests.helpers.commands import command
from tests.helpers.synthetic_runs import write_run

compare = command("compare")


def blocks(path):
    """The inert JSON of a page, by id."""
    found = re.findall(r'<script type="application/json" id="([^"]+)">(.*?)</script>', path.read_text(), re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def page(root, *arguments):
    compare(["--root", str(root), "--wandb", "false", *arguments])
    return blocks(root / "compare.html")


def test_the_page_carries_figures_frames_and_curves(tmp_path):
    write_run(tmp_path / "shed_hybrid" / "one", frames=5)
    content = page(tmp_path)
    figures = json.loads((tmp_path / "shed_hybrid" / "one" / "metrics.json").read_text())
    text = json.dumps(content["data"])
    assert f"{figures['test/nyuv2/abs_rel']:.5g}" in text
    assert "0.13" in text  # the published abs_rel of SHED stands beside it
    assert {"data", "frames-0-nyuv2", "history-0"} <= content.keys()
    assert any(name.startswith("pictures-0") for name in content)


def test_synthetic_figures_stand_beside_no_published_ones(tmp_path):
    write_run(tmp_path / "shed_hybrid" / "one", dataset="rooms")
    compare(["--root", str(tmp_path), "--wandb", "false"])
    (run,) = find_runs(tmp_path)
    assert [result.dataset for result in run.results] == ["rooms"]
    data = blocks(tmp_path / "compare.html")["data"]
    rows = [row for row in json.dumps(data).split("{") if '"rooms"' in row]
    assert rows
    assert not any("0.132" in row or "0.846" in row for row in rows)


def test_no_name_ends_a_script_element(tmp_path):
    write_run(tmp_path / "shed_hybrid" / "one", scene="</script><img>{:04d}")
    text = json.dumps(page(tmp_path))
    assert "</script><img>0000" in text  # read back whole
    assert "</script><img>" not in (tmp_path / "compare.html").read_text()


def test_without_a_page(tmp_path, capsys):
    write_run(tmp_path / "shed_hybrid" / "one")
    compare(["--root", str(tmp_path), "--wandb", "false", "--html", "false"])
    assert not (tmp_path / "compare.html").exists()
    assert "one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shed_hybird"], r"no run of shed_hybird under .*; did you mean `shed_hybrid`\?"),
        (["--metrics", "abs_rell"], r"no run has a metric `abs_rell`; did you mean `abs_rel`"),
        (["--tag", "nope"], r"no run with the tag `nope` under .*; tags: "),
        (["--paper", "mti_net"], "no run of mti_net under"),
        (["--embed_mb", "-1"], "--embed_mb: need megabytes"),
        (["--output", "."], "--output: . is a folder"),
    ],
)
def test_what_cannot_be_compared(tmp_path, arguments, message):
    write_run(tmp_path / "shed_hybrid" / "one")
    with pytest.raises(ConfigError, match=message):
        compare(["--root", str(tmp_path), "--wandb", "false", *arguments])


class Recorder:
    """Stands for any class of the package `wandb-workspaces`: keeps its arguments, and answers to a save."""

    def __init__(self, **fields):
        self.__dict__ |= fields

    @classmethod
    def from_url(cls, address):
        return cls(address=address)

    def save(self):
        self.url = getattr(self, "address", "new")
        return self


def test_a_second_report_takes_the_place_of_the_first(tmp_path):
    names = ("Workspace", "Section", "RunsetSettings", "Report", "Runset", "PanelGrid",
             "LinePlot", "BarPlot", "MediaBrowser", "RunComparer")  # fmt: skip
    package = SimpleNamespace(**dict.fromkeys(names, Recorder), H2=lambda title: title, Metric=lambda name: name)
    modules = wandb_report.Modules(package, package)
    memory = tmp_path / "known.json"
    figures = ["test/nyuv2/abs_rel"]
    assert wandb_report.save(modules, "lab", "depth", figures, memory) == ["new", "new"]
    memory.write_text(json.dumps({"lab/depth": {"workspace": "w", "report": "r"}}))
    assert wandb_report.save(modules, "lab", "depth", figures, memory) == ["w", "r"]


def test_offline_it_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert "wandb sync" in wandb_report.publish([], "segdepth", tmp_path / "known.json")


def test_different_test_frames_are_marked(tmp_path, capsys):
    for name, frames in (("shed_hybrid", 12), ("dpt_hybrid", 9), ("cast_small", 12)):
        write_run(tmp_path / name / "one", frames=frames)
    content = page(tmp_path)
    said = capsys.readouterr().out
    lines = {name: line for line in said.splitlines() for name in ("shed", "dpt", "cast") if name in line}
    assert "nyuv2 (a: 12 frames)" in lines["cast"]
    assert "nyuv2 (b: 9 frames)" in lines["dpt"]
    assert "nyuv2 (a: 12 frames)" in lines["shed"]
    assert DIFFERENT_FRAMES in said
    marks = [result["label"][6:] for result in content["data"]["results"]]
    assert marks == ["(a: 12 frames)", "(b: 9 frames)", "(a: 12 frames)"]


def test_the_same_test_frames_bear_no_mark(tmp_path, capsys):
    for name in ("shed_hybrid", "dpt_hybrid"):
        write_run(tmp_path / name / "one")
    page(tmp_path)
    said = capsys.readouterr().out
    assert "frames)" not in said
    assert DIFFERENT_FRAMES not in said
