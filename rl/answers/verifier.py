"""What runs inside a worker process: Math-Verify on one pair of answers.

Only worker processes import this module, see `rl.answers.workers`: Math-Verify needs seconds to
load, can hang, and evaluates text a model wrote. It must not import torch or trl.
"""

import logging
from functools import lru_cache
from typing import Any

from math_verify import LatexExtractionConfig, parse, verify

# LaTeX only: Math-Verify's other extractor hands text to SymPy's parse_expr, which is an eval.
_EXTRACTION = (LatexExtractionConfig(boxed_match_priority=0),)


def is_same(left: str, right: str) -> bool:
    """Ask Math-Verify in both directions, because its answer depends on which side is the gold one.

    Args:
        left: LaTeX with balanced braces.
        right: The same.

    Returns:
        True if either direction holds. False also if a side cannot be parsed.
    """
    sides = _parse(left), _parse(right)
    return any(
        verify(gold, other, timeout_seconds=None)  # the deadline is the parent's
        for gold, other in (sides, sides[::-1])
    )


@lru_cache(maxsize=4_096)
def _parse(text: str) -> list[Any]:
    boxed = f"\\boxed{{{text}}}"
    return parse(boxed, _EXTRACTION, parsing_timeout=None)  # type: ignore[arg-type]


def _warm_up() -> None:
    """Build the parser's tables once; workers forked from a process that did so start ready."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    for left, right in (("\\frac{x+1}{2}", "0.5(x+1)"), ("x>\\sqrt{2}", "(\\sqrt{2},\\infty)")):
        is_same(left, right)


_warm_up()
