"""Notes on published figures: of figures, rows, columns and tables, and wherever a published figure is shown."""

import csv
import io

import pytest
import yaml

from experiments.comparison.page_data import page_data
from experiments.comparison.page_data import published_notes as published_value_notes
from experiments.config.compose import ConfigError
from experiments.results import published_notes
from experiments.results.published import read_published
from experiments.results.published_notes import (
    all_notes,
    column_notes,
    read_notes,
    row_notes,
    table_notes,
    value_notes,
)
from tests.helpers.commands import command

table = command("table")


TABLES = {table.name: table for table in read_published()}


def row(table_name, experiment):
    return next(row for row in TABLES[table_name].rows if row.experiment == experiment)


def test_a_note_is_of_what_it_names(tmp_path, monkeypatch):
    dpt, shed = (row("shed/table2", name) for name in ("dpt_hybrid", "shed_hybrid"))
    notes = [
        {"tables": ["shed/table2"], "note": "of all"},
        {"tables": ["shed/table2"], "rows": ["dpt_hybrid"], "note": "of DPT"},
        {"tables": ["shed/table2"], "metrics": ["rmse"], "note": "of RMSE"},
        {"tables": ["shed/table1", "shed/table2"], "rows": ["dpt_hybrid"], "metrics": ["rmse"], "note": "of one"},
    ]
    (tmp_path / "notes.yaml").write_text(yaml.safe_dump(notes[:3]))
    written = read_notes(tmp_path / "notes.yaml")
    assert [note.note for note in written] == ["of all", "of DPT", "of RMSE"]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump([*notes[:3], notes[3] | {"tables": ["shed/table2"]}]))
    monkeypatch.setattr(published_notes, "read_notes", lambda: read_notes(tmp_path / "all.yaml"))
    of_table = TABLES["shed/table2"]
    assert table_notes(of_table) == ["of all"]
    assert (row_notes(of_table, dpt), row_notes(of_table, shed)) == (["of DPT"], [])
    assert (column_notes(of_table, "rmse"), column_notes(of_table, "log10")) == (["of RMSE"], [])
    assert (value_notes(of_table, dpt, "rmse"), value_notes(of_table, shed, "rmse")) == (["of one"], [])
    assert all_notes(of_table, dpt, "rmse") == ["of one", "of DPT", "of RMSE"]
    assert all_notes(of_table, dpt, "object_rmse") == []
    assert table_notes(TABLES["shed/table1"]) == []


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"tables": ["shed/table9"], "note": "x"}, "note 0: no published table `shed/table9`"),
        ({"tables": ["shed/table2"], "rows": ["SHED"], "note": "x"}, "note 0: no row `SHED` in its tables"),
        ({"tables": ["shed/table2"], "metrics": ["mae"], "note": "x"}, "note 0: no metric `mae` in its tables"),
        ({"tables": ["shed/table2"]}, "note 0: .*note"),
        ({"tables": ["shed/table2"], "note": "x", "row": "y"}, "note 0: .*row"),
        ("text", "note 0: "),
    ],
)
def test_a_mistake_is_one_line(tmp_path, entry, message):
    path = tmp_path / "notes.yaml"
    path.write_text(yaml.safe_dump([entry]))
    with pytest.raises(ConfigError, match=message) as caught:
        read_notes(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_values_that_cannot_be_right_are_marked(tmp_path, capsys):
    doubted = [
        ("shed/table2", "depth_anything_v2_small_hypersim", "abs_rel"),
        ("shed/table2", "shed_hybrid_hypersim", "abs_rel"),
        ("region_support/table2", "region_support_end_to_end", "rmse_log_as_printed"),
        ("region_support/table3", "region_support_end_to_end", "rmse_log_as_printed"),
        ("region_support/text", "region_support_end_to_end", "rmse_log10"),
        ("region_support/table3", "region_support_freeze_refinement", "rmse"),
        ("region_support/table3", "region_support_generation_support", "abs_rel"),
        ("mti_net/text", "mti_net_guided", "delta1"),
    ]
    assert all(all_notes(TABLES[name], row(name, experiment), metric) for name, experiment, metric in doubted)
    assert all_notes(TABLES["shed/table2"], row("shed/table2", "shed_hybrid"), "abs_rel") == []
    table(["shed/table2", "--root", str(tmp_path)])
    markdown = capsys.readouterr().out
    assert "| 0.749 (a) |" in markdown
    assert "- (a) AbsRel 0.749 cannot stand beside" in markdown
    table(["shed/table2", "--root", str(tmp_path), "--format", "latex"])
    assert "& 0.749 (a) &" in capsys.readouterr().out
    table(["shed/table2", "--root", str(tmp_path), "--format", "csv"])
    lines = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert [line["published"] for line in lines if line["note"]] == ["0.749", "0.583"]


def test_the_comparison_page_has_them(tmp_path):
    hypersim = row("shed/table2", "shed_hybrid_hypersim")
    assert list(published_value_notes(TABLES["shed/table2"], hypersim)) == ["abs_rel"]
    data = page_data([], [TABLES["shed/table2"]], "", tmp_path / "page.html", {})
    assert [list(line["notes"]) for line in data["published"]] == [[], [], ["abs_rel"], ["abs_rel"]]
