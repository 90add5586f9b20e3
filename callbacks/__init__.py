"""Callbacks and logger of a run: checkpoints, records and pictures."""

from callbacks.checkpoints.best_checkpoint import BestCheckpoint
from callbacks.checkpoints.exact_resume import ExactResume
from callbacks.checkpoints.last_checkpoint import LastCheckpoint
from callbacks.checkpoints.nonfinite_report import NonFiniteReport
from callbacks.checkpoints.resumable_test import ResumableTest
from callbacks.checkpoints.staged_training import StagedTraining
from callbacks.pictures.cloud_pictures import CloudPictures
from callbacks.pictures.confusion_matrix import ConfusionMatrix
from callbacks.pictures.panels import Panels
from callbacks.pictures.retrieval_picture import RetrievalPicture
from callbacks.pictures.thumbnails import Thumbnails
from callbacks.pictures.validation_panels import ValidationPanels
from callbacks.pictures.worst_cases import WorstCases
from callbacks.records.constant_baseline import ConstantBaseline
from callbacks.records.history import History
from callbacks.records.parameter_table import ParameterTable
from callbacks.records.per_image_table import PerImageTable
from callbacks.records.prediction_writer import PredictionWriter
from callbacks.records.property_check import PropertyCheck
from callbacks.records.run_logger import RunLogger
from callbacks.records.run_recorder import RunRecorder
from callbacks.records.run_summary import RunSummary
from callbacks.records.training_monitor import TrainingMonitor

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
