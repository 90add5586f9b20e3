"""Rooms in the format of the fused set: rendered once, both versions, and called by its own name."""

from datamodules import RegionSupportTarget, RoomsFusedDataModule
from datamodules.rooms import RoomsParameters


def test_both_versions_are_rendered_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path))
    parameters = RoomsParameters(
        height=32, width=48, train_scenes=4, test_scenes=1, frames_per_scene=2, supersampling=1
    )  # fmt: skip

    def make():
        made = RoomsFusedDataModule(
            rooms=parameters, crop=(32, 48), eval_size=None, num_workers=0, test_share=0.25,
            frame_maps=[RegionSupportTarget()],
        )  # fmt: skip
        made.prepare_data()
        made.setup()
        return made

    made = make()
    assert made.name == "rooms_nyu_fused"
    assert len(made.reader) == 2 * (5 + 2)
    assert len({made.reader.scenes[position] for position in range(len(made.reader))}) == 5 + 2  # no name twice
    assert {"region_support", "regions", "semantics"} <= made.provides
    sample = made.train_set[0]
    assert (sample["region_support"] > 0).any()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("rooms-*/*.mat")}
    assert len(written) == 5  # v2: labels, split, mapping; v1: labels, mapping
    make()
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert not list(tmp_path.glob("*.part-*"))
