"""Every method of the suite at its smallest, as an experiment would configure it."""

from typing import Any

SMALL_SEMANTIC_MD = {"encoder": "test_resnet", "decoder_options": {"decoder_channels": [8, 8, 8, 8, 8]}}
SEMANTIC_INPUTS = "lightning_modules.networks.semantic_md.semantic_inputs"
HYBRID = {"backbone": "test_convnext+vit_tiny_patch16_224", "width": 8}


def semantic_md(**options: Any) -> dict[str, Any]:
    """A Semantic-MD; ``semantic_input`` is the name of a class."""
    if name := options.pop("semantic_input", None):
        options["semantic_input"] = {"class_path": f"{SEMANTIC_INPUTS}.{name}"}
    return {"class_path": "lightning_modules.SemanticMD", "init_args": {**SMALL_SEMANTIC_MD, **options}}


def region_support(*stages: dict[str, Any]) -> dict[str, Any]:
    """A Region Support Network of these stages, each of one epoch if it trains anything."""
    stages = tuple({"epochs": int("trains" in stage), **stage} for stage in stages)
    options = {"stages": stages, "width_mult": 1 / 16, "classes": 40}
    return {"class_path": "lightning_modules.RegionSupportNetwork", "init_args": options}


GENERATION = {"name": "generation", "trains": ["generation"], "terms": {"support": 1.0}}
REFINEMENT = {"name": "refinement", "trains": ["refinement"], "guidance": "truth", "terms": {"depth": 1.0}}
END_TO_END = {
    "name": "end_to_end", "trains": ["generation", "refinement"], "guidance": "generated",
    "terms": {"support": 0.3, "depth": 0.7}, "schedule": {"name": "poly"},
}  # fmt: skip

#: Class path and options by the name that tests show. None is pretrained.
METHODS: dict[str, dict[str, Any]] = {
    "shed": {"class_path": "lightning_modules.SHED", "init_args": {**HYBRID, "segments": [6, 4]}},
    "dpt_hybrid": {"class_path": "lightning_modules.DPTHybrid", "init_args": HYBRID},
    "depth_anything_v2": {
        "class_path": "lightning_modules.DepthAnythingV2",
        "init_args": {"backbone": "test_vit", "taps": None, "channels": [8, 8, 8, 8], "width": 8},
    },
    "cast": {
        "class_path": "lightning_modules.CAST",
        "init_args": {"dim": 24, "depths": [1, 1, 1], "segments": [6, 3], "heads": 4},
    },
    "semantic_md_baseline": semantic_md(),
    "semantic_md_concat": semantic_md(semantic_input="RawLabels"),
    "semantic_md_onehot": semantic_md(semantic_input="OneHotClasses"),
    "semantic_md_semantic_conv": semantic_md(semantic_input="SemanticConvolution"),
    "semantic_md_contour": semantic_md(semantic_input="LabelContours"),
    "semantic_md_two_head": semantic_md(heads=["depth", "semantics"]),
    "semantic_md_three_head": semantic_md(heads=["depth", "semantics", "contours"], sobel_weight=0.1),
    "mti_net": {
        "class_path": "lightning_modules.GuidedMTINet",
        "init_args": {"backbone": "test_resnet", "widths": [8, 8, 8, 8], "width": 8, "attention_dim": 4},
    },
    "region_support": region_support(GENERATION | {"terms": {"coarse": 1.0}, "loss": "l2"}),
    "region_support_of_truth": region_support(REFINEMENT),
    "region_support_of_semantics": region_support(GENERATION, REFINEMENT | {"guidance": "semantic"}),
    "region_support_staged": region_support(GENERATION, REFINEMENT, END_TO_END),
    "without_backbone": {"class_path": "tests.helpers.tiny_method.TinyMethod", "init_args": {}},
    "of_the_docs": {"class_path": "depth_and_classes.DepthAndClasses", "init_args": {}},
}

#: Methods that have no pretrained weights to do without.
NEVER_PRETRAINED = ("without_backbone", "of_the_docs")
