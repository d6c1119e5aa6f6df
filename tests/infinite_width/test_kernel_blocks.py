"""From the kernels of all points to the blocks that the laws take, under the names that users look for."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import nonvacuous as nv
from nonvacuous.errors import InvalidInput

POINTS = np.random.default_rng(0).normal(size=(5, 3))
JOINT = nv.kernels.fully_connected_kernels(POINTS, depth=2, activation="erf", weight_scale=1.5, bias_scale=0.3)


def test_blocks_are_those_of_the_joint_matrices():
    blocks = nv.wide_networks.kernel_blocks(JOINT, tests=2)
    for found, joint in zip(blocks, (JOINT.nngp, JOINT.ntk), strict=True):
        np.testing.assert_array_equal(found.test, joint[:2, :2])
        np.testing.assert_array_equal(found.cross, joint[:2, 2:])
        np.testing.assert_array_equal(found.train, joint[2:, 2:])
    assert nv.wide_networks.kernel_blocks(JOINT, tests=5)[0].train.shape == (0, 0)


@pytest.mark.parametrize(
    "changes",
    [
        {"tests": 0},
        {"tests": 6},
        {"tests": 1.5},
        {"ntk": JOINT.ntk[:, :4]},
        {"ntk": JOINT.ntk[:4, :4]},
        {"nngp": JOINT.nngp.astype(np.float32)},
        {"nngp": np.triu(JOINT.nngp)},
        {"ntk": JOINT.ntk * np.nan},
        {"ntk": JOINT.ntk[0]},
    ],
    ids=str,
)
def test_what_is_no_kernel_of_all_points_is_refused(changes):
    given = {"tests": 2, "nngp": JOINT.nngp, "ntk": JOINT.ntk} | changes
    with pytest.raises(InvalidInput):
        nv.wide_networks.kernel_blocks(SimpleNamespace(nngp=given["nngp"], ntk=given["ntk"]), tests=given["tests"])


def test_every_public_name_is_there_and_none_but_one_needs_torch():
    for name in nv.wide_networks.__all__:
        assert getattr(nv.wide_networks, name) is not None
    assert set(nv.wide_networks.__all__) <= set(dir(nv.wide_networks))
    with pytest.raises(AttributeError, match="no 'label_dependance'"):
        nv.wide_networks.label_dependance  # noqa: B018 (the look-up is what is tested)
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError(f'No module named {name}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import nonvacuous as nv\n"
        "from nonvacuous.errors import MissingExtra\n"
        "late = {'LabelDependence', 'label_dependence'}\n"
        "assert all(getattr(nv.wide_networks, name) for name in set(nv.wide_networks.__all__) - late)\n"
        "for name in late:\n"
        "    try: getattr(nv.wide_networks, name)\n"
        "    except MissingExtra as error: assert 'torch' in str(error)\n"
        "    else: raise SystemExit('imported without torch')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
