"""Entry point: one Typer app, and the mapping from what happened to an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib.metadata import version
from typing import Annotated

import typer
from typer.exceptions import TyperException

from ..theory.errors import NonvacuousError
from . import catalogue, certificates, scaffold, sweep, verification

EXIT_USAGE, EXIT_INTERNAL, EXIT_INTERRUPTED = 3, 4, 130

app = typer.Typer(
    name="nonvacuous",
    help="Theorems about PAC-Bayes, large deviations, implicit bias and infinite width: read, compute, verify, certify.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"nonvacuous {version('nonvacuous')}")
        raise typer.Exit


@app.callback()
def options(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


for module in (catalogue, certificates, verification, sweep, scaffold):
    module.register(app)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code: 0 supported, 1 refuted, 2 inconclusive, 3 usage or input, 4 internal, 130 interrupted."""
    try:
        result = app(arguments, standalone_mode=False, prog_name="nonvacuous")
        code = result if isinstance(result, int) else 0
    except NonvacuousError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except TyperException as error:
        # click's own usage errors exit with 2, which means "inconclusive" here
        format_message = getattr(error, "format_message", None)
        print(f"error: {format_message() if format_message else error} See 'nonvacuous --help'.", file=sys.stderr)
        return EXIT_USAGE
    except (KeyboardInterrupt, typer.Abort):
        code = EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit):  # rich turns the first into the second
        # the reader of our output left (`nonvacuous list | head`): that is not our error
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it stays open until the process ends
        return 0
    except Exception:
        traceback.print_exc()
        print("internal error: please report it with the lines above", file=sys.stderr)
        return EXIT_INTERNAL
    if code == EXIT_INTERRUPTED:  # raised here, or caught and returned by typer
        print("interrupted: what was measured is stored; the same command goes on from there", file=sys.stderr)
    return code


def main() -> None:
    """The console script. A polite termination is an interruption: workers are stopped and what was measured is kept."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(code)


if __name__ == "__main__":
    main()
