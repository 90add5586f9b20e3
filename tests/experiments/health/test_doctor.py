"""`segdepth doctor` on machines on which one thing is wrong."""

import importlib
import importlib.metadata
import json
import resource
import shutil
import subprocess
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from packaging.version import Version

from experiments.health import Section, bounded, hardware, machine, software
from experiments.health import doctor as doctor_module
from experiments.health import folders as storage
from experiments.health.doctor import as_json, examine
from tests.helpers.commands import command
from tests.helpers.tiny_nyu import write_tiny_nyu

doctor = command("doctor")


Usage = namedtuple("Usage", ["total", "used", "free"])


@pytest.fixture(autouse=True)
def healthy(tmp_path, monkeypatch):
    """An empty folder of an ordinary machine: no GPU, no key, no data."""
    for name in ("DATA_ROOT", "WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("SEGDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hardware, "_driver_list", list)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def only(problems, *, stops):
    """The one problem that there is."""
    (problem,) = problems
    assert problem.stops == stops
    assert problem.fix
    assert "\n" not in problem.what + problem.fix
    return f"{problem.what} -> {problem.fix}"


def test_facts_of_this_machine(capsys, monkeypatch):
    monkeypatch.setattr(storage, "weights", lambda: Section("weights"))
    sections = {section.name: section for section in examine(Path("runs"))}
    assert list(sections) == ["environment", "machine", "GPU", "folders", "data", "weights", "W&B", "git"]
    assert sections["environment"].facts["torch"].startswith(importlib.metadata.version("torch"))
    assert "usable" in sections["machine"].facts["cores"]
    assert "gloo" in sections["GPU"].facts["several processes"]
    assert sections["data"].facts == {"DATA_ROOT": "not set: experiments take Rooms, the built-in set"}
    assert "no key" in sections["W&B"].facts["runs are"]
    assert not [problem for name in ("environment", "data", "W&B") for problem in sections[name].problems]


def test_json_and_exit_status(capsys, monkeypatch):
    section = Section("machine", {"cores": "2"})
    monkeypatch.setattr(doctor_module, "examine", lambda runs: [section])
    doctor([])
    assert "nothing is wrong" in capsys.readouterr().out
    section.warn("few [cores]", "buy")
    doctor(["--json"])
    report = json.loads(capsys.readouterr().out)
    assert report == {
        "ok": True,
        "problems": [{"section": "machine", "what": "few [cores]", "fix": "buy", "stops": False}],
        "facts": {"machine": {"cores": "2"}},
    }
    section.stop("no disk", "find one")
    assert not as_json([section])["ok"]
    with pytest.raises(SystemExit) as caught:
        doctor([])
    assert caught.value.code == 1
    output = capsys.readouterr().out.splitlines()
    assert output[2:4] == ["stops    no disk", "           -> find one"]  # before the warning
    assert "few [cores]" in output[4]
    assert output[-1] == "1 problem(s) would stop an experiment, 1 would not"


def test_a_look_that_fails_leaves_the_others(monkeypatch):
    def broken(*_):
        raise ImportError("libfoo.so: cannot open shared object file")

    monkeypatch.setattr(storage, "weights", broken)
    monkeypatch.setattr(hardware, "gpus", broken)
    sections = {section.name: section for section in examine(Path("runs"))}
    assert "libfoo.so" in only(sections["weights"].problems, stops=False)
    assert "libfoo.so" in only(sections["GPU"].problems, stops=False)
    assert sections["machine"].facts


def test_a_missing_system_library_names_its_packages(monkeypatch):
    load = importlib.import_module

    def without_gl(name, *rest):
        if name == "cv2":
            raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
        return load(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without_gl)
    assert "libGL.so.1" in (problem := only(software.environment().problems, stops=True))
    assert "apt-get install libgl1" in problem


@pytest.mark.parametrize(
    ("installed", "stops", "words"),
    [
        (None, True, "timm is not installed"),
        (Version("0.9"), True, "timm 0.9 does not fit: need <1.1,>=1.0.31"),
        (Version("1.1"), True, "timm 1.1 does not fit: need <1.1,>=1.0.31"),
        (Version("1.0.999"), False, "timm 1.0.999 in place of"),
        (Version("1.0.31+local"), None, ""),
    ],
)
def test_package_versions(monkeypatch, installed, stops, words):
    version = software._version
    monkeypatch.setattr(software, "_version", lambda name: installed if name == "timm" else version(name))
    monkeypatch.setattr(software, "_importable", lambda name: False)
    problems = [problem for problem in software.environment().problems if problem.stops or not stops]
    if stops is None:
        assert not problems
    else:
        assert words in only(problems, stops=stops)


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(software.platform, "python_version", lambda: "3.9.1")
    assert "Python 3.9.1 is too old: need >=3.11" in only(software.environment().problems, stops=True)


@pytest.mark.parametrize(("free", "stops"), [(2**20, True), (2**26, False)])
def test_little_shared_memory(monkeypatch, free, stops):
    monkeypatch.setattr(hardware.shutil, "disk_usage", lambda folder: Usage(2**26, 2**26 - free, free))
    monkeypatch.setattr(hardware, "_memory", lambda: (2**34, 2**33))
    assert "--shm-size" in only(hardware.cpu().problems, stops=stops)


def test_few_open_files_and_little_memory(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 4096))
    monkeypatch.setattr(hardware, "_memory", lambda: (2**34, 2**30))
    memory, files = hardware.cpu().problems
    assert "1.0 GiB of memory" in memory.what
    assert "256 files" in files.what
    assert files.fix == "ulimit -n 4096"


def test_limits_of_a_container(tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n")
    monkeypatch.setattr(hardware, "MEMORY", meminfo)
    monkeypatch.setattr(hardware, "MEMORY_LIMIT", tmp_path / "memory.max")
    assert hardware._memory() == (2**33, 2**32)
    (tmp_path / "memory.max").write_text("max\n")
    assert hardware._memory() == (2**33, 2**32)
    (tmp_path / "memory.max").write_text(f"{2**31}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    assert hardware._memory() == (2**31, 2**30)
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(machine, "CPU_QUOTA", quota)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)))
    assert machine.usable_cores() == 8
    for text, cores in [("max 100000", 8), ("250000 100000", 3), ("50000 100000", 1), ("9900000 100000", 8)]:
        quota.write_text(text)
        assert machine.usable_cores() == cores


def test_gpus_that_torch_cannot_use(monkeypatch):
    row = dict(zip(hardware._QUERY, ("0", "H200", "470.1", "143771 MiB", "143000 MiB", "Enabled"), strict=True))
    monkeypatch.setattr(hardware, "_driver_list", lambda: [row])
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    section = hardware.gpus()
    assert section.facts["GPU 0"] == "H200, 143000 MiB free of 143771 MiB, driver 470.1, MIG"
    assert "1 GPU(s) that torch cannot use" in only(section.problems, stops=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # hidden on purpose
    assert not hardware.gpus().problems


def test_a_gpu_that_does_not_compute(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.ones", lambda *_, **__: raise_(RuntimeError("CUDA error: no kernel image\nmore")))
    assert "cuda:0 cannot compute (CUDA error: no kernel image)" in only(hardware.gpus().problems, stops=True)


def test_the_driver_is_asked_only_so_long(monkeypatch):
    monkeypatch.undo()

    def run(command, **options):
        assert options["timeout"] <= 5
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    assert hardware._driver_list() == []
    text = "0, NVIDIA H200, 580.1, 143771 MiB, 143000 MiB, Disabled\n1, odd\n"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, text))
    assert [gpu["name"] for gpu in hardware._driver_list()] == ["NVIDIA H200"]


@pytest.mark.parametrize(("free", "stops"), [(2**20, True), (2**31, False)])
def test_a_full_disk(monkeypatch, free, stops):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 2**40 - free, free))
    problems = storage.folders(Path("runs")).problems
    assert [problem.stops for problem in problems] == [stops] * 3
    assert "--run.root" in problems[0].fix
    assert "SEGDEPTH_CACHE" in problems[1].fix


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch):
    write = storage._try_writing

    def refuse(folder):
        if folder == tmp_path / "cache":
            raise PermissionError(13, "Permission denied")
        write(folder)

    monkeypatch.setattr(storage, "_try_writing", refuse)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 0, 2**40))
    assert "cache cannot be written (Permission denied) -> set SEGDEPTH_CACHE" in only(
        storage.folders(Path("runs")).problems, stops=True
    )
    (tmp_path / "cache").write_text("a file in its place")
    monkeypatch.setattr(storage, "_try_writing", write)
    assert "cache cannot be written" in only(storage.folders(Path("runs")).problems, stops=True)


def test_looking_makes_no_folders(tmp_path):
    examine(Path("runs"))
    assert not (tmp_path / "cache").exists()
    assert not (tmp_path / "runs").exists()


def test_data(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    assert "is not a folder" in only(storage.data().problems, stops=True)
    (tmp_path / "data").mkdir()
    assert "lacks nyu_depth_v2_labeled.mat, splits.mat" in only(storage.data().problems, stops=True)
    write_tiny_nyu(tmp_path / "data/nyuv2")
    section = storage.data()
    assert section.facts["nyuv2"] == "labeled 8 frames"
    assert not section.problems
    (tmp_path / "data/nyuv2/nyu_depth_v2_labeled.mat").write_bytes(b"cut")
    assert "segdepth data verify" in only(storage.data().problems, stops=True)


def test_a_drive_that_hangs_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    release = threading.Event()
    monkeypatch.setattr(Path, "is_dir", lambda path: release.wait(60))
    monkeypatch.setattr(storage, "bounded", lambda look, patience=0: bounded(look, 0.05))
    assert "no answer within" in only(storage.data().problems, stops=True)
    release.set()


def test_bounded_passes_on_what_comes_out():
    assert bounded(lambda: None) is None
    with pytest.raises(KeyError):
        bounded(lambda: {}["x"])


def test_wandb(tmp_path, monkeypatch):
    parts = [tmp_path / f"runs/shed/a/wandb/offline-run-{number}" for number in (1, 2)]
    for part in parts:
        part.mkdir(parents=True)
    (parts[0] / "run-1.wandb.synced").touch()
    section = storage.tracking(Path("runs"))
    assert not section.problems  # without a key, runs are meant to wait
    assert section.facts["not sent"].startswith("1 offline")
    secret = "s3cret" * 10
    (tmp_path / "netrc").write_text(f"machine api.wandb.ai login user password {secret}\n")
    section = storage.tracking(Path("runs"))
    assert section.facts["runs are"] == "online (a key is set)"
    assert "1 offline part(s) were never sent" in only(section.problems, stops=False)
    assert secret not in json.dumps(as_json([section]))
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert storage.tracking(Path("runs")).facts["runs are"] == "offline (a key is set)"
    monkeypatch.setenv("WANDB_API_KEY", "short")
    assert "5 characters" in only(storage.tracking(Path("runs")).problems, stops=False)
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("WANDB_MODE", "onlin")
    assert "WANDB_MODE=onlin" in only(storage.tracking(Path("runs")).problems, stops=True)


def test_weights(tmp_path, monkeypatch):
    cached = {"timm/resnet50.a1_in1k"}
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        lambda hub, file: str(tmp_path) if hub in cached and file == "model.safetensors" else None,
    )
    section = storage.weights()
    assert section.facts["resnet50.a1_in1k"] == "cached"
    assert not [problem for problem in section.problems if "resnet50.a1_in1k" in problem.what]
    missing = only([problem for problem in section.problems if "vit_small_patch16_384" in problem.what], stops=False)
    assert "dpt_hybrid" in missing
    assert "shed_hybrid" in missing


def test_an_installed_package_knows_its_own_ranges(tmp_path, monkeypatch):
    monkeypatch.setattr(software, "REPOSITORY", tmp_path)  # neither pyproject.toml nor requirements.lock
    requirements = ["torch>=999", "ruff>=999; extra == 'dev'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requirements)
    monkeypatch.setattr(importlib.metadata, "metadata", lambda name: {"Requires-Python": ">=3.11"})
    assert "need >=999" in only(software.environment().problems, stops=True)


def test_outside_git(tmp_path, monkeypatch):
    monkeypatch.setattr(software, "REPOSITORY", tmp_path)
    assert "not a git checkout" in only(software.git().problems, stops=False)


def raise_(error):
    raise error
