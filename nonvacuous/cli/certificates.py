"""bound, predict, certify, compare, check: numbers that a person defends."""

from __future__ import annotations

import inspect
import json as json_module
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..errors import InvalidInput, StorageError, UnknownKey
from ..settings import from_json
from ..theory.errors import did_you_mean
from .output import print_json

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Save = Annotated[
    Path | None, typer.Option(help="Also save the certificate here; 'nonvacuous check' verifies it again.")
]


def bound(
    key: Annotated[str, typer.Argument(help="A certificate of the catalogue, for example pb.kl.")],
    risk: float | None = None,
    kl: float | None = None,
    n: int | None = None,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    draws: int | None = None,
    n_prior: int | None = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", help="Any other argument of the function, as name=value; the value in JSON."),
    ] = None,
    input: Annotated[
        str | None, typer.Option(help="JSON object with the same names; '-' reads standard input.")
    ] = None,
    save: Save = None,
    json: Json = False,
) -> None:
    """A certificate from plain numbers."""
    from .. import bounds
    from ..shipped import entries, find

    entry = find(key)
    name = (entry["function"] or "").rpartition("nonvacuous.bounds.")[2]
    function = getattr(bounds, name, None) if name else None
    if function is None:
        known = [e["key"] for e in entries() if (e["function"] or "").startswith("nonvacuous.bounds.")]
        raise UnknownKey(
            f"{key} is not a certificate or another bound.",
            f"Bounds: {', '.join(known)}. For a closed form use 'predict'.",
        )
    options = {
        "risk": risk,
        "kl": kl,
        "n": n,
        "delta": delta,
        "log_inv_delta": log_inv_delta,
        "draws": draws,
        "n_prior": n_prior,
    }
    given = {
        **(_object(input) if input else {}),
        **_named(option or []),
        **{name: value for name, value in options.items() if value is not None},
    }
    accepted = inspect.signature(function).parameters
    if extra := sorted(set(given) - set(accepted)):
        raise InvalidInput(f"{key} takes no {extra}.", f"It takes {', '.join(accepted)}.")
    if missing := [n for n, p in accepted.items() if p.default is inspect.Parameter.empty and n not in given]:
        raise InvalidInput(f"{key} lacks {missing}.", f"Give --{' --'.join(m.replace('_', '-') for m in missing)}.")
    _emit(function(**given), save, json)


def predict(
    key: str,
    input: Annotated[str, typer.Option(help="JSON setting; '-' reads standard input.")],
    json: Annotated[bool, typer.Option("--json", help="Accepted everywhere; here the output always is.")] = True,
) -> None:
    """The raw closed form of a result: a JSON setting in, a JSON prediction out."""
    from ..proofs.catalogue import CATALOGUE

    results = {result.key: result for result in CATALOGUE}
    if key not in results:
        raise UnknownKey(f"No result is called {key!r}.", did_you_mean(key, results, "`nonvacuous list` shows all."))
    result = results[key]
    setting = from_json(type(result.example), _object(input))
    try:
        prediction = result.predict(setting)
    except (OverflowError, ZeroDivisionError) as error:
        raise InvalidInput(
            f"The closed form of {key} leaves float64 at this setting ({error}).", "Choose less extreme numbers."
        ) from error
    print_json({"schema_version": 1, "key": key, "prediction": prediction})


def certify(
    losses: Annotated[Path, typer.Argument(help="Array of losses in [0, 1]: .npy, .npz (one array) or .csv.")],
    axis: Annotated[str, typer.Option(help="Which axis is which: 'draws,examples' or 'examples,draws'.")],
    kl: Annotated[float, typer.Option(help="KL(Q||P) in nats.")],
    delta: Annotated[float, typer.Option(help="Total failure probability.")],
    n_prior: Annotated[int, typer.Option(help="Further examples that the prior was learned from.")] = 0,
    save: Save = None,
    json: Json = False,
) -> None:
    """A certificate from an array of losses alone: fresh posterior draws by examples."""
    from ..bounds import certify_losses

    axes = tuple(part.strip() for part in axis.split(","))
    _emit(certify_losses(_array(losses), kl=kl, delta=delta, axes=axes, n_prior=n_prior), save, json)


def compare(
    losses: Annotated[
        Path | None, typer.Argument(help="Losses in [0, 1]: one row or column for a predictor, or draws by examples.")
    ] = None,
    axis: Annotated[
        str, typer.Option(help="Which axis is which: 'draws,examples' or 'examples,draws'.")
    ] = "draws,examples",
    risk: float | None = None,
    kl: float | None = None,
    n: int | None = None,
    delta: float | None = None,
    log_inv_delta: float | None = None,
    n_prior: Annotated[int, typer.Option(help="Examples that the prior was learned from.")] = 0,
    posterior: Annotated[Path | None, typer.Option(help="Weights of the rows: they are a whole finite class.")] = None,
    prior: Annotated[Path | None, typer.Option(help="Prior weights of the rows; uniform by default.")] = None,
    log_inv_weight: Annotated[
        float | None, typer.Option(help="ln(1/w) of a predictor chosen with these losses from a countable class.")
    ] = None,
    simultaneous: Annotated[
        bool, typer.Option("--simultaneous", help="Share delta among all bounds, so that the tightest may be quoted.")
    ] = False,
    json: Json = False,
) -> None:
    """Every bound that applies to what is given, tightest first, and why the others do not."""
    from .. import bounds

    array = None if losses is None else _array(losses)
    if array is not None and array.ndim == 2 and 1 in array.shape and kl is None and posterior is None:
        array = array.ravel()  # a row or a column: one predictor
    found = bounds.compare(
        losses=array,
        axes=tuple(part.strip() for part in axis.split(",")),
        posterior=None if posterior is None else _array(posterior).ravel(),
        prior=None if prior is None else _array(prior).ravel(),
        risk=risk,
        kl=kl,
        n=n,
        delta=delta,
        log_inv_delta=log_inv_delta,
        n_prior=n_prior,
        log_inv_weight=log_inv_weight,
        simultaneous=simultaneous,
    )
    if json:
        print_json(found.as_json())
    else:
        print(found)


def check(
    certificate: Annotated[Path, typer.Argument(help="A saved certificate.")],
    digits: Annotated[int, typer.Option(min=20, max=1000)] = 60,
    json: Json = False,
) -> None:
    """Verify a saved certificate again in ball arithmetic; exit code 1 when it does not hold."""
    from ..bounds import load

    loaded = load(certificate)
    found = loaded.check(digits)
    if json:
        print_json({"schema_version": 1, "key": loaded.statement.key, "value": loaded.value, **vars(found)})
    else:
        print(loaded)
        print(f"{'sound' if found.sound else 'NOT SOUND'}: {found.detail}")
    if not found.sound:
        raise typer.Exit(1)


def _emit(found: Any, save: Path | None, json: bool) -> None:
    """Print a certificate, and save it; what is none (a Gibbs posterior, a floor) is only printed."""
    from ..bounds import Certificate

    certificate = isinstance(found, Certificate)
    if save is not None:
        if not certificate:
            raise InvalidInput("The result is no certificate.", "Leave --save out; --json prints it for machines.")
        found.save(save)
    if json:
        print_json(found.as_json() if certificate else {"schema_version": 1, "value": found})
    else:
        print(found)


def _named(options: list[str]) -> dict[str, Any]:
    """name=value pairs, the values in JSON; what is not JSON is a word."""
    found: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise InvalidInput(f"--option {text!r} is not name=value.", "For example --option beta=1.5.")
        try:
            found[name.strip()] = json_module.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found


def _object(source: str) -> dict[str, Any]:
    """A JSON object from a file or standard input. NaN, which Python's reader would accept, is refused."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(
            f"{source} could not be read ({error}).", "Name a JSON file, or '-' for standard input."
        ) from error

    def refuse(constant: str) -> Any:
        raise InvalidInput(
            f"The JSON holds {constant}.", 'Infinities are the strings "inf" and "-inf"; NaN is never accepted.'
        )

    try:
        data = json_module.loads(text, parse_constant=refuse)
    except InvalidInput:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{source} is not JSON ({error}).", "`nonvacuous show KEY` prints a runnable example."
        ) from error
    if not isinstance(data, dict):
        raise InvalidInput(
            f"{source} holds {type(data).__name__}, not an object.", "`nonvacuous show KEY` prints a runnable example."
        )
    return data


def _array(path: Path) -> np.ndarray:
    """An array from .npy, .npz or .csv. Nothing is unpickled."""
    try:
        if path.suffix == ".csv":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an empty file is refused by its shape
                return np.loadtxt(path, delimiter=",", ndmin=2, dtype=np.float64)
        loaded = np.load(path, allow_pickle=False)
    except OSError as error:
        raise StorageError(f"{path} could not be read ({error}).", "Name a .npy, .npz or .csv file.") from error
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise InvalidInput(
            f"{path} is not an array of numbers ({error}).", "Save it with numpy.save, numpy.savez or as CSV."
        ) from error
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if len(loaded.files) != 1:
            raise InvalidInput(f"{path} holds the arrays {loaded.files}.", "Save exactly one.")
        try:
            return np.asarray(loaded[loaded.files[0]])
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidInput(f"{path} does not hold numbers ({error}).", "Save a numeric array.") from error


def register(app: typer.Typer) -> None:
    for command in (bound, predict, certify, compare, check):
        app.command()(command)
