from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser

from datamodules import DepthDataModule
from experiments.config.compose import ConfigError, compose, experiment_names
from tests.helpers.own_frames import describe


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_(name, **content):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return str(path)

    return write_


def test_later_files_override_earlier_ones_and_what_they_build_on(write):
    write("ground", a=1, b={"c": 1, "d": 1})
    first = write("first", base=["ground"], b={"c": 2})
    second = write("second", b={"d": 3})
    composition = compose([first, second])
    assert composition.config == {"a": 1, "b": {"c": 2, "d": 3}}
    assert composition.experiment == "first"
    assert composition.sources == {"a": "ground.yaml", "b": "second.yaml", "b.c": "first.yaml", "b.d": "second.yaml"}


def test_lists_are_replaced_and_interpolations_resolved_last(write):
    first = write("first", values=[1, 2, 3], x="${y.z}", y={"z": 1})
    assert compose([first, write("second", values=[4], y={"z": 2})]).config == {"values": [4], "x": 2, "y": {"z": 2}}


def test_a_profile_applies_the_sections_of_the_files_before_it(write):
    experiment = write("experiment", size=384, depth=1, profiles={"quick": {"depth": 2}, "tiny": {"depth": 9}})
    quick = write("quick", profile="quick", size=128, depth=3)
    own = write("own", depth=4)
    assert compose([experiment]).config == {"size": 384, "depth": 1}
    assert compose([experiment, quick]).config == {"size": 128, "depth": 2}
    assert compose([experiment, quick, own]).config == {"size": 128, "depth": 4}
    assert compose([experiment, quick]).profile == "quick"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("shed_hibrid", "did you mean `shed_hybrid`"),
        ("shed_hyb", "did you mean `shed_hybrid`"),
        ("data/nyu2", "did you mean `data/nyuv2`"),
        ("profile/quik", r"did you mean `profile/quick`\?$"),
        ("xyzzy", "`make` lists all$"),
    ],
)
def test_unknown_configuration_names_the_nearest(name, message):
    with pytest.raises(ConfigError, match=f"no experiment or configuration `{name}`; {message}") as error:
        compose([name])
    assert len(str(error.value)) < 150  # not all 68 names


def test_broken_yaml_names_file_and_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(ConfigError, match=r"broken\.yaml: line 3 is not valid YAML"):
        compose([str(path)])


def test_a_file_that_is_no_mapping(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="holds a list"):
        compose([str(path)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: d\xe9p\xf4t\n", r"mine\.yaml: line 2 is not UTF-8"),
        (b"a: 1\nmodel: [1]\n", r"mine\.yaml:2: key `model`: expected a mapping, got \[1\]"),
        (b"model: 3\n", r"mine\.yaml:1: key `model`: expected a mapping, got 3"),
        (b"base: [1]\n", r"mine\.yaml:1: key `base`: expected a list of names"),
        (b"model:\n  init_args: [1]\n", r"mine\.yaml:2: key `model.init_args` is a list, but a mapping in .*:\d+"),
        (b"a: 1\nb: 2\na: 3\n", r"mine\.yaml:3: key `a` stands in line 1 already"),
        (b"run: {name: 2026-01-02}\n", r"mine\.yaml:1: YAML takes `2026-01-02` for a date; put it in quotes"),
        (b"a: 1\nb: [2026-01-02]\n", r"mine\.yaml:2: YAML takes `2026-01-02` for a date"),
        (b"trainer: {max_time: 12:30:00}\n", r"mine\.yaml:1: YAML takes `12:30:00` for a number in base 60"),
        (b"profile: [quick]\n", r"mine\.yaml:1: key `profile`: expected a name"),
        (b"a: 1\nprofile: qick\n", r"mine\.yaml:2: key `profile`: no profile `qick`; did you mean `quick`"),
        (b"a: &a {b: *a}\n", r"mine\.yaml:1: key `a.b`: an anchor that holds itself"),
    ],
)
def test_files_of_the_wrong_shape(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=message) as error:
        compose(["data/rooms", "dpt_hybrid", "data/rooms", str(path)])
    assert "\n" not in str(error.value)


def test_single_names_need_no_brackets(write, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    assert compose([write("one", base="dpt_hybrid")]).config == compose(["dpt_hybrid"]).config
    (tested,) = compose([write("two", base="data/hypersim", tests="data/nyuv2")]).config["data"]["init_args"][
        "extra_tests"
    ]
    assert tested["class_path"] == "datamodules.NYUv2DataModule"


def test_what_a_profile_section_sets_is_named_by_where_it_stands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("a: 1\nprofiles:\n  small:\n    b: {c: 1}\n")
    (tmp_path / "small.yaml").write_text("profile: small\n")
    composition = compose(["mine.yaml", "small.yaml"])
    assert composition.place("b.c") == "mine.yaml:4"


def test_circular_base(write):
    write("a", base=["b"])
    b = write("b", base=["a"])
    with pytest.raises(ConfigError, match="includes itself"):
        compose([b])


def test_interpolations_see_flags(monkeypatch):
    """Model and protocol follow the data's range, by whatever spelling it is set."""
    for flags in (["--data.init_args.max_depth", "5"], ["--data.max_depth=5"]):
        arguments = compose(["dpt_hybrid", "data/rooms"], flags).config["model"]["init_args"]
        assert arguments["max_depth"] == arguments["protocol"]["max_depth"] == 5
    size = ["--data.init_args.superpixels.init_args.size", "8"]
    assert compose(["shed_hybrid", "data/rooms"], size).config["model"]["init_args"]["superpixel_size"] == 8
    whole = ["--data.init_args.superpixels", "{class_path: datamodules.GridSuperpixels, init_args: {size: 4}}"]
    assert compose(["shed_hybrid", "data/rooms"], whole).config["model"]["init_args"]["superpixel_size"] == 4
    # what a flag takes away is for the parser, or the method, to miss
    assert compose(["shed_hybrid", "data/rooms"], ["--data.init_args.superpixels", "null"])


def test_flags_are_seen_not_merged():
    """The parser lays them over the configuration, by its own rules."""
    composition = compose(["dpt_hybrid", "data/rooms"], ["--data.init_args.max_depth", "5", "--trainer.max_epochs=2"])
    assert composition.config["data"]["init_args"]["max_depth"] == 10
    assert composition.config["trainer"]["max_epochs"] == 50
    assert composition.flags == ("data.init_args.max_depth", "trainer.max_epochs")
    assert composition.place("data.init_args.max_depth") == "command line"


def test_a_root_on_the_command_line_needs_no_environment(monkeypatch):
    monkeypatch.delenv("DATA_ROOT", raising=False)
    for flags in (["--data.init_args.root", "here"], ["--data.root=here"]):
        assert compose(["dpt_hybrid"], flags).config["data"]["init_args"]["root"] == "here"
    with pytest.raises(ConfigError, match=r"nyuv2_oc\.yaml:7: key `data.init_args.boundaries`: DATA_ROOT is not set"):
        compose(["dpt_hybrid", "data/nyuv2_oc"], ["--data.init_args.root", "here"])


def test_missing_data_root_says_what_to_do(monkeypatch):
    monkeypatch.delenv("DATA_ROOT", raising=False)
    with pytest.raises(ConfigError, match=r"nyuv2\.yaml:10: key `data.init_args.root`: DATA_ROOT is not.*data/rooms"):
        compose(["shed_hybrid"])
    assert compose(["shed_hybrid", "data/rooms"]).config["data"]["init_args"]["root"] is None


@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_is_complete_by_itself(name, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    composition = compose([name])
    assert composition.profile == "paper"
    assert composition.config["data"]["init_args"]["root"].startswith("/data/")
    assert composition.config["model"]["init_args"]["pretrained"] is True
    assert composition.config["model"]["init_args"]["protocol"]["name"]


@pytest.mark.parametrize("name", [name for name in experiment_names() if name.startswith(("shed", "dpt"))])
def test_shed_and_its_baseline_are_trained_alike(name, monkeypatch):
    """SHED, section 4.1."""
    monkeypatch.setenv("DATA_ROOT", "/data")
    config = compose([name]).config
    hypersim = "_hypersim" in name
    assert config["data"]["init_args"]["root"] == ("/data/hypersim" if hypersim else "/data/nyuv2")
    assert config["model"]["init_args"]["protocol"]["name"] == ("hypersim" if hypersim else "nyu_eigen")
    assert config["trainer"]["max_epochs"] == 50
    assert config["data"]["init_args"]["batch_size"] == 16
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 5e-5


@pytest.mark.parametrize("name", experiment_names())
def test_quick_on_rooms_needs_no_weights_and_says_rooms(name):
    composition = compose([name, "data/rooms", "profile/quick"])
    assert composition.profile == "quick"
    assert composition.config["model"]["init_args"]["pretrained"] is False
    # Semantic-MD keeps its own protocol on Rooms in HyperSim's format; the set is called `rooms_hypersim`
    protocol = "hypersim_semantic_md" if name.startswith("semantic_md") else "rooms"
    if name.startswith("semantic_md") and name.endswith("_as_printed"):
        protocol = "hypersim_semantic_md_as_printed"
    assert composition.config["model"]["init_args"]["protocol"]["name"] == protocol
    assert composition.config["data"]["class_path"].startswith("datamodules.Rooms")


def test_another_data_set_forgets_what_only_the_first_one_has(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    composition = compose(["shed_hybrid", "data/hypersim_semantic_md", "data/rooms"])
    arguments = composition.config["data"]["init_args"]
    assert not {"frames", "tone_map", "cameras"} & arguments.keys()
    assert arguments["superpixels"]["class_path"] == "datamodules.SeedsSuperpixels"  # what both take is kept
    assert composition.config["model"]["init_args"]["protocol"]["name"] == "rooms"


def test_tests_bring_their_data_and_protocols(write, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    first = write("first", base=["data/hypersim"], tests=["data/nyuv2", "data/nyuv2_oc"])
    composition = compose([first])
    nyuv2, annotated = composition.config["data"]["init_args"]["extra_tests"]
    assert nyuv2 == compose(["data/nyuv2"]).config["data"]
    assert annotated["class_path"] == "datamodules.NYUv2OCDataModule"
    arguments = composition.config["model"]["init_args"]
    assert arguments["protocol"]["name"] == "hypersim"
    assert [protocol["name"] for protocol in arguments["test_protocols"]] == ["nyu_eigen", "nyu_p2orm"]
    # as with any list, a later one takes its place
    assert "extra_tests" not in compose([first, "data/rooms"]).config["data"]["init_args"]
    assert "tests" not in compose([first, "data/rooms"]).config
    (only,) = compose([first, "test_on/nyuv2_oc"]).config["data"]["init_args"]["extra_tests"]
    assert only == annotated


def test_tests_that_are_no_data_are_refused(write):
    first = write("first", tests=["profile/quick"])
    with pytest.raises(ConfigError, match=r"first\.yaml: key `tests`: `profile/quick` configures no data set"):
        compose([first])


def test_a_counterpart_is_taken_in_place_of_a_later_file(write):
    write("usual", a=1)
    own = write("own", a=2, b=2)
    first = write("first", a=0, instead={"usual": "own"})
    assert compose([first, "usual"]).config == {"a": 2, "b": 2}
    assert compose([first, "usual.yaml"]).config == {"a": 2, "b": 2}
    assert compose([first, own]).config == {"a": 2, "b": 2}
    assert compose(["usual", first]).config == {"a": 0}  # named earlier, it stays
    second = write("second", base=["usual"])  # as does what a file builds on
    assert compose([first, second]).config == {"a": 1}
    assert compose([write("heir", base=["first"]), "usual"]).config == {"a": 2, "b": 2}


def test_cross_domain_experiments_have_both_sets_on_rooms(monkeypatch):
    pair = ("shed_hybrid_hypersim", "depth_anything_v2_small_hypersim")
    for name in (*pair, *(f"{name}_matched" for name in pair)):
        data = compose([name, "data/rooms", "profile/quick"]).config["data"]
        assert data["class_path"] == "datamodules.RoomsHyperSimDataModule"
        (zero_shot,) = data["init_args"]["extra_tests"]
        assert zero_shot["class_path"] == "datamodules.RoomsDataModule"
        assert data["init_args"]["rooms"]["seed"] != zero_shot["init_args"].get("rooms", {"seed": 0})["seed"]
        monkeypatch.setenv("DATA_ROOT", "/data")
        arguments = compose([name]).config["model"]["init_args"]
        assert [protocol["name"] for protocol in arguments["test_protocols"]] == ["nyu_eigen"]


#: What base/hypersim_matched.yaml says is each method's own, besides its class.
OWN_TO_THE_METHOD = {
    "model.init_args": {
        "backbone", "width", "segments", "superpixel_size", "depth_param", "taps", "channels", "optimizer", "lr_scale",
        "schedule",
    },
    "data.init_args": {"resize", "crop", "eval_size", "superpixels"},
}  # fmt: skip


@pytest.mark.parametrize("later", [(), ("data/rooms", "profile/quick")], ids=["paper", "quick"])
def test_the_matched_pair_sees_the_same_supervision(later, monkeypatch):
    """SHED, section 4.1: "an identical amount of metric supervision"."""
    monkeypatch.setenv("DATA_ROOT", "/data")
    names = ("shed_hybrid_hypersim_matched", "depth_anything_v2_small_hypersim_matched")
    first, second = (compose([name, *later]).config for name in names)
    assert first["model"].pop("class_path") != second["model"].pop("class_path")
    for config in (first, second):
        for place, keys in OWN_TO_THE_METHOD.items():
            part, arguments = place.split(".")
            for key in keys:
                config[part][arguments].pop(key, None)
    assert first == second
    shared = first["data"]["init_args"]
    if not later:
        wanted = {"cameras": "csv", "color": "hdr", "frames": "official", "batch_size": 16, "max_depth": 20.0}
        assert {key: shared[key] for key in wanted} == wanted
        assert first["trainer"]["max_epochs"] == 50
        assert first["model"]["init_args"]["protocol"]["align_corners"] is False


def test_the_matched_pair_sees_as_much_of_a_frame(monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    for name, edge in (("shed_hybrid_hypersim_matched", 16), ("depth_anything_v2_small_hypersim_matched", 14)):
        data = compose([name]).config["data"]["init_args"]
        assert data["crop"][0] / data["resize"][0] == pytest.approx(0.8)
        assert data["crop"][1] / data["resize"][1] == pytest.approx(0.6, abs=0.005)
        assert data["eval_size"] == data["crop"]
        assert {size % edge for key in ("crop", "resize", "eval_size") for size in data[key]} == {0}


def test_fig6_keeps_the_original_resolution_and_superpixels(monkeypatch):
    """SHED, Fig. 6: CAST's 64/32/16 segments of its own 576 superpixels of 384x384."""
    monkeypatch.setenv("DATA_ROOT", "/data")
    figure, published, small = (compose([n]).config for n in ("shed_hybrid_fig6", "shed_hybrid", "shed_hybrid_224"))
    cast = compose(["cast_small"]).config
    assert figure["model"]["init_args"].pop("segments") == cast["model"]["init_args"]["segments"] == [64, 32, 16]
    assert small["model"]["init_args"]["segments"] == [64, 32, 16]
    assert small["data"]["init_args"]["crop"] == cast["data"]["init_args"]["crop"] == [224, 224]
    del published["model"]["init_args"]["segments"]
    assert figure == published


@pytest.mark.parametrize("method", ["shed", "dpt"])
def test_24k_differs_in_the_training_frames_alone(method, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", "/data")
    labeled, tree = compose([f"{method}_hybrid"]).config, compose([f"{method}_hybrid_24k"]).config
    assert tree["data"]["init_args"].pop("layout") == "bts"
    assert tree == labeled
    rooms = compose([f"{method}_hybrid_24k", "data/rooms"]).config
    assert rooms == compose([f"{method}_hybrid", "data/rooms"]).config


def test_a_misspelt_key_of_the_new_class_is_not_forgotten(write):
    first = write("first", data={"class_path": "datamodules.HyperSimDataModule", "init_args": {"frames": "marigold"}})
    second = write("second", data={"class_path": "datamodules.RoomsDataModule", "init_args": {"frams": "x"}})
    assert compose([first, second]).config["data"]["init_args"] == {"frams": "x"}


DATA = sorted(path.stem for path in (Path(__file__).parents[3] / "experiments/data").glob("*.yaml"))


@pytest.mark.parametrize("name", DATA)
def test_every_data_overlay_is_understood(name, monkeypatch, tmp_path):
    """Parsed and built as the command line does; files are only looked for later."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    root = str(describe(tmp_path / "own"))  # of `folder`, whose range of depth is in its `dataset.yaml`
    config = compose([f"data/{name}"], ["--data.root", root] if name == "folder" else []).config
    if name == "folder":
        config["data"]["init_args"]["root"] = root
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(DepthDataModule, "data")
    module = parser.instantiate(parser.parse_object({"data": config["data"]})).data
    assert isinstance(module, DepthDataModule)
    assert config["model"]["init_args"]["protocol"]["name"]
    assert module.max_depth == config["data"]["init_args"]["max_depth"]


def test_a_profile_of_the_suite_leaves_out_what_a_method_does_not_take(write, monkeypatch):
    Path("two_methods.py").write_text(
        "class Bare:\n    def __init__(self, optimizer=None): pass\n\n"
        "class Fetching:\n    def __init__(self, optimizer=None, pretrained=True): pass\n"
    )
    monkeypatch.syspath_prepend(str(Path.cwd()))
    for name, has in (("Bare", False), ("Fetching", True)):
        config = compose([write(name.lower(), model={"class_path": f"two_methods.{name}"}), "profile/quick"]).config
        assert ("pretrained" in config["model"]["init_args"]) == has
        assert "optimizer" in config["model"]["init_args"]
        again = compose(["profile/quick", name.lower() + ".yaml"]).config
        assert again["model"]["init_args"].keys() == config["model"]["init_args"].keys()
    with_flag = write("typed", base=["bare.yaml"], model={"init_args": {"pretrained": False}})
    assert compose([with_flag]).config["model"]["init_args"] == {"pretrained": False}  # the parser says that it is none


RESIZE = {"class_path": "datamodules.ResizeFrame", "init_args": {"size": [256, 256]}}
CROP = {"class_path": "datamodules.CenterCrop", "init_args": {"size": [192, 192]}}
CLAHE = {"class_path": "datamodules.CLAHE"}


@pytest.mark.parametrize(
    ("steps", "kept", "resize"), [([RESIZE, CROP, CLAHE], [CLAHE], None), ([RESIZE, CLAHE], [CLAHE], [256, 256])]
)
def test_steps_that_prepare_the_truth_of_one_data_set_are_not_those_of_another(write, steps, kept, resize):
    arguments = {"preprocess": steps, "crop": [64, 64]}
    first = write("first", data={"class_path": "datamodules.HyperSimDataModule", "init_args": arguments})
    second = write("second", data={"class_path": "datamodules.NYUv2DataModule", "init_args": {"depth": "raw"}})
    own = write("own", data={"class_path": "datamodules.NYUv2DataModule", "init_args": {"preprocess": [CROP]}})
    again = write("again", data={"class_path": "datamodules.HyperSimDataModule", "init_args": {"frames": "official"}})
    made = compose([first, second]).config["data"]["init_args"]
    assert (made["preprocess"], made.get("resize"), made["crop"]) == (kept, resize, [64, 64])
    assert compose([first, own]).config["data"]["init_args"] == {"preprocess": [CROP], "crop": [64, 64]}
    assert compose([first, again]).config["data"]["init_args"]["preprocess"] == steps


@pytest.mark.parametrize("experiment", ["semantic_md_baseline_l1", "mti_net_guided"])
def test_another_set_is_evaluated_at_its_own_size(experiment, monkeypatch):
    """Its protocol crops frames of 480x640."""
    monkeypatch.setenv("DATA_ROOT", "/data")
    config = compose([experiment, "data/nyuv2_oc"]).config
    assert config["model"]["init_args"]["protocol"]["crop"] != "none"
    paths = [step["class_path"] for step in config["data"]["init_args"]["preprocess"]]
    assert paths == ([] if experiment.startswith("semantic") else ["datamodules.CLAHE"])
