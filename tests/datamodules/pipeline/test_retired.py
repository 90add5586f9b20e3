"""What old configurations name and no method reads is accepted, warned of, and has no effect."""

import json

import pytest
from jsonargparse import ArgumentParser

from datamodules import CLAHE, DepthDataModule, NYUv2DataModule
from datamodules.storage.store import INDEX_FILE, StorePlan, write_store
from tests.helpers.tiny_nyu import write_tiny_nyu

OLD = """
class_path: datamodules.NYUv2DataModule
init_args:
  root: {root}
  preprocess:
    - {{class_path: datamodules.CLAHE}}
    - {{class_path: datamodules.UnitDepth, init_args: {{divisor: 10.0}}}}
  derived:
    - {{class_path: datamodules.SemanticContours, init_args: {{mode: gradient, size: 3}}}}
    - {{class_path: datamodules.ClassMaps, init_args: {{classes: 20, order: counted, count_frames: 100}}}}
"""


def test_an_old_configuration_is_read_and_what_it_asked_for_in_vain_is_left_out(tmp_path):
    (tmp_path / "old.yaml").write_text(OLD.format(root=tmp_path))
    parser = ArgumentParser()
    parser.add_subclass_arguments(DepthDataModule, "data")
    arguments = parser.parse_args([f"--data={tmp_path / 'old.yaml'}"])
    with pytest.warns(UserWarning, match="is left out, since no method reads") as warned:
        module = parser.instantiate(arguments).data
    messages = [str(warning.message) for warning in warned]
    named = sorted(message.split()[0] for message in messages if "is left out" in message)
    assert named == ["ClassMaps", "SemanticContours", "UnitDepth"]
    assert [type(step) for step in module.preprocess] == [CLAHE]
    assert module.derived == []


def test_a_store_that_was_converted_with_depth_in_units_is_still_read(tmp_path):
    write_tiny_nyu(tmp_path / "files")
    options = {"preprocess": [CLAHE()], "num_workers": 0}
    made = NYUv2DataModule(str(tmp_path / "files"), **options)
    store = tmp_path / "store"
    plan = StorePlan(
        made.name, made.reader.identity, made.all_options, {k: list(v) for k, v in vars(made.splits).items()}
    )
    list(write_store(made.reader, store, plan))
    index = json.loads((store / INDEX_FILE).read_text())
    index["options"]["preprocess"].append("UnitDepth(divisor=10.0)")
    (store / INDEX_FILE).write_text(json.dumps(index))
    assert len(NYUv2DataModule(str(tmp_path / "files"), store=str(store), **options).reader) == len(made.reader)
