"""Create .venv and install the package with the extras named on the command line. Standard library only.

Says which phase it is in, what will be downloaded and how long it should take; does nothing when nothing has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
LOG = VENV / "install.log"
# Measured on Linux, Python 3.11: megabytes to download (torch: the CPU build) and seconds on a fast line with two cores.
COST = {"base": (160, 40), "torch": (195, 35), "dev": (35, 12), "notebooks": (25, 10), "ntk": (120, 20), "dask": (5, 5)}
TORCH = "torch==2.13.0"


def main(extras: list[str]) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - this file is what an older interpreter meets first
        raise SystemExit(
            f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Run: make PYTHON=python3.12 ..."
        )
    stamp, state = VENV / f"installed-{'-'.join(['base', *extras])}", digest(extras)
    if stamp.is_file() and stamp.read_text() == state:
        print(f"[setup] .venv is up to date ({', '.join(extras)})", flush=True)
        return
    start = time.monotonic()
    phases = 4 if "ntk" in extras else 3
    print(f"[setup 1/{phases}] virtual environment .venv with Python {sys.version.split()[0]}", flush=True)
    if not (BIN / "python").exists():
        venv.create(VENV, with_pip=True)
    fresh = [name for name in ["base", *extras] if not installed(name)]
    size, seconds = (sum(COST[name][i] for name in fresh) for i in (0, 1))
    print(
        f"[setup 2/{phases}] packages: {', '.join(fresh) or 'refresh'}; about {size} MB to download, about {max(seconds, 5)} s",
        flush=True,
    )
    if "torch" in extras:
        announce_torch()
    wanted = [TORCH] if "torch" in extras else []
    local = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    pip(["install", "-c", str(ROOT / "constraints.txt"), "setuptools", "wheel"], seconds=3)
    pip(
        ["install", "-c", str(ROOT / "constraints.txt"), *wanted, "--no-build-isolation", "-e", local],
        seconds=max(seconds, 5),
    )
    if "ntk" in extras:
        print(f"[setup 3/{phases}] packages without their dependencies: neural-tangents (1 MB)", flush=True)
        pip(["install", "--no-deps", "-r", str(ROOT / "requirements-nodeps.txt")], seconds=5)
    stamp.write_text(state)
    print(f"[setup {phases}/{phases}] done in {time.monotonic() - start:.0f} s", flush=True)


def digest(extras: list[str]) -> str:
    """What the installation depends on."""
    files = ("pyproject.toml", "constraints.txt", "requirements-nodeps.txt")
    return hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in files) + repr(extras).encode()).hexdigest()


def installed(extra: str) -> bool:
    """Whether some earlier run installed this extra."""
    return any(extra in stamp.name.split("-")[1:] for stamp in VENV.glob("installed-*"))


def announce_torch() -> None:
    """Say which build of torch pip is going to fetch: on Linux the registry's default carries several GB of CUDA packages."""
    probe = [str(BIN / "python"), "-c", "import torch; print(torch.__version__)"]
    present = subprocess.run(probe, capture_output=True, text=True)
    if present.returncode == 0:
        print(f"[setup] torch {present.stdout.strip()} is installed already and stays", flush=True)
        return
    ask = [
        str(BIN / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--no-deps",
        "--report",
        "-",
        TORCH,
    ]
    answer = subprocess.run(ask, capture_output=True, text=True)
    try:
        metadata = json.loads(answer.stdout)["install"][0]["metadata"]
    except (json.JSONDecodeError, LookupError):
        raise SystemExit(f"pip found no {TORCH} for this Python:\n{answer.stderr.strip()}") from None
    cuda = any(
        "nvidia" in need or "cuda" in need for need in metadata.get("requires_dist", []) if "extra ==" not in need
    )
    if cuda and "+cpu" not in metadata["version"]:
        print(
            f"[setup] torch {metadata['version']}: the build WITH CUDA (several GB more). For the CPU build stop here (Ctrl-C), install it\n"
            f"        with .venv/{BIN.name}/pip as torch's install page says, and run the same command again.",
            flush=True,
        )
    else:
        print(f"[setup] torch {metadata['version']}: the CPU build", flush=True)


def pip(arguments: list[str], seconds: float) -> None:
    """Run pip with its output in a log file, telling the time that is left every few seconds."""
    command = [str(BIN / "python"), "-m", "pip", *arguments, "--disable-pip-version-check"]
    start = time.monotonic()
    with LOG.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        told = 0.0
        try:
            while process.poll() is None:
                time.sleep(0.2)
                passed = time.monotonic() - start
                if passed - told >= 10:
                    told = passed
                    left = (
                        f"about {seconds - passed:.0f} s left"
                        if passed < seconds
                        else "longer than usual; the line may be slow"
                    )
                    print(f"[setup]   {passed:.0f} s, {left}", flush=True)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise SystemExit("interrupted; the same command starts the installation again") from None
    if process.returncode:
        sys.stderr.write(LOG.read_text()[-4000:])
        raise SystemExit(f"pip failed (exit code {process.returncode}); its whole output is in {LOG}")


if __name__ == "__main__":
    main(sys.argv[1:])
