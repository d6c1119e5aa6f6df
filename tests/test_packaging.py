"""What installs: guards, the wheel's tree, the import directions, pins, and that nothing pulls CUDA packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = ("theory", "numerics", "proofs")


def python(code: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, env={**os.environ, **env}
    )


@pytest.mark.parametrize("name", LAYERS)
def test_bare_imports_are_refused(name):
    done = python(f"import {name}", ROOT)
    assert done.returncode == 1
    assert f"import nonvacuous.{name}" in done.stderr


def test_every_folder_is_in_the_package_list():
    listed = set(PROJECT["tool"]["setuptools"]["packages"])
    found = {
        "nonvacuous." + str(p.parent.relative_to(ROOT)).replace("/", ".")
        for layer in LAYERS
        for p in (ROOT / layer).rglob("__init__.py")
    }
    found |= {str(p.parent.relative_to(ROOT)).replace("/", ".") for p in (ROOT / "nonvacuous").rglob("__init__.py")}
    assert listed == found


def test_wheel_has_everything(wheel_tree):
    for layer in LAYERS:
        for path in (ROOT / layer).rglob("*.py"):
            assert (wheel_tree / "nonvacuous" / path.relative_to(ROOT)).is_file()
    for data in ("py.typed", "catalogue.json", "report/report.css"):
        assert (wheel_tree / "nonvacuous" / data).is_file()


def test_a_clone_does_not_shadow_an_installed_wheel(wheel_tree):
    code = "import nonvacuous, nonvacuous.theory.errors as e; print(e.__file__)"
    from_wheel = python(code, wheel_tree.parent, PYTHONPATH=str(wheel_tree))
    assert str(wheel_tree) in from_wheel.stdout, from_wheel.stderr
    from_root = python("import sys; sys.path.insert(0, '.'); " + code, ROOT, PYTHONPATH=str(wheel_tree))
    assert from_root.returncode == 0, from_root.stderr
    assert str(ROOT) in from_root.stdout


def lint(tree: Path, config: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True))"
    return subprocess.run(
        [sys.executable, "-c", code, str(config)],
        cwd=tree,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )


def test_import_directions(wheel_tree, tmp_path):
    config = ROOT / ".importlinter"
    done = lint(wheel_tree, config)
    assert done.returncode == 0, done.stdout + done.stderr
    # a planted violation must be found, or the linter sees nothing
    planted = tmp_path / "tree"
    subprocess.run(["cp", "-r", str(wheel_tree), str(planted)], check=True)
    module = planted / "nonvacuous" / "theory" / "statement.py"
    module.write_text(module.read_text() + "\nfrom ..numerics.claims import Formula\n")
    done = lint(planted, config)
    assert done.returncode == 1
    assert "nonvacuous.theory.statement -> nonvacuous.numerics.claims" in done.stdout


def test_theory_needs_no_framework(without):
    code = """
import importlib, pkgutil, nonvacuous.theory as theory
for module in pkgutil.walk_packages(theory.__path__, "nonvacuous.theory."):
    importlib.import_module(module.name)
"""
    frameworks = ("torch", "jax", "sklearn", "pandas", "pyarrow", "joblib", "matplotlib")
    done = python(without(*frameworks) + code, ROOT.parent)
    assert done.returncode == 0, done.stderr


def test_the_catalogue_imports_without_torch(without):
    code = without("torch") + "import nonvacuous.proofs.catalogue as c; print(len(c.CATALOGUE))"
    done = python(code, ROOT.parent)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 16


def test_missing_torch_is_said_clearly(without):
    done = python(without("torch") + "import nonvacuous as nv; nv.certify", ROOT.parent)
    assert "MissingExtra" in done.stderr
    assert "nonvacuous[torch]" in done.stderr


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=!~ ]", requirement)[0].lower().replace("_", "-")


def test_pins():
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if line and not line.startswith("#")
    )
    pins = {_name(name): pin for name, pin in pins.items()}
    project = PROJECT["project"]
    required = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in required:
        if not requirement.startswith("nonvacuous["):
            assert _name(requirement) in pins, f"{requirement} has no tested version in constraints.txt"
            assert re.search(r">=.*", requirement), f"{requirement} has no lower bound"
    for name, pin in pins.items():
        try:
            assert version(name).partition("+")[0] == pin, f"{name}: installed {version(name)}, pinned {pin}"
        except PackageNotFoundError:
            continue  # of an extra that this environment does not have


def test_no_cuda_package_is_installed():
    names = subprocess.run(
        [sys.executable, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True
    ).stdout.lower()
    if "+cpu" in names or "torch" not in names:
        assert "nvidia" not in names
