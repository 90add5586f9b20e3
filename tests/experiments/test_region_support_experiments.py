"""Region Support Network's experiments on Rooms: the fused format, and stages that are short in the quick profile."""

import pytest

from experiments.compose import compose, experiment_names
from experiments.published import read_published, select_tables
from experiments.sweep_points import find_sweep, read_sweep

NAMES = [name for name in experiment_names() if name.startswith("region_support_")]


@pytest.mark.parametrize("profile", ["quick", "claims"])
@pytest.mark.parametrize("name", NAMES)
def test_on_rooms(name, profile):
    config = compose([name, "data/rooms", f"profile/{profile}"]).config
    assert config["data"]["class_path"] == "datamodules.RoomsFusedDataModule"
    model = config["model"]["init_args"]
    trained = [stage["name"] for stage in model["stages"] if stage["epochs"]]
    epochs = model.get("stage_epochs", {})
    assert list(epochs) == trained
    assert sum(epochs.values()) <= 9
    assert config["trainer"]["max_epochs"] == -1


def test_every_row_has_an_experiment_and_is_in_the_sweep():
    tables = select_tables(read_published(), ["region_support"])
    rows = {row.experiment for table in tables for row in table.rows if row.experiment}
    points = read_sweep(find_sweep("region_support_ablations")).points()
    assert rows == set(NAMES) == {point["experiment"] for point in points}
