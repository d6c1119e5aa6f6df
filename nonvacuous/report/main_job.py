"""What the main job certified, as the index page shows it: read back from its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = "digits"
DESCRIPTION = (
    "A network with one hidden layer and a Gaussian over its weights, trained on scikit-learn's handwritten digits through a PAC-Bayes "
    "objective. Its prior was learned on a part of the images that the bound does not count."
)


def stored_certificate(out: Path) -> Mapping[str, Any] | None:
    """The certificate and the figures beside it; None when the job never finished in `out`."""
    try:
        numbers = json.loads((out / FOLDER / "digits.json").read_text(encoding="utf-8"))
        certificate = json.loads((out / FOLDER / "certificate.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    title = "A certified classifier of handwritten digits"
    return {"title": title, "description": DESCRIPTION, "certificate": certificate, **numbers}
