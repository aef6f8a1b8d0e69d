"""What a noisy teacher writes, part by part, with what might have stood in the place of each."""

import random
from collections.abc import Mapping
from typing import NamedTuple

BOXED = r"\boxed{"


class Part(NamedTuple):
    """A piece of a teacher's solution.

    Attributes:
        text: What is written; empty text ends the solution.
        alternatives: What may stand here, `text` among it -> its probability. Each is one token, or
            a minus sign and one token. Empty: nothing else can.
    """

    text: str
    alternatives: Mapping[str, float] = {}


def draw(alternatives: Mapping[str, float] | Mapping[int, float], rng: random.Random) -> Part:
    """Draw one of several texts or numbers by its probability."""
    texts = {str(alternative): prob for alternative, prob in alternatives.items()}
    [text] = rng.choices(list(texts), weights=list(texts.values()))
    return Part(text, texts)
