import csv
import errno
import io
import json
import os
import re
from collections import Counter

import pytest
import yaml

import datamodules.files
from experiments.config.compose import EXPERIMENTS, ConfigError
from experiments.results.finished_runs import read_runs
from experiments.results.measured import measure
from experiments.results.published import METRICS, PublishedRow, read_published, select_tables, tables_of
from experiments.results.table_formats import escape_latex, escape_markdown
from experiments.results.table_layout import MINUS
from tests.helpers.commands import command

table = command("table")


NYUV2 = {"test/nyuv2/abs_rel": 0.1414, "test/nyuv2/delta1": 0.85, "test/nyuv2/rmse": 0.451}
DASH = "\N{EN DASH}"

REFERENCE = EXPERIMENTS.parent / "../shared/reference/published_results.csv"


@pytest.fixture
def runs(tmp_path):
    """Writes runs into ``tmp_path``; each is newer than the one before."""
    clock = iter(range(1, 1000))

    def write(
        experiment="shed_hybrid", run="one", figures=NYUV2, data="nyuv2", count=654, profile="paper", seed=0,
        protocol="nyu_eigen", unit=1.0, command="exp", dirty=False, limit=None, suffix="", **options,
    ):  # fmt: skip
        folder = tmp_path / experiment / run
        folder.mkdir(parents=True, exist_ok=True)
        environment = {
            "command": f"segdepth {command} --config {experiment}", "profile": profile, "seed": seed,
            "commit": "0123456789abcdef", "dirty": dirty,
            "data": {"name": data, "frames": {"test": count}, "options": {"split": "official"} | options},
        }  # fmt: skip
        config = {
            "model": {"init_args": {"protocol": {"name": protocol, "unit": unit}}},
            "trainer": {"limit_test_batches": limit},
        }
        (folder / f"environment{suffix}.json").write_text(json.dumps(environment))
        (folder / f"config{suffix}.yaml").write_text(yaml.safe_dump(config))
        path = folder / "metrics.json"
        earlier = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(earlier | figures))
        os.utime(path, (next(clock),) * 2)
        return folder

    write.root = tmp_path
    return write


@pytest.fixture
def show(runs, capsys):
    """What `segdepth table` prints of the runs."""

    def print_table(*arguments):
        table([*arguments, "--root", str(runs.root)])
        return capsys.readouterr().out

    return print_table


def csv_lines(text, **where):
    lines = list(csv.DictReader(io.StringIO(text)))
    return [line for line in lines if all(line[key] == value for key, value in where.items())]


def markdown_lines(text, label):
    """Cells of the lines of a Markdown table whose fourth cell starts with a label."""
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [line for line in lines if line[3].startswith(label)]


# The published numbers


def test_published_numbers_are_whole():
    tables = read_published()
    assert [t.name for t in tables] == [
        "shed/table1", "shed/table2", "shed/table3", "shed/fig5", "semantic_md/table1", "semantic_md/table2",
        "mti_net/text", "mti_net/table1", "region_support/table2", "region_support/table3", "region_support/text",
    ]  # fmt: skip
    cells = [(t.name, r.experiment, r.method, m) for t in tables for r in t.rows for m in r.values]
    assert len(cells) == 339
    assert max(Counter(cells).values()) == 1
    rows = [row for t in tables for row in t.rows]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", row.experiment) for row in rows if row.experiment)
    shares = {name for name, metric in METRICS.items() if metric.better == "↑"}
    for row in rows:
        assert all(re.fullmatch(r"\d\.\d+", value) for value in row.values.values())
        assert all(float(row.values[name]) < 1 for name in shares & row.values.keys())
        deltas = [float(row.values[f"delta{i}"]) for i in (1, 2, 3) if f"delta{i}" in row.values]
        assert deltas == sorted(deltas)


@pytest.mark.skipif(not REFERENCE.is_file(), reason="the reference's published results are not here (../shared)")
def test_every_row_of_the_reference_is_taken_over_unchanged():
    with REFERENCE.open(newline="") as reference, (EXPERIMENTS / "published.csv").open(newline="") as own:
        missing = {tuple(row) for row in csv.reader(reference)} - {tuple(row) for row in csv.reader(own)}
    assert missing == set()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("shed,t,e,M,NYUv2,NYUv2,delta1,high", "line 3: `high` is no number"),
        ("shed,t,e,M,NYUv2,NYUv2,delta1", "line 3: `None` is no number"),
        ("shed,t,e,M,NYUv2,NYUv2,delta9,0.5", "line 3: no metric `delta9`; known: delta1"),
        ("shed,t,e,M,NYUv2,KITTI,delta1,0.5", "line 3: no test_data `KITTI`; known: NYUv2"),
        ("shed,t,e,DPT,NYUv2,NYUv2,delta1,0.6", "line 3: delta1 of DPT is there twice"),
    ],
)
def test_a_broken_published_number_is_one_line(tmp_path, line, message):
    path = tmp_path / "published.csv"
    first = "shed,t,e,DPT,NYUv2,NYUv2,delta1,0.5"
    path.write_text(f"paper,table,experiment,method,train_data,test_data,metric,value\n{first}\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        read_published(path)


def test_names_select_papers_and_tables():
    tables = read_published()
    assert [t.name for t in select_tables(tables, ["shed/fig5", "mti_net"])] == [
        "shed/fig5", "mti_net/text", "mti_net/table1",
    ]  # fmt: skip
    assert select_tables(tables, []) == tables
    with pytest.raises(ConfigError, match=r"no published table `shed/table9`; known: shed, semantic_md, .*shed/fig5"):
        table(["shed/table9"])


# Differences


def test_a_measured_run_stands_below_the_published_row(runs, show):
    runs(dirty=True)
    text = show("shed/table2")
    published, measured, difference = (markdown_lines(text, name) for name in ("published", "measured", "difference"))
    assert published[1][:3] == ["SHED (shed_hybrid)", "NYUv2", "NYUv2"]
    # δ1, δ2, δ3, AbsRel, RMSE, log10
    assert published[1][4:] == ["0.846", "0.972", "0.992", "0.130", "0.451", "0.054"]
    assert measured[1][3:] == ["measured [1]", "0.850", DASH, DASH, "0.141", "0.451", DASH]
    assert difference[0][4:] == ["+0.004", "", "", "+0.011", "+0.000", ""]
    assert len(difference) == 1
    assert r"[1] shed_hybrid/one on nyuv2: seed 0, commit 0123456\*, profile paper, trained on nyuv2" in text
    (line,) = csv_lines(show("shed/table2", "--format", "csv"), experiment="shed_hybrid", metric="abs_rel")
    assert (line["published"], line["measured"], line["difference"]) == ("0.130", "0.1414", "+0.0114")
    assert (line["run"], line["seed"], line["commit"], line["profile"]) == ("one", "0", "0123456*", "paper")
    latex = show("shed/table2", "--format", "latex")
    assert r"&  &  & difference & +0.004 &  &  & +0.011 & +0.000 &  \\" in latex


def test_a_figure_below_the_published_one_has_a_negative_difference(runs, show):
    runs(figures={"test/nyuv2/abs_rel": 0.12, "test/nyuv2/rmse": float("nan")})
    text = show("shed/table2")
    assert markdown_lines(text, "difference")[0][4:] == ["", "", "", "\N{MINUS SIGN}0.010", "nan", ""]
    assert r"difference &  &  &  & $-$0.010 & nan &" in show("shed/table2", "--format", "latex")
    assert csv_lines(show("shed/table2", "--format", "csv"), run="one")[0]["difference"] == "-0.01"


def test_without_runs_nothing_is_measured(show):
    for line in csv_lines(show("--format", "csv")):
        assert {value for name, value in list(line.items())[8:] if name not in ("oracle", "note")} == {""}
    text = show()
    assert not markdown_lines(text, "difference")
    experiments = sum(bool(row.experiment) for t in read_published() for row in t.rows)
    assert len(markdown_lines(text, "measured")) == experiments
    assert all(set(line[4:]) <= {DASH, ""} for line in markdown_lines(text, "measured"))
    for line in re.findall(r"& measured &(.*)\\\\", show("--format", "latex")):
        assert {cell.strip() for cell in line.split("&")} <= {"--", ""}


def test_only_the_latest_run_is_shown_unless_it_is_further_from_the_paper(runs):
    row = PublishedRow("shed_hybrid", "SHED", "NYUv2", "NYUv2", {"abs_rel": "0.130"})
    for run, profile in (("old", "paper"), ("new", "paper"), ("newest", "quick")):
        runs(run=run, profile=profile)
    (result,) = measure(row, read_runs(runs.root), "latest").results
    assert result.run == "new"


def test_mean_over_seeds(runs, show):
    values = {"a": (0, 0.5), "b": (0, 0.13), "c": (1, 0.14), "d": (2, 0.18)}
    for run, (seed, value) in values.items():
        runs(run=run, seed=seed, figures={"test/nyuv2/abs_rel": value})
    runs(run="e", seed=3, profile="quick", figures={"test/nyuv2/abs_rel": 0.9})
    (line,) = csv_lines(show("shed/table2", "--runs", "mean", "--format", "csv"), run="d;c;b")
    assert float(line["measured"]) == pytest.approx(0.15)
    assert float(line["std"]) == pytest.approx((((0.02) ** 2 + 0.01**2 + 0.03**2) / 2) ** 0.5)
    text = show("shed/table2", "--runs", "mean")
    assert markdown_lines(text, "measured (mean ± std of 3 seeds) [1] [2] [3]")[0][7] == "0.150 ± 0.026"


# What may not be compared, and what is remarked


@pytest.mark.parametrize("data", ["rooms", "rooms_nyuv2"])
@pytest.mark.parametrize("trained", ["rooms", "nyuv2"])
def test_rooms_are_never_measured_beside_a_published_number(runs, show, data, trained):
    figures = {f"test/{data}/abs_rel": 0.2, f"test/{data}/delta1": 0.7}
    runs(figures={}, data=trained)
    runs(figures=figures, data=data, command="test", suffix="-test", protocol="rooms")
    lines = csv_lines(show("shed/table2", "--format", "csv"))
    assert all(line["measured"] == "" for line in lines if line["published"])
    rooms = [line for line in lines if line["measured"]]
    assert {(line["train_data"], line["test_data"]) for line in rooms} == {(trained, data)}
    assert all(line["published"] == line["difference"] == "" for line in rooms)
    compared, apart = show("shed/table2").split("### SHED, Table 2: the methods on Rooms (synthetic)")
    assert "0.200" not in compared
    assert ["SHED (shed_hybrid)", trained, data] == markdown_lines(apart, "measured")[0][:3]


@pytest.mark.parametrize(
    ("table_name", "experiment", "change", "reason"),
    [
        ("shed/table2", "shed_hybrid", {"data": "rooms"}, "trained on rooms, not on NYUv2"),
        ("shed/table2", "shed_hybrid_hypersim", {}, "trained on nyuv2, not on HyperSim"),
        ("shed/table2", "shed_hybrid", {"command": "test"}, "trained on unrecorded data, not on NYUv2"),
        ("shed/table2", "shed_hybrid", {"split": "random801010"}, "tested with split random801010, not official"),
        ("mti_net/text", "mti_net_guided", {}, "tested with split official, not random801010"),
    ],
)
def test_another_data_set_is_not_compared(runs, show, table_name, experiment, change, reason):
    runs(experiment, **change)
    text = show(table_name)
    assert "difference" not in text
    assert f"not compared: {experiment}/one, {reason}" in text


def test_a_leaking_training_split_is_not_compared(runs, show):
    runs(figures={}, split="random801010")
    runs(command="test", suffix="-test")
    assert "not compared: shed_hybrid/one, trained with split random801010, not official" in show("shed/table2")


def test_a_figure_without_record_is_not_compared(runs, show):
    folder = runs(figures=NYUV2 | {"test/nyuv2_oc/boundary_acc": 6.0})
    assert "shed_hybrid/one, no record of how it was tested on nyuv2_oc: test it again" in show("shed/table1")
    for path in (*folder.glob("environment*"), *folder.glob("config*")):
        path.unlink()
    assert "not compared: shed_hybrid/one, trained on unrecorded data" in show("shed/table2")


def test_semantic_md_wants_its_own_frames_and_distances(runs, show):
    figures = {"test/hypersim/rmse": 1.3}
    said = {"figures": figures, "data": "hypersim", "count": 1203, "protocol": "hypersim_semantic_md"}
    runs("semantic_md_concat", "one", **said, frames="official", depth="distance")
    assert "one, tested with frames official, not semantic_md" in show("semantic_md/table1")
    runs("semantic_md_concat", "two", **said, frames="semantic_md", depth="planar")
    assert "two, tested with depth planar, not distance" in show("semantic_md/table1")
    runs("semantic_md_concat", "three", **said, frames="semantic_md", depth="distance")
    assert markdown_lines(show("semantic_md/table1"), "difference")[0][4] == "+0.017"


def test_oracles_are_called_so(runs, show):
    text = show("region_support/table2")
    names = [line[0] for line in markdown_lines(text, "published")]
    assert [name for name in names if "oracle" in name] == [
        "refinement module, oracle region support (region_support_refinement_truth)"
    ]
    names = [line[0] for line in markdown_lines(show("region_support/table3"), "published")]
    assert [name.rpartition("(")[2].rstrip(")") for name in names if ", oracle " in name] == [
        "region_support_truth_as_depth", "region_support_refinement_truth", "region_support_refinement_semantic"
    ]  # fmt: skip
    assert "- oracle: is given ground truth at test time" in text
    assert "oracle" not in show("shed")


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"profile": "quick"}, "quick profile"),
        ({"count": 4}, "4 frames instead of 654"),
        ({"limit": 2}, "limit_test_batches 2"),
        ({"limit": 1}, "limit_test_batches 1"),
        ({"protocol": "nyu_densedepth"}, "protocol nyu_densedepth instead of nyu_eigen"),
    ],
)
def test_what_sets_a_run_apart_is_said_beside_its_figures(runs, show, change, remark):
    runs(**change)
    assert markdown_lines(show("shed/table2"), "measured")[1][3] == f"measured ({remark}) [1]"
    (line,) = csv_lines(show("shed/table2", "--format", "csv"), experiment="shed_hybrid", metric="rmse")
    assert line["remarks"] == remark


def test_whole_set_and_whole_batches_need_no_remark(runs, show):
    runs(limit=1.0)
    assert markdown_lines(show("shed/table2"), "measured")[1][3] == "measured [1]"


def record_variant(folder, name, **shown):
    """Add a variant of the test set to a run's record, as the data module describes it."""
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    data = environment["data"]
    data.setdefault("variants", []).append({"name": f"{data['name']}_{name}", "variant": name, **shown})
    path.write_text(json.dumps(environment))


def test_the_other_geometry_stands_below_the_papers(runs, show):
    whole = {"test/nyuv2_whole/abs_rel": 0.12, "test/nyuv2_whole/delta1": 0.87}
    noisy = {"test/nyuv2_noise1/abs_rel": 0.5}
    folder = runs(figures=NYUV2 | whole | noisy)
    record_variant(folder, "whole", corruption=None, input_size=[480, 640])
    record_variant(folder, "noise1", corruption="GaussianNoise(sigma=20.4, seed=0)", input_size=[384, 384])
    text = show("shed/table2")
    labels = [line[3] for line in markdown_lines(text, "measured") if "[" in line[3]]
    assert labels == ["measured [1]", "measured (whole frames) [2]"]
    first, second = markdown_lines(text, "measured [1]")[0], markdown_lines(text, "measured (whole frames)")[0]
    assert (first[7], second[7]) == ("0.141", "0.120")
    assert re.search(r"\[2\] shed_hybrid/one on nyuv2_whole: .*test frames 654, shown at 480x640", text)
    assert "0.500" not in text
    lines = csv_lines(show("shed/table2", "--format", "csv"), experiment="shed_hybrid", metric="abs_rel", run="one")
    assert [(line["measured"], line["remarks"]) for line in lines] == [("0.1414", ""), ("0.12", "whole frames")]


def test_rooms_have_both_geometries_and_no_corruption(runs, show):
    figures = {f"test/rooms{name}/abs_rel": value for name, value in (("", 0.2), ("_squeezed", 0.3), ("_dark3", 0.9))}
    folder = runs(figures=figures, data="rooms", profile="quick", protocol="rooms")
    record_variant(folder, "squeezed", corruption=None, input_size=[96, 96])
    record_variant(folder, "dark3", corruption="Darkness(stops=4.0)", input_size=[96, 128])
    text = show("shed/table2")
    assert "on rooms_squeezed: " in text
    assert "rooms_dark3" not in text
    assert "0.900" not in text


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (795, "training frames 795 (official split)"),
        (24231, "training frames 24,231 (24K, BTS's list)"),
        (700, "training frames 700 (a subset)"),
    ],
)
def test_notes_name_the_training_frames(runs, show, count, said):
    experiment = "shed_hybrid_24k" if count == 24231 else "shed_hybrid"
    folder = runs(experiment)
    path = folder / "environment.json"
    environment = json.loads(path.read_text())
    environment["data"]["frames"]["train"] = count
    path.write_text(json.dumps(environment))
    text = show("shed/table2")
    assert f"trained on nyuv2, {said}, protocol nyu_eigen, test frames 654" in text
    measured = [line[3] for line in markdown_lines(text, "measured") if "[" in line[3]]
    assert measured == [f"measured{' (shed_hybrid_24k)' if count == 24231 else ''} [1]"]
    assert "shed/table2" in tables_of("shed_hybrid_24k")


def test_figures_in_units_are_compared_in_units_only(runs, show):
    figures = {"test/nyuv2/mae": 0.03, "test/nyuv2/rmse": 0.05, "test/nyuv2/delta1": 0.5}
    said = {"figures": figures, "split": "random801010", "count": 145, "protocol": "nyu_mti_unit"}
    runs("mti_net_guided", "metres", unit=1.0, **said)
    assert markdown_lines(show("mti_net/text"), "measured")[0][4:7] == [DASH, DASH, "0.5000"]
    runs("mti_net_guided", "units", unit=10.0, **said)
    assert markdown_lines(show("mti_net/text"), "measured")[0][4:7] == ["0.0300", "0.0500", "0.5000"]


def test_the_best_validation_loss_is_the_lowest_of_the_training(runs, show):
    said = {"split": "random801010", "count": 145, "protocol": "nyu_mti_unit", "unit": 10.0}
    folder = runs("mti_net_guided", figures={"test/nyuv2/delta1": 0.5}, **said)
    assert markdown_lines(show("mti_net/text"), "measured")[0][-1] == DASH
    lines = [{"step": 1, "val/loss_depth": value} for value in (0.05, None, 0.031, 0.04)]
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in [{"step": 0}, *lines]))
    assert markdown_lines(show("mti_net/text"), "measured")[0][-1] == "0.0310"
    assert markdown_lines(show("mti_net/text"), "difference")[0][-1] == f"{MINUS}0.0029"


def test_the_gallery_of_retrieval_is_roughly_known(runs, show):
    figures = {"test/nyuv2_raw/scene_recall@1": 0.5}
    said = {"data": "nyuv2_raw", "command": "test", "suffix": "-test"}
    runs(figures=NYUV2)
    runs(figures=figures, count=118_000, **said)
    assert markdown_lines(show("shed/fig5"), "measured")[1][3] == "measured [1]"
    runs(figures=figures, count=4_000, **said)
    label = "measured (4,000 frames instead of about 120,000) [1]"
    assert markdown_lines(show("shed/fig5"), "measured")[1][3] == label
    assert "Queries and gallery are 120K raw video frames of 206 scenes" in show("shed/fig5")


def test_tests_on_several_sets_in_one_run_each_have_their_record(runs, show):
    runs()
    oc = {"test/nyuv2_oc/boundary_acc": 6.0, "test/nyuv2_oc/boundary_comp": 1.0}
    runs(figures=oc, data="nyuv2_oc", command="test", suffix="-test")
    assert markdown_lines(show("shed/table2"), "difference")[0][4] == "+0.004"
    lines = csv_lines(show("shed/table1", "--format", "csv"), run="one")
    assert {line["metric"]: line["difference"] for line in lines} == {
        "boundary_eps_a": "+0.287",
        "boundary_eps_c": "+0.392",
    }


# Broken files


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("metrics.json", "{", r"one/metrics\.json: not JSON"),
        ("metrics.json", "[1]", r"one/metrics\.json: need a JSON object, got list"),
        (
            "metrics.json",
            '{"abs_rel": 0.1}',
            r"one/metrics\.json: need `test/<data set>/<metric>: number`, got `abs_rel",
        ),
        ("metrics.json", '{"test/nyuv2/abs_rel": "0.1"}', r"metrics\.json: need .* got `test/nyuv2/abs_rel: 0.1`"),
        ("environment.json", "", r"one/environment\.json: not JSON"),
        ("config.yaml", "a: [", r"one/config\.yaml: line \d is not valid YAML"),
    ],
)
def test_a_run_with_a_broken_file_is_left_out_in_one_line(runs, name, content, message, capsys):
    (runs() / name).write_text(content)
    runs(run="two", figures={"test/nyuv2/abs_rel": 0.4321})
    table(["--root", str(runs.root), "shed"])
    said = capsys.readouterr()
    (warning,) = said.err.splitlines()
    assert re.search(message, warning)
    assert "left out" in warning
    assert "0.432" in said.out


# Formats


def test_latex_is_balanced(runs, show):
    runs(run="one_%_of_#&$")
    runs(run="rooms", figures={"test/rooms/abs_rel": 0.2}, data="rooms", profile="quick")
    text = show("--format", "latex")
    assert text.isascii()
    plain = re.sub(r"\\[{}%&#$_]", "", text.removeprefix("% needs \\usepackage{booktabs}\n"))
    assert plain.count("{") == plain.count("}")
    assert plain.count("$") % 2 == 0
    assert not re.search("[_#%]", plain)
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 11 + 1  # one for Rooms, under SHED's Table 2
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tabular\}", text, re.DOTALL):
        lines = re.findall(r"^ {4}(?!\\(?:top|mid|bottom)rule|\\addlinespace)(.*)$", body, re.MULTILINE)
        assert lines
        assert all(line.endswith(r"\\") for line in lines)
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(columns)}


def test_markdown_lines_are_as_long_as_their_header(runs, show):
    runs(run="a|b*c")
    text = show()
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert r"shed_hybrid/a\|b\*c on nyuv2" in text


def test_escaping():
    assert escape_markdown("_a_b* | <x> `y`") == r"\_a_b\* \| \<x\> \`y\`"
    assert escape_latex(r"a_b & 5% {x} \y [1] ±") == r"a\_b \& 5\% \{x\} \textbackslash{}y {[}1] $\pm$"


def test_output_goes_into_a_file(runs, show):
    path = runs.root / "new" / "table.tex"
    assert show("shed/fig5", "--format", "latex", "--output", str(path)).strip() == str(path)
    assert path.read_text() == show("shed/fig5", "--format", "latex")
    assert "0.605" in path.read_text()


def test_an_interrupted_write_keeps_the_file_of_before(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "table.md"
    path.write_text("before")
    monkeypatch.setattr(datamodules.files.os, "replace", fail)
    with pytest.raises(OSError, match=r"table\.md: cannot be written"):
        table(["--runs_root", str(tmp_path), "shed/table2", "--output", str(path)])
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["table.md"]


def test_a_figure_that_is_not_finite_was_measured_all_the_same(runs, show):
    runs(figures={"test/nyuv2/abs_rel": None, "test/nyuv2/rmse": 0.5})
    (line,) = markdown_lines(show("shed/table2"), "measured [1]")
    assert "nan" in line
    assert "0.500" in line


def test_tables_of_an_experiment():
    assert tables_of("mti_net_guided") == ["mti_net/text", "mti_net/table1"]
    assert tables_of("dpt_hybrid") == ["shed/table1", "shed/table2", "shed/table3", "shed/fig5"]
    assert tables_of("my_own") == []


# Boundary figures


def test_boundary_figures_stand_under_both_definitions(runs, show):
    figures = {"boundary_acc": 2.5, "boundary_comp": 3.25, "chamfer_pred_to_gt": 6.25, "chamfer_gt_to_pred": 1.5}
    keys = {f"test/nyuv2_oc/{name}": value for name, value in figures.items()}
    folder = runs(figures=keys, data="nyuv2_oc", protocol="nyu_p2orm")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["model"]["init_args"]["evaluation"] = {"boundary": {"low": 0.15, "high": 0.3}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    text = show("shed/table1")
    (header,) = (line for line in text.splitlines() if "truncated" in line and line.startswith("| method"))
    assert [cell.strip().partition(" (")[0] for cell in header.strip("|").split("|")][4:8] == [
        "ε_a truncated", "ε_a untruncated", "ε_c truncated", "ε_c untruncated",
    ]  # fmt: skip
    printed = next(line for line in markdown_lines(text, "published") if "shed_hybrid" in line[0].replace("\\", ""))
    assert printed[4:8] == ["5.713", "5.713", "0.608", "0.608"]
    (measured,) = (line for line in markdown_lines(text, "measured") if "2.500" in line)
    assert measured[3] == "measured (Canny 0.15 / 0.3) [1]"
    assert measured[4:8] == ["2.500", "6.250", "3.250", "1.500"]
    minus = "\N{MINUS SIGN}"
    assert [f"{minus}3.213", "+0.537", "+2.642", "+0.892"] in [line[4:8] for line in markdown_lines(text, "difference")]
    assert "the same value stands under both definitions" in text
    (line,) = csv_lines(show("shed/table1", "--format", "csv"), metric="boundary_eps_a_untruncated", measured="6.25")
    assert (line["published"], line["remarks"]) == ("5.713", "Canny 0.15 / 0.3")


def test_many_frames_without_an_edge_are_remarked(runs, show):
    figures = {
        "boundary_acc": 2.5, "chamfer_pred_to_gt": 81.0, "boundary_empty": 70.0, "boundary_images": 654.0,
        "chamfer_pred_to_gt_nonempty": 1.5, "chamfer_gt_to_pred_nonempty": 2.5,
    }  # fmt: skip
    runs(figures={f"test/nyuv2_oc/{name}": value for name, value in figures.items()}, data="nyuv2_oc")
    (line,) = csv_lines(show("shed/table1", "--format", "csv"), metric="boundary_eps_a", measured="2.5")
    assert line["remarks"].startswith("Canny unrecorded; no edge found in 70 of 654 frames (11%)")
