"""FSDP2's gradients of a vision-language model are those of one process, its head's too."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fsdp_gradients.py")
ROOT = Path(__file__).parents[3]


@pytest.mark.medium
def test_two_ranks_have_the_gradients_of_one_process():
    """One rank has an image and the other none, which would wait for ever without a stand-in."""
    launcher = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc_per_node=2"]
    result = subprocess.run(
        [*launcher, str(SCRIPT)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    kind, worst = result.stdout.split()[-2:]
    assert kind == "FSDPLinear:"  # sharded apart from the norm before it
    assert float(worst) < 1e-5
