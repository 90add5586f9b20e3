"""Predictions in another unit, upside down or negative are told from bad ones."""

import pytest
import torch

from callbacks.records.run_summary import RunSummary
from lightning_modules.evaluation import Evaluation, EvaluationOptions
from lightning_modules.metrics import EvalProtocol
from lightning_modules.prediction import Prediction


def truth() -> torch.Tensor:
    return 1 + 4 * torch.rand(3, 1, 24, 32, generator=torch.Generator().manual_seed(0))


def remarks(prediction: torch.Tensor, alignment: str = "none") -> list[str]:
    depth = truth()
    evaluation = Evaluation(EvalProtocol("plain", 0.1, 10.0, alignment=alignment), EvaluationOptions(groups=("depth",)))
    evaluation.update(Prediction(depth=prediction), {"depth": depth, "valid": torch.ones_like(depth, dtype=torch.bool)})
    figures = evaluation.compute()
    assert figures["negative"] == (0 if alignment.endswith("squares") else (prediction < 0).sum())
    return evaluation.remarks


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1000, "about 1000 times the truth's: millimetres?"), (100, "100 times the truth's: centimetres?"),
     (0.256, "0.256 times the truth's: steps of 1/256 m read"), (0.1, "centimetres read as millimetres"),
     (5, "steps of 1/5000 m"), (40, "another unit?")],
)  # fmt: skip
def test_another_unit(factor, said):
    (line,) = remarks(factor * truth())
    assert said in line


@pytest.mark.parametrize("alignment", ["none", "median", "scale", "log", "least_squares", "inverse_least_squares"])
def test_good_predictions_are_not_suspected(alignment):
    """Nor is a scale that the alignment takes away."""
    good = truth() * (1.2 if alignment == "none" else 1000)
    assert remarks(good, alignment) == []
    assert remarks(torch.full_like(good, 2.0), alignment) == []


@pytest.mark.parametrize("alignment", ["none", "median", "log", "least_squares"])
def test_disparity_runs_against_depth(alignment):
    (line,) = remarks(8 / truth(), alignment)
    assert "against the truth" in line
    assert "`--inverse`" in line
    assert ("is negative in 3 of 3 images" in line) == (alignment == "least_squares")


def test_the_factor_of_inverse_depth():
    """Depth where disparity is due: what is read is 1 / prediction."""
    assert remarks(1 / truth() + 0.0, "inverse_least_squares")[0].startswith(
        "the factor of alignment `inverse_least_squares` is negative in 3 of 3 images"
    )


def test_negative_predictions_are_counted():
    prediction = truth()
    prediction[0, 0, :2, :3] = -1.0
    (line,) = remarks(prediction)
    assert line.startswith("6 predictions are negative")
    assert remarks(prediction - 2, "least_squares") == []  # a line has no zero
    assert "negative" not in RunSummary.table("a", {"test/a/negative": 0.0}, "").columns[0]._cells
