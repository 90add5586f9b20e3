"""What this suite uses of segmentation-models-pytorch beyond its documented interface.

``tests/test_library_internals.py`` watches it. Names of parameters are part of checkpoints.
"""

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.decoders.dpt.decoder import ReadoutConcatBlock, ReassembleBlock

__all__ = [
    "ARCHITECTURES",
    "ReadoutConcatBlock",  # parts of smp's DPT, which has no hybrid backbone and normalises batches when it fuses
    "ReassembleBlock",
]

#: Names of the decoders that ``smp.create_model`` takes, for messages: the package lists them nowhere else.
ARCHITECTURES = tuple(smp.MODEL_ARCHITECTURES_MAPPING)
