from .checkpoints.best_checkpoint import BestCheckpoint
from .checkpoints.exact_resume import ExactResume
from .checkpoints.last_checkpoint import LastCheckpoint
from .checkpoints.nonfinite_report import NonFiniteReport
from .checkpoints.resumable_test import ResumableTest
from .checkpoints.staged_training import StagedTraining
from .pictures.cloud_pictures import CloudPictures
from .pictures.confusion_matrix import ConfusionMatrix
from .pictures.panels import Panels
from .pictures.retrieval_picture import RetrievalPicture
from .pictures.thumbnails import Thumbnails
from .pictures.validation_panels import ValidationPanels
from .pictures.worst_cases import WorstCases
from .records.constant_baseline import ConstantBaseline
from .records.history import History
from .records.parameter_table import ParameterTable
from .records.per_image_table import PerImageTable
from .records.prediction_writer import PredictionWriter
from .records.property_check import PropertyCheck
from .records.run_logger import RunLogger
from .records.run_recorder import RunRecorder
from .records.run_summary import RunSummary
from .records.training_monitor import TrainingMonitor

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
