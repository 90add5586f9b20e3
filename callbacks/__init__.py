"""What watches a run: logger, checkpoints, tables, pictures, records."""

from callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from callbacks.constant_baseline import ConstantBaseline
from callbacks.panels import Panels
from callbacks.parameter_table import ParameterTable
from callbacks.per_image_table import PerImageTable
from callbacks.prediction_writer import PredictionWriter
from callbacks.run_logger import RunLogger
from callbacks.run_recorder import RunRecorder
from callbacks.run_summary import RunSummary
from callbacks.worst_cases import WorstCases

__all__ = [
    "BestCheckpoint",
    "ConstantBaseline",
    "LastCheckpoint",
    "Panels",
    "ParameterTable",
    "PerImageTable",
    "PredictionWriter",
    "RunLogger",
    "RunRecorder",
    "RunSummary",
    "WorstCases",
]
