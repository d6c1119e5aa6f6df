"""`nv.cite`: BibTeX for results and references."""

from __future__ import annotations

from .shipped import entries
from .theory.bibliography import find


def cite(*keys: str) -> str:
    """BibTeX of the references behind results (keys like "pb.kl") or of references themselves."""
    sources = {entry["key"]: [source["reference"] for source in entry["sources"]] for entry in entries()}
    wanted: dict[str, None] = {}
    for key in keys:
        wanted |= dict.fromkeys(sources.get(key, [key]))
    return "\n\n".join(find(key).bibtex() for key in wanted)
