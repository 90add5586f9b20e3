"""A converted store is refused where it was made with other options, but for those that made no difference."""

import json

from datamodules import CLAHE, NYUv2DataModule
from datamodules.storage.store import INDEX_FILE, StorePlan, write_store
from tests.helpers.tiny_nyu import write_tiny_nyu


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
