"""Flags reach every interpolated key of every experiment: that of its source changes it, its own wins."""

import re
from functools import reduce

import pytest

from experiments.config.compose import _expand_all, compose, experiment_names
from experiments.config.config_layers import Layers

REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def interpolated(node, key=""):
    """Dotted keys and the keys that they refer to."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from interpolated(value, f"{key}.{name}" if key else name)
    elif isinstance(node, str):
        yield from ((key, source) for source in REFERENCE.findall(node))


def value(config, key):
    return reduce(lambda node, part: node[part], key.split("."), config)


def flags(values):
    """Flags of both forms, and with `init_args` as well as without."""
    for number, (key, set_) in enumerate(values.items()):
        key = key.replace(".init_args", "") if number % 2 else key
        yield from [f"--{key}", str(set_)] if number % 3 else [f"--{key}={set_}"]


#: Of each method one, among the fast tests.
FAST = ("cast_small", "depth_anything_v2_small_hypersim", "mti_net_guided", "region_support_joined", "shed_hybrid")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in experiment_names()]
)
@pytest.mark.parametrize("more", [[], ["data/rooms"]], ids=["own", "rooms"])
def test_every_interpolated_key(name, more, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    layers = Layers()
    for file in _expand_all([name, *more], {}):
        layers.add(file)
    found = dict(interpolated(layers.merged))
    assert "oc.env" not in str(found)
    sources = {source: 37 + number for number, source in enumerate(dict.fromkeys(found.values()))}
    changed = compose([name, *more], list(flags(sources))).config
    for key, source in found.items():
        assert value(changed, key) == sources[source], key
    own = {key: 91 + number for number, key in enumerate(found)}
    overridden = compose([name, *more], list(flags({**sources, **own}))).config
    for key, set_ in own.items():
        assert value(overridden, key) == set_, key


def test_a_section_that_is_replaced_whole_changes_what_refers_into_it(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    grid = "{class_path: datamodules.GridSuperpixels, init_args: {size: 12}}"
    for flag in ("--data.init_args.superpixels", "--data.superpixels"):
        assert compose(["shed_hybrid"], [flag, grid]).config["model"]["init_args"]["superpixel_size"] == 12
