"""Certificates that are to hold together: each then names, and pays for, the events of all the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..confidence import DeltaLedger, Spending
from .certificate import Certificate


def jointly(certificates: Mapping[str, Certificate], events: Mapping[str, str] | None = None) -> dict[str, Certificate]:
    """The same certificates with a common total: whichever is picked after looking holds with the probability that it states.

    events: for each certificate the name of its event; those of one name are one event and are counted once (by default each its
    own). What was spent on the parts of a certificate (posterior draws) is common to all that share those parts.
    """
    names = {name: (events or {}).get(name, name) for name in certificates}
    own = {name: _own(certificate) for name, certificate in certificates.items()}
    representative = {event: name for name, event in reversed(list(names.items()))}
    joined = {}
    for name, certificate in certificates.items():
        entries = list(certificate.ledger.entries)
        for event, other in representative.items():
            if event != names[name]:
                entries += [Spending(f"{event}: {e.event}", e.log_inv_delta, e.stated) for e in own[other]]
                entries += [e for e in certificates[other].ledger.entries if e not in own[other] and e not in entries]
        ledger = DeltaLedger(0.0, tuple(entries))
        joined[name] = replace(certificate, ledger=DeltaLedger(ledger.spent_log_inv_delta, tuple(entries)))
    return joined


def _own(certificate: Certificate) -> list[Spending]:
    inner = [entry for part in certificate.parts.values() for entry in part.ledger.entries]
    return [entry for entry in certificate.ledger.entries if entry not in inner]
