r"""Values of LaTeX or plain expressions: exact fractions, or samples at fixed points.

Two answers such as `2\sqrt{3}` and `\frac{6}{\sqrt{3}}`, or `(x+1)^2` and `x^2+2x+1`, are compared
by their values: expressions without irrational parts become a `Fraction`, all others are evaluated
in floating point, with each variable set to a fixed pseudo-random positive number. Two different
expressions that agree to ten digits at both points are possible but need to be constructed.

Nothing here executes the text: a tokenizer, a recursive-descent parser with a depth limit and an
evaluator with limits on every operation that can grow. What they do not cover is None.
"""

import cmath
import math
import re
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

Value = Fraction | float | complex
# A parsed expression: a Fraction, a variable's name, or an operator's name and its operands.
Node = Any

# Bounds the recursion: a chain of n operators is a tree of depth n.
_MAX_CHARACTERS = 300
_MAX_DEPTH = 30
_MAX_BITS = 4_000  # of an exact power; floats end near 1,024 bits
_MAX_FACTORIAL = 170
_NUM_POINTS = 2
_SNAP_DENOMINATOR = 1_000
_SNAP_TOLERANCE = 1e-13

_TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d*)?|\.\d+)|\\(?P<command>[A-Za-z]+)|(?P<word>[A-Za-z]+)"
    r"|(?P<symbol>[-+*/^_(){}\[\]!|])|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|kappa|lambda|mu|nu|xi|rho"
    "|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|ell"
)
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
    "sinh": cmath.sinh,
    "cosh": cmath.cosh,
    "tanh": cmath.tanh,
    "exp": cmath.exp,
    "ln": cmath.log,
    "log": cmath.log10,
    "lg": cmath.log10,
}
_TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_PRODUCT_SIGNS = frozenset(("*", "\\cdot", "\\times", "\\ast"))
_QUOTIENT_SIGNS = frozenset(("/", "\\div"))
_FRACTIONS = frozenset(("\\frac", "\\dfrac", "\\tfrac", "\\cfrac"))
_BINOMIALS = frozenset(("\\binom", "\\dbinom", "\\tbinom"))


class _UnparsableError(Exception):
    """The text is not an expression this module covers."""


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
    if len(text) > _MAX_CHARACTERS:
        return None
    try:
        node, names = _Parser(text).parse()
        points = [{name: _probe(name, point) for name in names} for point in range(_NUM_POINTS)]
        values = [_evaluate(node, point) for point in (points if names else points[:1])]
    except (_UnparsableError, ArithmeticError, ValueError):  # log(0), 1/0, 10^400 as a float
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


class _Parser:
    """Recursive descent over tokens; every nested construct counts towards the depth limit."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokenize(text)
        self.position = 0
        self.depth = 0
        self.names: set[str] = set()
        self.is_angle = False

    def parse(self) -> tuple[Node, set[str]]:
        node = self.sum()
        if self.peek():
            raise _UnparsableError
        return node, self.names

    def peek(self) -> str:
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.position += 1
        return token

    def accept(self, token: str) -> bool:
        if self.peek() != token:
            return False
        self.position += 1
        return True

    def expect(self, token: str) -> None:
        if not self.accept(token):
            raise _UnparsableError

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _UnparsableError
        node = self.product()
        while self.peek() in ("+", "-"):
            node = (self.take(), node, self.product())
        self.depth -= 1
        return node

    def product(self) -> Node:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        node = self.power()
        while True:
            token = self.peek()
            if token in _PRODUCT_SIGNS or token in _QUOTIENT_SIGNS:
                operator = "/" if self.take() in _QUOTIENT_SIGNS else "*"
                negative = self.accept("-")
                factor = self.power()
                node = (operator, node, ("neg", factor) if negative else factor)
            elif self.starts_factor(token):
                node = self.implicit_product(node)
            else:
                return ("neg", node) if sign < 0 else node

    def implicit_product(self, node: Node) -> Node:
        """Multiply, except that an integer before a proper fraction is a mixed number."""
        is_fraction = self.peek() in _FRACTIONS
        is_integer = isinstance(node, Fraction) and node.denominator == 1
        if self.peek()[0] in ".0123456789":  # "1.2.3" and "10 30" are no products
            raise _UnparsableError
        factor = self.power()
        if is_fraction and is_integer and _is_proper_fraction(factor):
            return ("+", node, factor)
        return ("*", node, factor)

    def starts_factor(self, token: str) -> bool:
        return bool(token) and (token[0].isalnum() or token[0] in "\\(" or token in "{[")

    def power(self) -> Node:
        node = self.atom()
        while True:
            if self.accept("!"):
                node = ("!", node)
            elif self.accept("^"):
                node = self.exponent(node)
            else:
                return node

    def exponent(self, node: Node) -> Node:
        if self.peek() == "\\circ" or self.tokens[self.position :][:3] == ["{", "\\circ", "}"]:
            self.position += 1 if self.peek() == "\\circ" else 3
            return ("*", node, math.pi / 180) if self.is_angle else node
        power = self.script()
        return ("^", node, self.exponent(power) if self.accept("^") else power)

    def script(self) -> Node:
        """Read an exponent, base or root: a group, a number (`2^10` is 1024) or a letter."""
        if self.accept("{"):
            return self.until("}")
        negative = self.accept("-")
        node = self.atom()
        return ("neg", node) if negative else node

    def fraction_part(self) -> Node:
        r"""Read a group or, as TeX does, one character: `\frac12` is one half."""
        token = self.peek()
        if not token[:1].isdigit():
            return self.script()
        self.tokens[self.position : self.position + 1] = [token[0], token[1:]][: len(token)]
        return Fraction(self.take())

    def until(self, closing: str) -> Node:
        node = self.sum()
        self.expect(closing)
        return node

    def atom(self) -> Node:
        token = self.take()
        if token and (token[0].isdigit() or token[0] == "."):
            return self.decimal(token)
        if token in ("(", "[", "{"):
            return self.until({"(": ")", "[": "]", "{": "}"}[token])
        if token in _FRACTIONS:
            return ("/", self.fraction_part(), self.fraction_part())
        if token in _BINOMIALS:
            return ("binom", self.fraction_part(), self.fraction_part())
        if token in ("\\sqrt", "sqrt"):
            index = self.until("]") if self.accept("[") else Fraction(2)
            return ("root", self.script(), index)
        name = token.lstrip("\\")
        if name in _FUNCTIONS:
            return self.function(name)
        if name in _CONSTANTS and self.peek() != "_":
            return ("constant", name)
        if _GREEK.fullmatch(name) or (len(token) == 1 and token.isalpha()):
            return self.variable(name)
        raise _UnparsableError

    def decimal(self, token: str) -> Node:
        r"""Read a number, with the repeating part of `0.1\overline{6}`."""
        if "." not in token or self.tokens[self.position :][:2] != ["\\overline", "{"]:
            return Fraction(token)
        digits = self.tokens[self.position + 2] if len(self.tokens) > self.position + 2 else ""
        self.position += 3
        self.expect("}")
        places = len(token.partition(".")[2])
        if not digits.isdigit():
            raise _UnparsableError
        return Fraction(token) + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)

    def variable(self, name: str) -> Node:
        if self.accept("_"):
            group = self.accept("{")
            name += "_" + self.take()
            while group and not self.accept("}"):
                token = self.take()
                if not token.isalnum():
                    raise _UnparsableError
                name += token
        self.names.add(name)
        return name

    def function(self, name: str) -> Node:
        base = self.script() if name == "log" and self.accept("_") else None
        exponent = self.script() if self.accept("^") else None
        was_angle, self.is_angle = self.is_angle, self.is_angle or name in _TRIGONOMETRIC
        argument = self.argument()
        self.is_angle = was_angle
        if exponent == ("neg", Fraction(1)) and name in ("sin", "cos", "tan"):
            return ("call", "arc" + name, argument)
        node = ("log", argument, base) if base is not None else ("call", name, argument)
        return node if exponent is None else ("^", node, exponent)

    def argument(self) -> Node:
        """Read `(x)` or, without parentheses, the product up to the next sign or function."""
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise _UnparsableError
        is_group = self.peek() in ("(", "{", "[")
        node = self.power()
        while (
            not is_group
            and self.starts_factor(self.peek())
            and self.peek() not in _PRODUCT_SIGNS | _QUOTIENT_SIGNS
            and self.peek().lstrip("\\") not in _FUNCTIONS
        ):
            node = ("*", node, self.power())
        self.depth -= 1
        return node


def _tokenize(text: str) -> list[str]:
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "other":
            raise _UnparsableError
        if kind == "word" and token not in _FUNCTIONS and token not in ("sqrt", "pi"):
            if len(token) > 3:  # prose, not a product of variables
                raise _UnparsableError
            tokens.extend(token)
        elif kind != "space":
            tokens.append(token)
    return tokens


def _is_proper_fraction(node: Node) -> bool:
    return (
        isinstance(node, tuple)
        and node[0] == "/"
        and isinstance(node[1], Fraction)
        and isinstance(node[2], Fraction)
        and 0 < node[1] < node[2]
    )


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
        math.comb(_natural(n, _MAX_FACTORIAL), _natural(k, _MAX_FACTORIAL))
    ),
}
