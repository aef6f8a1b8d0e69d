r"""Values of LaTeX or plain expressions: exact fractions, or samples at fixed points.

Two answers such as `2\sqrt{3}` and `\frac{6}{\sqrt{3}}`, or `(x+1)^2` and `x^2+2x+1`, are compared
by their values: expressions without irrational parts become a `Fraction`, all others are evaluated
in floating point, with each variable set to a fixed pseudo-random positive number. Two different
expressions that agree to ten digits at both points are possible but need to be constructed.

Nothing here executes the text: it is parsed by a grammar with limits (`rl.answers.grammar`) and
evaluated with a limit on every operation that can grow. What that does not cover is None.
"""

import cmath
import math
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from rl.answers.grammar import Node, UnparsableError, parse_expression

Value = Fraction | float | complex

_MAX_BITS = 4_000  # of an exact power; floats end near 1,024 bits
_MAX_FACTORIAL = 170
_MAX_BINOMIAL = 4_000  # as many bits at most
_NUM_POINTS = 2
_SNAP_DENOMINATOR = 1_000
_SNAP_TOLERANCE = 1e-13

_CONSTANTS: dict[str, Value] = {"pi": math.pi, "e": math.e, "i": 1j}
_FUNCTIONS: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tan": cmath.tan,
    "cot": lambda x: 1 / cmath.tan(x),
    "sec": lambda x: 1 / cmath.cos(x),
    "csc": lambda x: 1 / cmath.sin(x),
    "arcsin": cmath.asin,
    "arccos": cmath.acos,
    "arctan": cmath.atan,
    "asin": cmath.asin,
    "acos": cmath.acos,
    "atan": cmath.atan,
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "exp": cmath.exp,
    "ln": cmath.log,
    "log": cmath.log10,
    "lg": cmath.log10,
}


def evaluate_expression(text: str) -> tuple[Value, ...] | None:
    r"""Evaluate an expression exactly, or at fixed points.

    Supported: numbers, `+ - * / ^ !`, implicit products, `\frac`, `\sqrt[n]`, `\binom`, repeating
    decimals (`0.\overline{3}`), elementary functions, `\pi`, `e`, `i`, variables of one letter with
    optional subscripts. Degrees count as numbers, and as angles inside trigonometric functions.
    `\log` without a base is the decimal logarithm.

    Args:
        text: LaTeX or plain text.

    Returns:
        One value if the expression is constant, else its values at the fixed points. A constant
        within 1e-13 (relative) of a fraction with a denominator of at most 1,000 is that fraction,
        so `\sqrt{4}` and `\log_2 4` are 2. None if the text is not covered, too long, too deep or
        too large, or undefined at a point.

    Example:
        >>> evaluate_expression(r"\frac12 + .5")
        (Fraction(1, 1),)
        >>> evaluate_expression("__import__('os')") is None
        True
    """
    try:
        node, names = parse_expression(text)
        points = [{name: _probe(name, point) for name in names} for point in range(_NUM_POINTS)]
        values = [_evaluate(node, point) for point in (points if names else points[:1])]
    except (UnparsableError, ArithmeticError, ValueError):  # log(0), 1/0, 10^400 as a float
        return None
    if any(not isinstance(value, Fraction) and not cmath.isfinite(value) for value in values):
        return None
    return tuple(_snap(value) for value in values)


def fingerprint(values: tuple[Value, ...]) -> tuple[str | Fraction, ...]:
    """Round values to ten digits so that equal expressions give equal, hashable results.

    Args:
        values: Values of one expression, from `evaluate_expression`.

    Returns:
        Fractions unchanged and other values as text; a single one if all values agree.
    """
    rounded = tuple(v if isinstance(v, Fraction) else _round(complex(v)) for v in values)
    return rounded[:1] if len(set(rounded)) == 1 else rounded


def _round(value: complex) -> str:
    size = abs(value)
    parts = [0.0 if abs(part) < 1e-9 * size else part for part in (value.real, value.imag)]
    return " ".join(f"{part:.9e}" for part in parts)


def _snap(value: Value) -> Value:
    """Replace a float by the simple fraction it stands for, if there is one."""
    if isinstance(value, Fraction):
        return value
    number = complex(value)
    tolerance = _SNAP_TOLERANCE * max(1.0, abs(number))
    if abs(number.imag) > tolerance or tolerance > 1e-3:
        return value
    # Simple fractions must lie much further apart than the tolerance.
    max_denominator = min(_SNAP_DENOMINATOR, int((1e-3 / tolerance) ** 0.5))
    nearest = Fraction(number.real).limit_denominator(max_denominator)
    return nearest if abs(float(nearest) - number.real) <= tolerance else value


def _probe(name: str, point: int) -> float:
    """Give a variable its fixed value: positive, so that roots and logarithms simplify."""
    return 0.2 + 0.6 * zlib.crc32(f"{point}:{name}".encode()) / 2**32


def _evaluate(node: Node, point: dict[str, float]) -> Value:
    if isinstance(node, (Fraction, float)):
        return node
    if isinstance(node, str):
        return point[node]
    operator, *operands = node
    if operator == "constant":
        return _CONSTANTS[operands[0]]
    if operator == "call":
        return _FUNCTIONS[operands[0]](complex(_evaluate(operands[1], point)))
    left, *rest = (_evaluate(operand, point) for operand in operands)
    return _OPERATIONS[operator](left, *rest)


def _power(base: Any, exponent: Any) -> Value:
    if not (isinstance(base, Fraction) and isinstance(exponent, Fraction)):
        return base**exponent
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if bits * abs(exponent.numerator) > _MAX_BITS:
        raise OverflowError
    power = base**exponent.numerator
    return power if exponent.denominator == 1 else _root(power, Fraction(exponent.denominator))


def _root(value: Any, index: Any) -> Value:
    is_odd = isinstance(index, Fraction) and index.denominator == 1 and index.numerator % 2 == 1
    if is_odd and isinstance(value, Fraction) and value < 0:
        return -(float(-value) ** (1 / float(index)))
    return complex(value) ** (1 / complex(index))


def _natural(value: Any, limit: int) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value <= limit:
        raise ValueError
    return value.numerator


_OPERATIONS: dict[str, Callable[..., Value]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "^": _power,
    "neg": lambda value: -value,
    "root": _root,
    "log": lambda value, base: cmath.log(complex(value)) / cmath.log(complex(base)),
    "!": lambda value: Fraction(math.factorial(_natural(value, _MAX_FACTORIAL))),
    "binom": lambda n, k: Fraction(
        math.comb(_natural(n, _MAX_BINOMIAL), _natural(k, _MAX_BINOMIAL))
    ),
}
