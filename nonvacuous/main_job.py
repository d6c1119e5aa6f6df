"""The main job: verify the catalogue at the quick budget, certify a network on real data, write the report.

`python -m nonvacuous.main_job [OUT]`; `make verify` runs it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import NonvacuousError
from .shipped import DEFAULT_OUT

if TYPE_CHECKING:
    from .numerics.certify.digits import DigitsReport, Stage


def main(arguments: list[str]) -> int:
    """Run everything and return the exit code of the verification."""
    from .cli.verification import print_verdicts, run_verification
    from .numerics.certify.digits import certify_digits
    from .proofs.catalogue import CATALOGUE
    from .report import write_report
    from .report.main_job import FOLDER, stored_certificate

    out = Path(arguments[0]) if arguments else DEFAULT_OUT
    start = time.monotonic()
    print("[1/3] verify the catalogue: every check, every control, every derivation", flush=True)
    verdicts, code = run_verification(
        CATALOGUE, (), budget="quick", device="cpu", jobs=os.cpu_count() or 1, time_limit=None, out=out, seed=0
    )
    print("[2/3] certify a network: an MLP with a Gaussian posterior on scikit-learn's digits", flush=True)
    digits = _with_progress(lambda tell: certify_digits(out / FOLDER, progress=tell))
    print("[3/3] write the report", flush=True)
    path = write_report(out, CATALOGUE, stored_certificate(out))
    print_verdicts(verdicts)
    print("\nthe certified network")
    for name, value in _digits_rows(digits):
        print(f"  {name:<42} {value}")
    print()
    command = _command()
    print(f"report   {path}\nseconds  {time.monotonic() - start:.0f}\n\nTry next:")
    print(f"  {command} show pb.kl")
    print(f"  {command} bound pb.kl --risk 0.0155 --kl 73.2 --n 30000 --delta 0.025")
    print(f"  {command} check {out / FOLDER / 'certificate.json'}")
    return code


def _digits_rows(digits: DigitsReport) -> list[list[str]]:
    certificate = digits.certificate
    return [
        [
            "certified error of a random draw",
            f"{certificate.value:.4f} at most, with probability {1 - certificate.delta:.4g}",
        ],
        ["its error on the test images", f"{digits.test_gibbs_error:.4f} ({digits.n_test} images)"],
        ["error of the mean network (not certified)", f"{digits.test_mean_error:.4f}"],
        [
            "its error on the bound's images",
            f"{digits.empirical_risk:.4f} ({digits.n_bound} images, {digits.draws} draws)",
        ],
        [
            "KL to the prior",
            f"{digits.kl:.2f} nats, {digits.parameters} parameters, prior from {digits.n_prior} other images",
        ],
        ["spent delta", "; ".join(f"{entry.delta:.3g} on {entry.event}" for entry in certificate.ledger.entries)],
        ["computed in", f"{digits.seconds:.0f} s" + (" by an earlier run" if digits.reused else "")],
    ]


def _with_progress(work: Any) -> DigitsReport:
    """Run the digits job with a bar for each of its stages, on standard error."""
    from .cli.output import progress_bars

    with progress_bars() as progress:
        tasks: dict[str, Any] = {}

        def tell(stage: Stage) -> None:
            if stage.name not in tasks:
                tasks[stage.name] = progress.add_task(stage.name, total=stage.total)
            progress.update(tasks[stage.name], completed=stage.done)

        return work(tell)


def _command() -> str:
    """How to call the command line from here."""
    script = Path(sys.executable).with_name("nonvacuous")
    here = Path.cwd()
    return str(script.relative_to(here)) if script.is_relative_to(here) else "nonvacuous"


if __name__ == "__main__":
    try:
        raise SystemExit(main(sys.argv[1:]))
    except NonvacuousError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        print("interrupted: what was measured is stored; the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None
