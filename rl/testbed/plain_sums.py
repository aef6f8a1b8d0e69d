"""Sums of two numbers for a small pretrained model, which adds them up right now and then.

Each prompt shows two sums and breaks off after a third, as those of `word_problems` do:

    12 + 25 = 37
    41 + 18 = 59
    21 + 48 =

A program can check such an answer, which is what these are for.
"""

import random
from pathlib import Path

from rl.testbed.word_problems import write_problems

NUMBERS = range(10, 50)  # sums of two digits each
EXAMPLES = [(12, 25), (41, 18)]
NUM_TRAIN = 240
NUM_HELDOUT = 96
_SEED = "plain sums"


def plain_sums() -> list[dict[str, str]]:
    r"""Return all sums but those of the examples, in an order that looks random.

    Returns:
        {"prompt", "label"} each, the same on every machine.

    Example:
        >>> plain_sums()[0]
        {'prompt': '12 + 25 = 37\n41 + 18 = 59\n21 + 48 =', 'label': '69'}
    """
    shown = "".join(f"{a} + {b} = {a + b}\n" for a, b in EXAMPLES)
    pairs = [(a, b) for a in NUMBERS for b in NUMBERS if (a, b) not in EXAMPLES]
    random.Random(_SEED).shuffle(pairs)
    return [{"prompt": f"{shown}{a} + {b} =", "label": str(a + b)} for a, b in pairs]


def write_plain_sums(folder: Path) -> None:
    """Write `NUM_TRAIN` sums to train on and `NUM_HELDOUT` others (`write_problems`)."""
    problems = plain_sums()
    write_problems(folder, problems[:NUM_TRAIN], problems[NUM_TRAIN : NUM_TRAIN + NUM_HELDOUT])
