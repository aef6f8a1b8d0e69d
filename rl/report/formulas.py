r"""Where formulas stand in a text: within `$`, `$$`, `\(` or `\[`, in a box, in an environment."""

import re
from collections.abc import Iterator

MAX_CHARACTERS = 1_000
_ENVIRONMENTS = "align|aligned|array|cases|equation|gather|matrix|[bBpvV]matrix"
_DOLLARS = r"\$\$(?:\\[\s\S]|[^$\\]){1,1000}\$\$"
# As Pandoc tells it from money: no space inside of either dollar, no digit after the second one.
_DOLLAR = r"(?<![\\$])\$(?![\s$])(?:\\.|[^$\\\n]){1,1000}(?<!\s)\$(?![\d$])"
_BRACKETS = r"\\\((?:(?!\\[()\[\]])[\s\S]){1,1000}\\\)|\\\[(?:(?!\\[()\[\]])[\s\S]){1,1000}\\\]"
_BOX = r"\\boxed\{(?:[^{}]|\{(?:[^{}]|\{[^{}]{0,200}\}){0,200}\}){1,200}\}"
_ENVIRONMENT = (
    rf"\\begin\{{(({_ENVIRONMENTS})\*?)\}}(?:(?!\\begin\{{\1\}})[\s\S]){{1,1000}}?\\end\{{\1\}}"
)

# Read by Python and by the page's script alike; every part is bounded, so that a search is linear.
PATTERN = "|".join((_DOLLARS, _DOLLAR, _BRACKETS, _BOX, _ENVIRONMENT))
_FORMULA = re.compile(PATTERN)
# What makes a formula of an answer, which stands without signs around it.
_COMMAND = re.compile(r"[\\^_]")


def find_formulas(text: str) -> Iterator[str]:
    r"""Return the formulas of a text with the signs around them, in order.

    A dollar before a number may be money: "$5 and $10" holds no formula.

    Example:
        >>> print(*find_formulas(r"If $x^2 = 4$, \(x\) is \[\pm 2\] and \boxed{2}; $5 and $10."))
        $x^2 = 4$ \(x\) \[\pm 2\] \boxed{2}
    """
    return (found[0] for found in _FORMULA.finditer(text))


def answer_formula(answer: str) -> str | None:
    r"""Return an answer as a formula of its own; None where it is a plain word or number.

    Example:
        >>> print(answer_formula(r"\frac{1}{2}"), answer_formula("12"))
        $\frac{1}{2}$ None
    """
    if len(answer) <= MAX_CHARACTERS and _COMMAND.search(answer) and "$" not in answer:
        return f"${answer}$"
    return None


def read_formula(source: str) -> tuple[str, bool]:
    r"""Take the signs from around a formula.

    Returns:
        Its LaTeX, and whether it stands on a line of its own.

    Example:
        >>> read_formula(r"\[x\]"), read_formula("$x$"), read_formula(r"\boxed{2}")
        (('x', True), ('x', False), ('\\boxed{2}', False))
    """
    if source.startswith("$$") or source.startswith(r"\["):
        return source[2:-2], True
    if source.startswith("$"):
        return source[1:-1], False
    if source.startswith(r"\("):
        return source[2:-2], False
    return source, source.startswith(r"\begin")
