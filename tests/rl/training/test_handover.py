"""What crosses ranks, in real processes: nothing but what another rank needs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator

from rl.training.handover import hand_over

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
SCRIPT = """
from accelerate import Accelerator

from rl.training import handover

accelerator = Accelerator(cpu=True)
sent, scatter = [], handover.scatter_object_list


def watched(received, parts, src):
    sent.extend(sorted(part.items()) for part in parts or [])
    scatter(received, parts, src=src)


handover.scatter_object_list = watched
rank = accelerator.process_index
held = [{"a": 1, "b": 2, "kept": 9}, {"c": 3, "unwanted": 4}, {}][rank]
wanted = [["a", "c", "a"], ["c"], ["b", "a"]]
found = handover.hand_over(held, wanted, accelerator)
for number in range(3):
    accelerator.wait_for_everyone()
    if number == rank:
        print(f"rank {rank}: found {found}, sent {sent}", flush=True)
accelerator.end_training()
"""


@pytest.mark.medium
def test_three_ranks_send_what_another_needs_to_that_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    result = subprocess.run(
        [str(BIN / "torchrun"), "--standalone", "--nproc_per_node=3", str(script)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-4000:]
    assert result.stdout.splitlines() == [
        "rank 0: found {'a': 1, 'c': 3}, sent [[], [], [('a', 1), ('b', 2)]]",
        "rank 1: found {'c': 3}, sent [[('c', 3)], [], []]",
        "rank 2: found {'b': 2, 'a': 1}, sent [[], [], []]",
    ]


def test_one_rank_keeps_what_it_needs():
    accelerator = Accelerator(cpu=True)
    assert hand_over({1: "a", 2: "b"}, [[2]], accelerator) == {2: "b"}
    with pytest.raises(KeyError):
        hand_over({1: "a"}, [[2]], accelerator)
