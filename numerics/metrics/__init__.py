"""What probabilities of classes are worth on labels, and spoiled images to try them on. NumPy; no framework."""

from .classification import auroc, brier_score, entropy, error_rate, expected_calibration_error, log_loss
from .corruptions import CORRUPTIONS, corrupt

__all__ = [
    "CORRUPTIONS",
    "auroc",
    "brier_score",
    "corrupt",
    "entropy",
    "error_rate",
    "expected_calibration_error",
    "log_loss",
]
