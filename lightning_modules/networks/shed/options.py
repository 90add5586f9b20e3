"""The named readings of the paper's unclear places."""

from typing import Literal

CellRule = Literal["nearest", "area"]
PadRule = Literal["masked", "cast"]
PoolMlp = Literal["cast", "paper"]
UnpoolMlp = Literal["plain", "residual"]
SimilarityRule = Literal["nodes", "tokens"]
ClassTokenStart = Literal["pretrained", "fresh"]
ClassTokenRule = Literal["propagate", "fresh_per_level"]
SkipRule = Literal["post_block", "pre_block"]
UnpoolRule = Literal["soft", "hard"]
AssignmentRule = Literal["shared", "own"]
ReductionRule = Literal["none", "dpt"]
