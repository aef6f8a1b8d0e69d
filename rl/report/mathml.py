r"""Formulas as MathML: converted in a worker with a deadline, kept if nothing else is in them.

latex2mathml reads LaTeX. The text that it writes cannot be trusted (`\text{<script>}` ends up as a
tag), so its tree is taken, and of that the elements, attributes and values listed here alone.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from time import monotonic
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml import exceptions
from latex2mathml.converter import Converter
from pebble import ProcessExpired, ProcessPool

from rl.answers.workers import FreshWorkerContext, limit_process
from rl.report.formulas import MAX_CHARACTERS, read_formula

MAX_ELEMENTS = 1_000
MAX_DEPTH = 40
BATCH_SECONDS = 10.0
# A tag, its attributes if it has any, then texts and trees.
Tree = list[Any]

# How many children an element has; None: any number. What a reader would not see (mphantom) and
# anything that leads elsewhere is not among them.
_CHILDREN = {"math": None, "mrow": None, "mstyle": None, "mtable": None, "mtr": None, "mtd": None}
_CHILDREN |= {"menclose": None, "mpadded": None, "msqrt": None, "mspace": 0}
_CHILDREN |= dict.fromkeys(("mi", "mn", "mo", "mtext"), 0)
_CHILDREN |= dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2)
_CHILDREN |= dict.fromkeys(("msubsup", "munderover"), 3)
_LENGTH = re.compile(r"[0-9]?(\.[0-9]{1,4})?(em)?")
_WORDS = re.compile(r"[a-z]{3,20}([ -][a-z]{3,20}){0,3}")
_LENGTHS = {"linethickness", "maxsize", "minsize", "scriptlevel"}
_NAMES = {"accent", "columnalign", "display", "displaystyle", "fence", "form", "largeop"}
_NAMES |= {"mathvariant", "movablelimits", "notation", "separator", "stretchy"}
# Commands that name others could unfold without end.
_MACROS = re.compile(r"\\(?:re|provide)?newcommand|\\(?:[egx]?def|let|DeclareMathOperator)\b")
_CHARACTER = re.compile(r"&#x([0-9A-Fa-f]{1,6});")
# What the converter raises on LaTeX that it cannot read; most of its own errors have no base.
_UNREADABLE = tuple(
    found
    for found in vars(exceptions).values()
    if isinstance(found, type) and issubclass(found, Exception)
)
_UNREADABLE += (AttributeError, LookupError, RuntimeError, StopIteration, TypeError, ValueError)


def to_tree(source: str) -> Tree | None:
    r"""Convert one formula.

    Args:
        source: As `rl.report.formulas.find_formulas` has it.

    Returns:
        Its MathML; None where it has to stand as it was written: it cannot be read, holds an
        unknown command, is too long, or comes to something that is not allowed here.

    Example:
        >>> to_tree("$x^2$"), to_tree(r"$\unknown$")
        (['math', {'display': 'inline'}, ['msup', ['mi', 'x'], ['mn', '2']]], None)
    """
    latex, is_block = read_formula(source)
    if len(source) > MAX_CHARACTERS + 100 or _MACROS.search(latex):
        return None
    try:
        converter = Converter(display="block" if is_block else "inline")
        math = converter.convert_to_element(latex.strip())
        budget = iter(range(MAX_ELEMENTS))
        return _tree(math, budget, MAX_DEPTH)
    except _UNREADABLE:
        return None


def _tree(element: Element, budget: Iterator[int], depth: int) -> Tree:
    """Copy what is allowed of an element.

    Raises:
        ValueError: If something in it is not allowed.
        StopIteration: If it has too many elements.
    """
    next(budget)
    children = [*element]
    if element.tag == "mrow" and len(children) == 1 and not element.attrib:
        return _tree(children[0], budget, depth)
    expected = _CHILDREN.get(element.tag, -1)
    if depth == 0 or expected not in (None, len(children)):
        raise ValueError(element.tag)
    attributes = {name: value for name, value in element.attrib.items() if _is_allowed(name, value)}
    if element.tag == "mspace":
        attributes = (
            {"width": width} if _LENGTH.fullmatch(width := element.get("width", "")) else {}
        )
    text = _CHARACTER.sub(lambda found: chr(int(found[1], 16)), element.text or "")
    if text.startswith("\\") and len(text) > 1 and element.tag != "mtext":
        raise ValueError(text)  # a command the converter does not know
    copies = [_tree(child, budget, depth - 1) for child in children]
    return [element.tag, *([attributes] if attributes else []), *([text] if text else []), *copies]


def _is_allowed(name: str, value: str) -> bool:
    if name in _LENGTHS:
        return bool(_LENGTH.fullmatch(value))
    return name in _NAMES and bool(_WORDS.fullmatch(value))


def to_trees(
    sources: Iterable[str],
    deadline_seconds: float,
    batch_size: int = 500,
    convert: Callable[[str], Tree | None] = to_tree,
) -> Iterator[tuple[int, dict[str, Tree]]]:
    """Convert formulas in a worker process, a batch at a time.

    Args:
        sources: Formulas, each once.
        deadline_seconds: Wall-clock time after which no further batch is begun; a batch may take
            `BATCH_SECONDS`, and a formula of a batch that took more a second.
        batch_size: Formulas of a batch.
        convert: What the worker calls on each.

    Yields:
        How many formulas were tried, and formula -> MathML of those that could be converted.
    """
    end = monotonic() + deadline_seconds
    context = FreshWorkerContext()
    waiting = iter(sources)
    with ProcessPool(max_workers=1, initializer=limit_process, context=context) as pool:

        def ask(some: Sequence[str], seconds: float) -> list[Tree | None] | None:
            try:
                return pool.schedule(_convert_all, args=(convert, some), timeout=seconds).result()
            except (TimeoutError, ProcessExpired, BrokenProcessPool, MemoryError):
                return None

        while monotonic() < end and (batch := list(islice(waiting, batch_size))):
            trees = ask(batch, BATCH_SECONDS)
            if trees is None:  # one of them hangs or kills the worker; the others are kept
                each = (ask([one], 1.0) if monotonic() < end else None for one in batch)
                trees = [found[0] if found else None for found in each]
            found = zip(batch, trees, strict=True)
            yield len(batch), {one: tree for one, tree in found if tree is not None}
        pool.stop()


def _convert_all(
    convert: Callable[[str], Tree | None], sources: Sequence[str]
) -> list[Tree | None]:
    return [convert(source) for source in sources]
