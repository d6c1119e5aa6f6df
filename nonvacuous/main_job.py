"""The main job: verify the catalogue at the quick budget, certify a network on real data, write the report.

`python -m nonvacuous.main_job [OUT]`; `make verify` runs it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import NonvacuousError
from .shipped import DEFAULT_OUT

DIGITS = "digits"


def stored_certificate(out: Path) -> Mapping[str, Any] | None:
    """What the main job certified in `out`, as plain data; None when it never ran there."""
    try:
        return dict(json.loads((out / DIGITS / "report.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def main(arguments: list[str]) -> int:
    """Run everything and return the exit code of the verification."""
    from .cli.verification import print_verdicts, run_verification
    from .numerics.certify.digits import certify_digits
    from .proofs.catalogue import CATALOGUE
    from .report import write_report

    out = Path(arguments[0]) if arguments else DEFAULT_OUT
    start = time.monotonic()
    print("[1/3] verify the catalogue: every check, every control, every derivation", flush=True)
    verdicts, code = run_verification(
        CATALOGUE, (), budget="quick", device="cpu", jobs=os.cpu_count() or 1, time_limit=None, out=out, seed=0
    )
    print("[2/3] certify a network: an MLP with a Gaussian posterior on scikit-learn's digits", flush=True)
    certified = certify_digits(out / DIGITS, progress=_tell)
    print("[3/3] write the report", flush=True)
    path = write_report(out, CATALOGUE, stored_certificate(out))
    print_verdicts(verdicts)
    print(certified)
    print(f"\nreport   {path}\nseconds  {time.monotonic() - start:.0f}\n\nTry next:")
    python = Path(sys.executable)
    here = Path.cwd()
    command = python.with_name("nonvacuous")
    command = command.relative_to(here) if command.is_relative_to(here) else Path("nonvacuous")
    print(f"  {command} show pb.kl")
    print(f"  {command} bound pb.kl --risk 0.0155 --kl 73.2 --n 30000 --delta 0.025")
    print(f"  {command} check {out / DIGITS / 'certificate.json'}")
    return code


def _tell(message: str) -> None:
    print(f"      {message}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except NonvacuousError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("interrupted: what was measured is stored; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
