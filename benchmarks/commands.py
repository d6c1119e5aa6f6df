"""What a user waits for: `nonvacuous list`, and the main job from an empty folder. Prints medians; `--json` for machines.

`--main-job` runs the main job once (a minute or more) in a temporary folder and reports its peak memory, workers included.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPEATS = 7


def seconds(command: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    script = str(Path(sys.executable).with_name("nonvacuous"))
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        bare = statistics.median(seconds([sys.executable, "-c", "pass"], folder) for _ in range(REPEATS))
        found["python -c pass (baseline), seconds"] = bare
        for verb in (["list"], ["list", "--json"], ["show", "pb.kl"]):
            found[f"nonvacuous {' '.join(verb)}, seconds"] = statistics.median(
                seconds([script, *verb], folder) for _ in range(REPEATS)
            )
        if "--main-job" in sys.argv[1:]:
            os.environ["OMP_NUM_THREADS"] = "1"
            command = [sys.executable, "-m", "nonvacuous.main_job"]
            found["main job, seconds"] = seconds(command, folder)
            found["main job, peak memory of its largest process, MB"] = (
                resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            )
            found["main job again, seconds"] = seconds(command, folder)
    if "--json" in sys.argv[1:]:
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            print(f"{name:<60} {value:10.2f}")


if __name__ == "__main__":
    main()
