"""Sweep files: what they expand to, what they refuse, and that W&B's own code makes the same command lines of them."""

import itertools
import queue
import statistics

import pytest
import yaml
from wandb import wandb_agent
from wandb.sdk.launch.sweeps.utils import load_sweep_config

from experiments.config.compose import ConfigError, compose
from experiments.grid.jobs import make_jobs
from experiments.grid.search_space import SWEEPS, find_sweep, flags, read_sweep
from experiments.judging.claims_file import read_claims

COMMAND = ["${env}", "${program}", "exp", "--config", "shed_hybrid", "${args}"]


@pytest.fixture
def write(tmp_path):
    def write_file(**content):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump({"program": "segdepth", "method": "grid", "command": COMMAND, **content}))
        return path

    return write_file


def test_grid_is_the_product_in_the_order_of_the_file(write):
    values = {"b": [2, 1], "a": ["x", "y", "z"], "c": [True, False]}
    path = write(parameters={name: {"values": list(listed)} for name, listed in values.items()})
    names = list(yaml.safe_load(path.read_text())["parameters"])
    expected = [dict(zip(names, row, strict=True)) for row in itertools.product(*(values[name] for name in names))]
    assert read_sweep(path).points() == expected


def test_constants_ranges_lists_and_nested_parameters(write):
    path = write(
        parameters={
            "model": {"parameters": {"init_args": {"parameters": {"segments": {"values": [[4, 2], [2]]}}}}},
            "seed_everything": {"min": 3, "max": 5},
            "trainer.max_epochs": {"value": 1},
        }
    )
    points = read_sweep(path).points()
    assert len(points) == 6
    assert flags(points[0]) == [
        "--model.init_args.segments=[4, 2]", "--seed_everything=3", "--trainer.max_epochs=1",
    ]  # fmt: skip


def test_repeated_values_are_one_point_and_count_cuts(write):
    path = write(parameters={"a": {"values": [1, 1, 2, 3]}}, run_cap=2)
    assert read_sweep(path).points() == [{"a": 1}, {"a": 2}]
    assert read_sweep(path).points(count=9) == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert read_sweep(path).points(count=1) == [{"a": 1}]


def test_random_is_repeatable_and_stays_within_bounds(write):
    path = write(
        method="random",
        parameters={
            "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1},
            "width": {"min": 8, "max": 16},
            "drop": {"min": 0.0, "max": 0.5},
            "skip": {"values": ["a", "b"], "probabilities": [1.0, 0.0]},
        },
    )
    sweep = read_sweep(path)
    points = sweep.points(400, seed=1)
    assert points == sweep.points(400, seed=1)
    assert points != sweep.points(400, seed=2)
    assert points[:7] == sweep.points(7, seed=1)  # more points later keep the earlier ones
    assert {point["skip"] for point in points} == {"a"}
    assert {point["width"] for point in points} == set(range(8, 17))
    assert all(0 <= point["drop"] <= 0.5 and 1e-5 <= point["lr"] <= 1e-1 for point in points)
    assert 3e-4 < statistics.median(point["lr"] for point in points) < 3e-3  # uniform in the logarithm
    with pytest.raises(ConfigError, match="--count"):
        sweep.points()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"method": "bayes", "parameters": {"a": {"values": [1]}}}, "wandb agent"),
        ({"method": "hill", "parameters": {"a": {"values": [1]}}}, "`method`"),
        ({"parameters": {}}, "`parameters`"),
        ({"parameters": {"a": [1, 2]}}, "`a`"),
        ({"parameters": {"a": {"min": 0.0, "max": 1.0}}}, "`a`: a grid needs `values"),
        ({"parameters": {"a": {"values": [None, [1]]}}}, "in quotes"),
        ({"parameters": {"a": {"value": None}}}, "in quotes"),
        ({"parameters": {"a": {"values": []}}}, "`a`"),
        ({"parameters": {"a": {"values": [1]}}, "metric": {"name": "x", "goal": "min"}}, "`metric.goal`"),
        ({"parameters": {"a": {"values": [1]}}, "run_cap": 0}, "`run_cap`"),
        ({"parameters": {"a": {"values": [1]}}, "command": ["${program}", "exp"]}, "`command`"),
        ({"method": "random", "run_cap": 1, "parameters": {"a": {"min": 0, "max": 1, "distribution": "beta"}}}, "beta"),
        ({"method": "random", "run_cap": 1, "parameters": {"a": {"min": 2, "max": 1}}}, "`a`"),
        ({"method": "random", "run_cap": 1, "parameters": {"a": {"min": "1e-5", "max": 1}}}, "`min: 1e-5` is text"),
    ],
)
def test_what_cannot_be_searched_is_one_line(write, content, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_sweep(write(**content)).points()
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_sweep_names_those_that_there_are(tmp_path):
    with pytest.raises(ConfigError, match=r"no sweep `shed_segment`; did you mean `shed_segments`"):
        find_sweep("shed_segment")
    with pytest.raises(ConfigError, match=r"there are hybrid_seeds, mti_net_ablations, .*, or name a file"):
        find_sweep("xyzzy")
    broken = tmp_path / "broken.yaml"
    broken.write_text("method: [")
    with pytest.raises(ConfigError, match=r"broken\.yaml: line \d is not valid YAML"):
        read_sweep(broken)
    broken.write_bytes(b"method: d\xe9p\xf4t")
    for read in (read_sweep, read_claims):
        with pytest.raises(ConfigError, match=r"broken\.yaml: line 1 is not UTF-8 text"):
            read(broken)


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_wandb_agent_starts_the_same_runs(path, monkeypatch, tmp_path):
    """W&B's agent, given a point by the server, starts `segdepth` with what the local runner gives it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_ROOT", "/data")
    for name in ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH", "WANDB_DIR"):
        monkeypatch.setenv(name, "x")  # the agent sets them
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    started = []

    class Process:
        def __init__(self, command, env, forward_signals):
            started.append(command)

    monkeypatch.setattr(wandb_agent, "AgentProcess", Process)
    config = load_sweep_config(str(path))
    agent = wandb_agent.Agent(api=None, queue=queue.Queue(), sweep_id="x")
    agent._sweep_command = config["command"]
    sweep = read_sweep(path)
    points = sweep.points()
    jobs = make_jobs(sweep, points, tmp_path)
    for point, job in zip(points, jobs, strict=True):
        args = {name: {"value": value} for name, value in point.items()}
        agent._command_run({"run_id": "r", "program": config["program"], "args": args})
        env, program, *words = started.pop()
        assert (env, program) == ("/usr/bin/env", "segdepth")
        picked = f"--experiment={point.get('experiment')}"
        local = list(job.arguments)
        if "experiment" in point:
            assert local[1:3] == ["--config", point["experiment"]]
            local = ["exp", picked, *local[3:]]
        assert sorted(words) == sorted(local)
    assert config["method"] in ("grid", "random")
    assert config["metric"]["name"] == "val/abs_rel"
    assert len({job.folder for job in jobs}) == len(jobs)


def test_superpixel_configurations_reach_the_network(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    for size in (8, 12, 16):
        config = compose(["shed_hybrid", f"superpixels/{size}"]).config
        assert config["model"]["init_args"]["superpixel_size"] == size
        assert config["data"]["init_args"]["superpixels"]["init_args"]["size"] == size
