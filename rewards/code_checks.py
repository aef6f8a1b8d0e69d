"""Programs in model text, run in the sandbox, and whether what they print is an answer."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Annotated

from pydantic import Field

from rl.answers import extract_answer, outer_brackets, same_answer, split_top_level
from rl.sandbox import LIMITS, ProgramResult, require_sandbox, run_programs
from rl.settings import Positive
from rl.types import Group

# How many votes a verified one counts for; below 1 a check that is passed would speak against.
Omega = Annotated[float, Field(ge=1, allow_inf_nan=False)]
_FENCE = re.compile(r"[ \t]*```[ \t]*(\w*)")
_PYTHON = ("python", "python3", "py")
_MAX_ANSWER = 300  # characters
_MAX_PARTS = 16  # of a line: more are a table


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a program said of an answer.

    Attributes:
        ended: How the program ended (`rl.sandbox.ProgramResult`); None: there is none.
        is_verified: Whether it finished and printed the answer.
    """

    ended: str | None
    is_verified: bool


def python_blocks(text: str) -> list[str]:
    r"""Return the programs in a text: what stands in fences marked python, each closed.

    A fence with another mark closes none. What all lines of a program are indented by is taken
    away, as of one in a list.

    Example:
        >>> python_blocks("So:\n```python\nprint(2)\n```\n```output\n2\n```\n```py\n1 / 0")
        ['print(2)']
    """
    blocks: list[str] = []
    block: list[str] | None = None
    for line in text.split("\n"):
        fence = _FENCE.match(line)
        if fence and fence[1].lower() in _PYTHON:
            block = []  # one that was open was never closed
        elif fence and fence[1]:
            block = None  # so was this one
        elif fence and block is not None:
            blocks.append(textwrap.dedent("\n".join(block)))
            block = None
        elif block is not None:
            block.append(line)
    return blocks


@dataclass(frozen=True, kw_only=True)
class OwnPrograms:
    """Settings of a weight of votes that runs the programs in completions.

    Attributes:
        omega: At least 1; 1 is the plain vote.
        max_seconds: Wall-clock time of a program.
        max_group_seconds: Of all programs of a group on its rank, a few at a time; what has not
            begun by then says nothing, and `not_run_frac` counts it.
    """

    omega: Omega = 5.0
    max_seconds: Positive = 5.0
    max_group_seconds: Positive = 120.0

    def __post_init__(self) -> None:
        require_sandbox()


def own_programs(group: Group) -> list[str | None]:
    """Return the program that each completion holds: all of its blocks, as a notebook runs them."""
    return ["\n".join(python_blocks(rollout.completion)) or None for rollout in group.rollouts]


def printed_answers(stdout: str) -> list[str]:
    r"""Return the answer that a program printed, in the forms it may be meant in; none if none.

    It is what the output says as a completion would, in a box or after "the answer is"; else its
    last line that is not blank. A list's brackets may be Python's alone.

    Example:
        >>> printed_answers("n = 3\n[1, 2]\n"), printed_answers(" \n")
        (['[1, 2]', '1, 2'], [])
    """
    last = _last_line(stdout)
    if last is None:
        return []
    answer = extract_answer(stdout) or last
    is_list = answer.startswith("[") and answer.endswith("]")
    return [answer, answer[1:-1]] if is_list else [answer]


def printed_parts(stdout: str) -> list[str]:
    r"""Return the values in the last line that a program printed, if it holds more than one word.

    They are the items of a tuple or list, else what follows the last colon, else the words.
    Quotes around a string are left out, and a line of more than 16 parts has none.

    Example:
        >>> printed_parts("('Ann', 3.5)"), printed_parts("shares: 3"), printed_parts("12 7")
        (['Ann', '3.5'], ['3'], ['12', '7'])
    """
    last = _last_line(stdout) or ""
    brackets = outer_brackets(last)
    if brackets is not None and brackets[0] in "([":
        parts = split_top_level(brackets[1], ",")
    elif ":" in last:
        parts = [last.rpartition(":")[2]]
    else:
        words = last.split()
        parts = words if len(words) > 1 else []
    plain = [part.strip().strip("'\"") for part in parts]
    return [part for part in plain if part] if len(plain) <= _MAX_PARTS else []


def _last_line(stdout: str) -> str | None:
    """Return the last line that is not blank; None if there is none, or it is no answer's size."""
    lines = [line.strip() for line in stdout.splitlines() if line.strip()]
    return lines[-1] if lines and len(lines[-1]) <= _MAX_ANSWER else None


def run_those_given(
    programs: Sequence[str | None], max_seconds: float, max_group_seconds: float
) -> list[ProgramResult | None]:
    """Run the programs that are not None, each for max_seconds at most; None for the others.

    Args:
        programs: One for each completion.
        max_seconds: Wall-clock time of a program.
        max_group_seconds: Of all of them; those that have not begun by then are not run.
    """
    given = [program for program in programs if program is not None]
    limits = replace(LIMITS, seconds=max_seconds)
    results = iter(run_programs(given, limits, max_group_seconds) if given else ())
    return [None if program is None else next(results) for program in programs]


def check_answers(
    programs: Sequence[str | None],
    answers: Sequence[str | None],
    max_seconds: float,
    max_group_seconds: float,
) -> list[Check]:
    """Run programs, and compare what each printed with an answer.

    An answer is verified if its program finishes by itself and prints an equal one (`same_answer`).
    A decimal of few digits equals nothing that it rounds.

    Args:
        programs: One for each answer; None: there is none.
        answers: None: there is none, and nothing is run.
        max_seconds: Wall-clock time of a program.
        max_group_seconds: Of all of them; those that have not begun by then verify nothing.
    """
    wanted = [None if a is None else p for p, a in zip(programs, answers, strict=True)]
    checks = []
    results = run_those_given(wanted, max_seconds, max_group_seconds)
    for answer, result in zip(answers, results, strict=True):
        forms = printed_answers(result.stdout) if result and result.ended == "finished" else []
        checks.append(
            Check(
                ended=result and result.ended,
                is_verified=any(same_answer(form, answer) for form in forms),
            )
        )
    return checks


def check_metrics(checks: Sequence[Check]) -> dict[str, float]:
    """Count what the programs of a group's rollouts did.

    Returns:
        verified_frac, program_frac: shares of the rollouts that are verified, that have a program.
        refuted_frac, failed_frac, timed_out_frac, not_run_frac: shares of those with a program:
            it printed another answer, failed or printed too much, was killed at its own deadline,
            or was not run before the group's. Left out where nobody has a program.
    """
    if not checks:
        return {}
    with_program = [check for check in checks if check.ended is not None]
    metrics = {
        "verified_frac": fmean(check.is_verified for check in checks),
        "program_frac": len(with_program) / len(checks),
    }
    if not with_program:
        return metrics
    finished = [check.ended == "finished" for check in with_program]
    refuted = [f and not c.is_verified for f, c in zip(finished, with_program, strict=True)]
    broken = [check.ended in ("failed", "printed_too_much") for check in with_program]
    return {
        **metrics,
        "refuted_frac": fmean(refuted),
        "failed_frac": fmean(broken),
        "timed_out_frac": fmean(check.ended == "timed_out" for check in with_program),
        "not_run_frac": fmean(check.ended == "not_run" for check in with_program),
    }
