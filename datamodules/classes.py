"""Names and colours of the semantic classes that data sets label: for metric keys, tables, legends and pictures."""

RGB = tuple[int, int, int]

#: Colour of pixels without a class, id 0.
UNLABELLED: RGB = (0, 0, 0)

#: The NYU40 classes of Gupta et al., CVPR 2013, in the order of their ids 1..40 and in the spelling of their
#: ``classMapping40.mat``, which metric keys have too; with the colours that ScanNet and HyperSim give them.
NYU40: dict[str, RGB] = {
    "wall": (174, 199, 232), "floor": (152, 223, 138), "cabinet": (31, 119, 180), "bed": (255, 187, 120),
    "chair": (188, 189, 34), "sofa": (140, 86, 75), "table": (255, 152, 150), "door": (214, 39, 40),
    "window": (197, 176, 213), "bookshelf": (148, 103, 189), "picture": (196, 156, 148), "counter": (23, 190, 207),
    "blinds": (178, 76, 76), "desk": (247, 182, 210), "shelves": (66, 188, 102), "curtain": (219, 219, 141),
    "dresser": (140, 57, 197), "pillow": (202, 185, 52), "mirror": (51, 176, 203), "floor_mat": (200, 54, 131),
    "clothes": (92, 193, 61), "ceiling": (78, 71, 183), "books": (172, 114, 82), "refridgerator": (255, 127, 14),
    "television": (91, 163, 138), "paper": (153, 98, 156), "towel": (140, 153, 101),
    "shower_curtain": (158, 218, 229), "box": (100, 125, 154), "whiteboard": (178, 127, 135),
    "person": (120, 185, 128), "night_stand": (146, 111, 194), "toilet": (44, 160, 44), "sink": (112, 128, 144),
    "lamp": (96, 207, 209), "bathtub": (227, 119, 194), "bag": (213, 92, 176), "otherstructure": (94, 106, 211),
    "otherfurniture": (82, 84, 163), "otherprop": (100, 85, 144),
}  # fmt: skip

#: Names of the NYU40 classes; the name of id ``i`` is at ``i - 1``.
NAMES40 = tuple(NYU40)

#: What legends call the classes whose name in the file is not how one writes it.
_SPELT_OUT = {
    "refridgerator": "refrigerator",
    "otherstructure": "other structure",
    "otherfurniture": "other furniture",
    "otherprop": "other prop",
}


def legend_name(name: str) -> str:
    """Return how a legend spells the name of a class, such as ``night stand`` for ``night_stand``."""
    return _SPELT_OUT.get(name, name.replace("_", " "))


def class_names(classes: int) -> tuple[str, ...]:
    """Return the name of each class of a set of ``classes``, that of id ``i`` at ``i - 1``.

    A set of 40 is NYU40; the classes of any other size go by their numbers.
    """
    return NAMES40 if classes == len(NAMES40) else tuple(str(id_) for id_ in range(1, classes + 1))


#: Classes that NYU Depth v2's annotators told apart, ids 1..894.
FINE_CLASSES = 894

#: The fine classes of which Rooms has furniture. Name: fine id in NYU Depth v2 (1..894), NYU40 id.
FURNITURE: dict[str, tuple[int, int]] = {
    "bag": (55, 37),
    "basket": (39, 40),
    "bathtub": (136, 36),
    "bed": (157, 4),
    "blanket": (312, 40),
    "blinds": (80, 13),
    "book": (1, 40),
    "books": (85, 23),
    "bookshelf": (88, 10),
    "bottle": (2, 40),
    "bowl": (22, 40),
    "box": (26, 29),
    "cabinet": (3, 3),
    "ceiling": (4, 22),
    "chair": (5, 5),
    "clock": (56, 40),
    "clothes": (141, 21),
    "coffee table": (356, 39),
    "counter": (7, 12),
    "cup": (35, 40),
    "curtain": (89, 16),
    "curtain rod": (582, 38),
    "desk": (36, 14),
    "door": (28, 8),
    "door frame": (615, 38),
    "dresser": (169, 17),
    "floor": (11, 2),
    "floor mat": (143, 20),
    "flower pot": (146, 40),
    "garbage bin": (12, 39),
    "keyboard": (47, 40),
    "lamp": (144, 35),
    "light": (62, 38),
    "microwave": (13, 40),
    "mirror": (122, 19),
    "monitor": (49, 40),
    "night stand": (158, 32),
    "ottoman": (359, 39),
    "paper": (15, 26),
    "picture": (64, 11),
    "pillow": (119, 18),
    "plant": (82, 40),
    "pot": (16, 40),
    "radiator": (236, 39),
    "range hood": (380, 38),
    "refridgerator": (17, 24),
    "shelves": (42, 15),
    "shower curtain": (123, 28),
    "sink": (24, 34),
    "sofa": (83, 6),
    "speaker": (54, 40),
    "stool": (150, 40),
    "stove": (242, 38),
    "table": (19, 7),
    "television": (172, 25),
    "toilet": (124, 33),
    "towel": (135, 27),
    "tv stand": (291, 39),
    "vase": (78, 40),
    "wall": (21, 1),
    "whiteboard": (45, 30),
    "window": (59, 9),
    "window frame": (477, 38),
}
