"""A vocabulary of 151,936 tokens never meets all rows and positions at once."""

import json
import subprocess
import sys
from pathlib import Path

from rl.groups.token_statistics import MAX_CHUNK_LOGITS

ROWS, LENGTH, VOCABULARY = 4, 256, 151_936
TILE = 32_768  # columns of the vocabulary in one tile of TRL's output head
FLOAT32 = 4  # bytes


def test_peak_memory_of_a_step_stays_below_its_bound():
    script = Path(__file__).parent / "memory_session.py"
    result = subprocess.run(
        [sys.executable, str(script), str(ROWS), str(LENGTH), str(VOCABULARY)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    peaks = json.loads(result.stdout.splitlines()[-1])
    # A few copies of one chunk, however many rows and positions there are.
    assert peaks["token statistics"] < 5 * MAX_CHUNK_LOGITS * FLOAT32
    # Forward and backward pass of the loss hold copies of one tile, and no tensor over them all.
    assert peaks["loss"] < 12 * ROWS * LENGTH * TILE * FLOAT32
