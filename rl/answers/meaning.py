"""Answers in words that mean the same: classes by sentence embeddings, with what words forbid.

For answers that are no number, letter or formula, such as short answers about a picture or a
disease. Numbers and maths stay with our rules; everything else is compared by the cosine of two
sentence embeddings, where words alone do not set the answers apart (`rl.answers.distinctions`).

Source: classes of meaning, of which a vote or an entropy is taken, are those of Kuhn et al.,
    2302.09664 (section 3), and of EMPO, 2504.05812.
Differs: both ask an entailment model in both directions; we take an embedding, for want of such a
    model on a machine without a network, and rules for what embeddings are blind to. How good that
    is, and how the threshold was chosen: rewards/README.md, "Votes over meanings".
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl.answers.comparers import ComparerError
from rl.answers.distinctions import are_set_apart
from rl.answers.embedding import (
    DEFAULT_MODEL,
    Embedder,
    EmbeddingError,
    ModelName,
    SentenceTransformerEmbedder,
    ServerEmbedder,
)
from rl.answers.keys import answer_key
from rl.answers.text import clean_answer
from rl.answers.units import unit_of
from rl.settings import Share, checked

# Chosen on one half of labelled pairs, by scripts/measurements/meanings.py.
DEFAULT_THRESHOLD = 0.76
_SAME = 2.0  # above every cosine
_NEVER = -2.0
_DIGITS = 6  # a product of matrices may differ in the last ones
_ARTICLES = ("a ", "an ", "the ")


@checked
@dataclass(frozen=True, kw_only=True)
class Meaning:
    """Finds the classes of answers by what they mean.

    Attributes:
        model: A sentence-transformers model, as `rl.answers.embedding` has it.
        url: Address of a server that embeds in place of this process; None for none.
        device: Such as "cpu"; None: the process's GPU if there is one.
        threshold: Least cosine of two answers of one class. It was chosen for all-MiniLM-L6-v2;
            another model needs another one.
    """

    model: ModelName = DEFAULT_MODEL
    url: str | None = None
    device: str | None = None
    threshold: Share = DEFAULT_THRESHOLD

    def __post_init__(self) -> None:
        self._embedder  # noqa: B018 - a wrong address is told before anything is embedded

    def classes(
        self, answers: Sequence[str | None], by_rule: Sequence[int | None]
    ) -> list[int | None]:
        """Number the classes of answers of one group.

        Args:
            answers: One per rollout, None where there is none.
            by_rule: The classes that our rules find.

        Returns:
            Class of each answer, counted from 0 in order of first appearance; None for no answer.
            The classes are those of `complete_linkage`, of the group's different answers in
            alphabetical order: they depend on which answers there are, not on their order or
            number.

        Raises:
            InputError: If the model cannot be loaded.
            ComparerError: If it fails.
        """
        rule_of = {a: c for a, c in zip(answers, by_rule, strict=True) if a is not None}
        distinct = sorted(rule_of)
        found = complete_linkage(self.similarities(distinct, rule_of), self.threshold)
        class_of = dict(zip(distinct, found, strict=True))
        numbers: dict[int, int] = {}
        return [
            None if answer is None else numbers.setdefault(class_of[answer], len(numbers))
            for answer in answers
        ]

    def similarities(
        self, answers: Sequence[str], rule_of: dict[str, Any] | None = None
    ) -> NDArray[np.float64]:
        """Compare answers, each with each.

        Args:
            answers: N different ones.
            rule_of: Answer -> its class by our rules; None: all differ.

        Returns:
            (N, N), symmetric: 2 where our rules call two answers equal and their units do not
            differ, -2 where both are not in words or words set them apart, else the cosine of their
            embeddings.
        """
        texts = [plain_text(answer) for answer in answers]
        in_words = [is_in_words(answer) for answer in answers]
        cosines = self.cosines([text for text, is_so in zip(texts, in_words, strict=True) if is_so])
        place = np.cumsum(in_words) - 1
        table = np.full((len(answers), len(answers)), _NEVER)
        for i in range(len(answers)):
            table[i, i] = _SAME
            for j in range(i):
                if rule_of is not None and rule_of[answers[i]] == rule_of[answers[j]]:
                    units = {unit_of(answers[i]), unit_of(answers[j])} - {""}
                    table[i, j] = _SAME if len(units) < 2 else _NEVER
                elif in_words[i] and in_words[j] and not are_set_apart(texts[i], texts[j]):
                    table[i, j] = cosines[place[i], place[j]]
                table[j, i] = table[i, j]
        return table

    @cached_property
    def _embedder(self) -> Embedder:
        if self.url is not None:
            return ServerEmbedder(url=self.url, model=self.model)
        return SentenceTransformerEmbedder(model=self.model, device=self.device)

    def cosines(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Compare texts by their embeddings, each with each, (N, N)."""
        if len(texts) < 2:
            return np.ones((len(texts), len(texts)))
        try:
            rows = self._embedder.embed(texts).astype(np.float64)
        except EmbeddingError as error:
            raise ComparerError(str(error)) from error
        return np.round(rows @ rows.T, _DIGITS)


def plain_text(answer: str) -> str:
    r"""Return an answer as it is embedded: without LaTeX, article and the stop at its end.

    Example:
        >>> plain_text(r"\text{the left lung}.")
        'left lung'
    """
    text = clean_answer(answer).strip(" .,;:!?\"'")
    article = next((word for word in _ARTICLES if text.lower().startswith(word)), "")
    return text[len(article) :]


def is_in_words(answer: str) -> bool:
    """Tell whether an answer is some words, not a number, a letter, a list or maths.

    Example:
        >>> [is_in_words(answer) for answer in ("left lung", "X-ray", "5 mg", "C", "x+y", "1, 2")]
        [True, True, False, False, False, False]
    """
    text = clean_answer(answer)
    kind: Hashable = answer_key(answer).kind
    if any(sign in text for sign in "\\=<>^_{}$+*/"):
        return False
    has_word = any(len(word) >= 2 and word.isalpha() for word in text.replace("-", " ").split())
    return has_word and kind in ("word", "raw", "value")


def complete_linkage(similarities: NDArray[np.float64], threshold: float) -> list[int]:
    """Join items to classes in which every two are alike.

    The two classes are joined whose least similar members are the most alike, again and again,
    while that is at least the threshold; of several such pairs the one with the smallest items.
    No class is a chain of neighbours whose ends differ.

    Args:
        similarities: (N, N), symmetric.
        threshold: Least similarity of two items of a class.

    Returns:
        For each item the smallest item of its class.

    Example:
        >>> complete_linkage(np.array([[1, 0.9, 0.1], [0.9, 1, 0.8], [0.1, 0.8, 1]]), 0.7)
        [0, 0, 2]
    """
    table = np.array(similarities, dtype=np.float64)
    np.fill_diagonal(table, -np.inf)
    classes = list(range(len(table)))
    while len(table) > 1:
        i, j = sorted(map(int, np.unravel_index(np.argmax(table), table.shape)))
        if not table[i, j] >= threshold:
            break
        least = np.minimum(table[i], table[j])
        table[i], table[:, i] = least, least
        table[i, i] = -np.inf
        table[j], table[:, j] = -np.inf, -np.inf
        classes = [i if one == j else one for one in classes]
    return classes
