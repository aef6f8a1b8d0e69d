"""The self-play testbed's notes, and questions about them.

A fact is a number of two digits: `37` says that the third name, c, has the value 7. (One token for
a fact keeps looking up within reach of a model this small.) Questions are sums of names, or the
product of two; `a+b+c` names the form of all sums of three.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

NUM_NOTES = 3
NAMES_PER_NOTE = 3
MAX_VALUE = 9
NAMES = "abcdefghi"


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Tiny documents of one topic.

    Attributes:
        texts: The notes, such as `37 13 98`.
        values: Name -> value, of all notes.
    """

    texts: tuple[str, ...]
    values: Mapping[str, int]


def draw_notes(rng: random.Random, num_notes: int = NUM_NOTES) -> Notes:
    """Draw notes whose names differ."""
    names = rng.sample(NAMES, num_notes * NAMES_PER_NOTE)
    values = {name: rng.randint(1, MAX_VALUE) for name in names}
    texts = [
        " ".join(fact(name, values) for name in names[start : start + NAMES_PER_NOTE])
        for start in range(0, len(names), NAMES_PER_NOTE)
    ]
    return Notes(texts=tuple(texts), values=values)


def fact(name: str, values: Mapping[str, int]) -> str:
    """Write down the value of a name: its number, and the value.

    Example:
        >>> fact("c", {"c": 7})
        '37'
    """
    return f"{NAMES.index(name) + 1}{values[name]}"


def gold_answer(question: str, values: Mapping[str, int]) -> str:
    """The right answer.

    Example:
        >>> gold_answer("a+k+2", {"a": 7, "k": 3}), gold_answer("a*k", {"a": 7, "k": 3})
        ('12', '21')
    """
    terms = [values[t] if t in values else int(t) for t in re.split(r"[+*]", question)]
    return str(prod(terms) if "*" in question else sum(terms))


def form_of(question: str) -> str:
    """Say of which form a question is.

    Example:
        >>> form_of("c+i+a"), form_of("4*7")
        ('a+b+c', 'a*b')
    """
    letters = iter("abcdefgh")
    return re.sub(r"[a-z0-9]+", lambda _: next(letters), question)


def draw_question(form: str, values: Mapping[str, int], rng: random.Random) -> str:
    """Draw a question of a form about different names."""
    return fill_form(form, rng.sample(list(values), 4))


def fill_form(form: str, terms: Sequence[str | int]) -> str:
    """Put terms in the places of a form's letters, as many as there are."""
    places = dict(zip("abcd", terms, strict=False))
    return "".join(str(places.get(character, character)) for character in form)


def about_numbers(form: str, rng: random.Random) -> str:
    """Draw a question of a form about numbers; a single number is no question, so two are added."""
    return fill_form("a+b" if form == "a" else form, [rng.randint(1, MAX_VALUE) for _ in "abcd"])
