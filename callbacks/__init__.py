"""What watches a run: logger, checkpoints, tables, pictures, records."""

from callbacks.checkpoints import BestCheckpoint
from callbacks.cloud_pictures import CloudPictures
from callbacks.confusion_matrix import ConfusionMatrix
from callbacks.constant_baseline import ConstantBaseline
from callbacks.exact_resume import ExactResume
from callbacks.history import History
from callbacks.last_checkpoint import LastCheckpoint
from callbacks.nonfinite_report import NonFiniteReport
from callbacks.panels import Panels
from callbacks.parameter_table import ParameterTable
from callbacks.per_image_table import PerImageTable
from callbacks.prediction_writer import PredictionWriter
from callbacks.property_check import PropertyCheck
from callbacks.resumable_test import ResumableTest
from callbacks.retrieval_picture import RetrievalPicture
from callbacks.run_logger import RunLogger
from callbacks.run_recorder import RunRecorder
from callbacks.run_summary import RunSummary
from callbacks.staged_training import StagedTraining
from callbacks.thumbnails import Thumbnails
from callbacks.training_monitor import TrainingMonitor
from callbacks.validation_panels import ValidationPanels
from callbacks.worst_cases import WorstCases

__all__ = [
    "BestCheckpoint",
    "CloudPictures",
    "ConfusionMatrix",
    "ConstantBaseline",
    "ExactResume",
    "History",
    "LastCheckpoint",
    "NonFiniteReport",
    "Panels",
    "ParameterTable",
    "PerImageTable",
    "PredictionWriter",
    "PropertyCheck",
    "ResumableTest",
    "RetrievalPicture",
    "RunLogger",
    "RunRecorder",
    "RunSummary",
    "StagedTraining",
    "Thumbnails",
    "TrainingMonitor",
    "ValidationPanels",
    "WorstCases",
]
