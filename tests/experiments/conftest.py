import pytest
import yaml

from experiments.results.run_folder import RUN_ENVIRONMENT
from tests.helpers.tiny_nyu import write_tiny_nyu

#: The smallest network that is still SHED or DPT-Hybrid, on frames of 48x64.
TINY = {
    "base": ["protocol/rooms"],
    "data": {
        "init_args": {
            "resize": None, "crop": [48, 48], "eval_size": None, "val_scenes": 0.5, "color_jitter": None,
            "batch_size": 2, "eval_batch_size": 2, "num_workers": 0,
            "variants": {"squeezed": None},
        }
    },
    "model": {"init_args": {"width": 8}},
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "devices": 1, "check_val_every_n_epoch": 1},
    "profiles": {"quick": {}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch):
    """Lines of tables in which every column has room; pytest-xdist sets a narrower terminal."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """An empty folder to work in, with tiny data and the configuration `tiny.yaml`."""
    write_tiny_nyu(tmp_path / "data" / "nyuv2")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv(RUN_ENVIRONMENT, "")
    monkeypatch.delenv(RUN_ENVIRONMENT)
    return tmp_path


def tiny(name):
    """Arguments that run an experiment at its smallest."""
    segments = ["--model.init_args.segments", "[6, 4, 2]"] if name == "shed_hybrid" else []
    return ["--config", name, "--config", "profile/quick", "--config", "tiny.yaml", *segments]
