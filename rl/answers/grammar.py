r"""The grammar of LaTeX and plain expressions: text to a tree, with limits on length and depth.

A tree is a `Fraction`, a float, a variable's name, or a tuple of an operator and its operands.
"""

import math
import re
from fractions import Fraction
from typing import Any

Node = Any

# Bounds the recursion: a chain of n operators is a tree of depth n.
_MAX_CHARACTERS = 300
_MAX_DEPTH = 30
_FLOAT_DIGITS = 13

# 1e3, 2.5e-4 and 1E-5 are numbers in scientific notation; 3e-1 is three times e, minus one.
_SCIENTIFIC = r"(?:\d+(?:\.\d+)?(?:e|E[+-]?)|\d+\.\d+e[+-]|\d+e[+-](?=0\d))\d{1,3}(?![\w.])"
_TOKEN = re.compile(
    rf"(?P<number>{_SCIENTIFIC}|\d+(?:\.\d*)?|\.\d+)"
    r"|(?P<stars>\*\*)|\\(?P<command>[A-Za-z]+)|(?P<word>[A-Za-z]+)"
    r"|(?P<symbol>[-+*/^_(){}\[\]!|])|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_GREEK = re.compile(
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|vartheta|kappa|lambda|mu|nu|xi|rho"
    "|sigma|tau|phi|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|ell"
)
CONSTANTS = frozenset(("pi", "e", "i"))
FUNCTIONS = frozenset(
    (
        *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"),
        *("asin", "acos", "atan", "sinh", "cosh", "tanh", "exp", "ln", "log", "lg"),
    )
)
_TRIGONOMETRIC = frozenset(("sin", "cos", "tan", "cot", "sec", "csc"))
_PRODUCT_SIGNS = frozenset(("*", "\\cdot", "\\times", "\\ast"))
_QUOTIENT_SIGNS = frozenset(("/", "\\div"))
_FRACTIONS = frozenset(("\\frac", "\\dfrac", "\\tfrac", "\\cfrac"))
_BINOMIALS = frozenset(("\\binom", "\\dbinom", "\\tbinom"))


class UnparsableError(Exception):
    """The text is not an expression of this grammar."""


def parse_expression(text: str) -> tuple[Node, set[str]]:
    """Parse an expression.

    Args:
        text: LaTeX or plain text.

    Returns:
        The tree and the names of its variables.

    Raises:
        UnparsableError: If the text does not follow the grammar, is too long or nested too deeply.

    Example:
        >>> parse_expression("2x+1")
        (('+', ('*', Fraction(2, 1), 'x'), Fraction(1, 1)), {'x'})
    """
    if len(text) > _MAX_CHARACTERS:
        raise UnparsableError
    return _Parser(text).parse()


def is_float_printout(number: str) -> bool:
    """Tell whether a decimal has so many digits that a program printed it, with rounding errors.

    Example:
        >>> is_float_printout("0.30000000000000004"), is_float_printout("0.00000000000015")
        (True, False)
    """
    whole, _, decimals = number.partition(".")
    decimals = decimals.rstrip("0")
    return bool(decimals) and len((whole + decimals).lstrip("-+0")) >= _FLOAT_DIGITS


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
            raise UnparsableError
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
            raise UnparsableError

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise UnparsableError
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
            raise UnparsableError
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
        if name in FUNCTIONS:
            return self.function(name)
        if name in CONSTANTS and self.peek() != "_":
            return ("constant", name)
        if _GREEK.fullmatch(name) or (len(token) == 1 and token.isalpha()):
            return self.variable(name)
        raise UnparsableError

    def decimal(self, token: str) -> Node:
        r"""Read a number, with the repeating part of `0.1\overline{6}`."""
        if is_float_printout(token):
            return float(token)
        if "." not in token or self.tokens[self.position :][:2] != ["\\overline", "{"]:
            return Fraction(token)
        digits = self.tokens[self.position + 2] if len(self.tokens) > self.position + 2 else ""
        self.position += 3
        self.expect("}")
        places = len(token.partition(".")[2])
        if not digits.isdigit():
            raise UnparsableError
        return Fraction(token) + Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)

    def variable(self, name: str) -> Node:
        if self.accept("_"):
            tokens = [self.take()]
            while tokens[0] == "{" and tokens[-1] not in ("}", ""):
                tokens.append(self.take())
            subscript = "".join(tokens[1:-1] if tokens[0] == "{" else tokens)
            if not subscript.isalnum():
                raise UnparsableError
            name += "_" + subscript
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
            raise UnparsableError
        is_group = self.peek() in ("(", "{", "[")
        node = self.power()
        while (
            not is_group
            and self.starts_factor(self.peek())
            and self.peek() not in _PRODUCT_SIGNS | _QUOTIENT_SIGNS
            and self.peek().lstrip("\\") not in FUNCTIONS
        ):
            node = ("*", node, self.power())
        self.depth -= 1
        return node


def _tokenize(text: str) -> list[str]:
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        kind, token = match.lastgroup, match.group()
        if kind == "other":
            raise UnparsableError
        if kind == "stars":  # a program's power
            token = "^"
        if kind == "word" and token not in FUNCTIONS and token not in ("sqrt", "pi"):
            if len(token) > 3:  # prose, not a product of variables
                raise UnparsableError
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
