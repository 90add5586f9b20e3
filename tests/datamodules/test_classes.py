"""Names and colours of the classes that data sets label."""

from datamodules.classes import NAMES40, NYU40, class_names, legend_name


def test_there_are_forty_distinct_colours():
    assert len(NYU40) == len(set(NYU40.values())) == 40
    assert [NAMES40[id_ - 1] for id_ in (1, 22, 40)] == ["wall", "ceiling", "otherprop"]


def test_legends_spell_names_as_one_writes_them():
    written = {name: legend_name(name) for name in NAMES40 if legend_name(name) != name}
    assert written == {
        "floor_mat": "floor mat",
        "refridgerator": "refrigerator",
        "shower_curtain": "shower curtain",
        "night_stand": "night stand",
        "otherstructure": "other structure",
        "otherfurniture": "other furniture",
        "otherprop": "other prop",
    }


def test_forty_classes_are_nyu40_and_others_go_by_number():
    assert class_names(40) == NAMES40
    assert class_names(3) == ("1", "2", "3")
