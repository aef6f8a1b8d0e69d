"""A questioner's memory: per task and topic the newest questions that can be solved.

A remembered question comes back as an example to be exceeded, and its documents with it, so what
the questioner sees grows until the budget of tokens is full; from there on it slides over the
topic: the oldest questions make room for a document that was not shown with any of them.

Source: SPELL, arXiv 2509.23863, section 3.1 and algorithm 1.
Differs: a question with the same words and the same answer is not remembered twice (in the code the
    check has no effect). Of a topic that is over the budget as a whole fewer documents are drawn
    at a time, and the oldest questions are left out, where the code drops prompts that are too
    long. `reset_success_rate` is our own addition, and off by default.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from rl.errors import InputError
from rl.selfplay.documents import Document, Topic
from rl.selfplay.tasks.task import normalize_text


@dataclass(frozen=True, kw_only=True)
class MemoryItem:
    """A remembered question.

    Attributes:
        documents: Ids of the documents it was asked about.
        question: As it was shown.
        answer: Its reference answer, as it was shown.
        success_rate: Mean reward of its answers, in (0, 1).
    """

    documents: tuple[str, ...]
    question: str
    answer: str
    success_rate: float

    @property
    def identity(self) -> tuple[str, str]:
        """What makes two questions the same."""
        return normalize_text(self.question), normalize_text(self.answer)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a questioner is shown.

    Attributes:
        documents: In the topic's order.
        new_documents: Those of them that no example is about.
        examples: Remembered questions, the oldest first.
    """

    documents: tuple[Document, ...]
    new_documents: tuple[Document, ...]
    examples: tuple[MemoryItem, ...]


@dataclass(kw_only=True)
class Memory:
    """The remembered questions of all topics.

    Attributes:
        max_items: Most questions remembered per task and topic, L; 0 remembers nothing.
        num_new_documents: Documents added to those of the remembered questions, m.
        reset_success_rate: Ours, not SPELL's: a topic whose memory is full starts afresh once its
            questions are about all its documents and the newest was solved at this rate or above;
            None: never.
        items: (task, topic) -> its questions, the oldest first.
    """

    max_items: int = 3
    num_new_documents: int = 5
    reset_success_rate: float | None = None
    items: dict[tuple[str, str], list[MemoryItem]] = field(default_factory=dict)

    def context(
        self,
        task: str,
        topic: Topic,
        rng: Random,
        room: Callable[[Sequence[MemoryItem]], int],
        count_tokens: Callable[[Document], int],
    ) -> Context:
        """Choose documents: those of the remembered questions and up to m others, drawn at random.

        Without remembered questions m documents are drawn. Documents that no remembered question is
        about come first, whatever their length: the oldest questions are left out, with their
        documents, until the first document drawn fits, so that every document that fits alone is
        shown sooner or later. Of a topic that does not fit as a whole, a draw takes at most a
        share of 1 / (L + 1) of the tokens, or one document, so that L earlier draws fit beside it.
        Of the rest of a draw, what does not fit is passed over.

        Args:
            task: Name of the task.
            topic: The topic.
            rng: Draws the new documents.
            room: Tokens there are for documents beside these examples.
            count_tokens: Tokens of a document as it is shown.

        Returns:
            The context; without a document if none fits alone.
        """
        examples = list(self.items.get((task, topic.key), []))
        num_tokens = {document.id: count_tokens(document) for document in topic.documents}
        budget = room([])
        fitting = [d for d in topic.documents if num_tokens[d.id] <= budget]
        known = _documents_of(examples)
        # The draw does not depend on lengths: long documents come up as often as short ones.
        order = sorted(rng.sample(fitting, len(fitting)), key=lambda d: d.id in known)
        while True:
            used = _documents_of(examples)
            left = room(examples) - sum(num_tokens[i] for i in used)
            rest = [document for document in order if document.id not in used]
            if not examples or left >= (num_tokens[rest[0].id] if rest else 0):
                break
            examples.pop(0)
        fits_as_a_whole = sum(num_tokens.values()) <= budget
        share = left if fits_as_a_whole else min(left, budget // (self.max_items + 1))
        new = self._draw(rest, num_tokens, share)
        return Context(
            documents=tuple(d for d in topic.documents if d.id in used | new),
            new_documents=tuple(d for d in topic.documents if d.id in new),
            examples=tuple(examples),
        )

    def _draw(
        self, order: Sequence[Document], num_tokens: Mapping[str, int], share: int
    ) -> set[str]:
        """Ids of the first document, whatever its length, and those after it within the share."""
        drawn: set[str] = set()
        for document in order:
            if len(drawn) == self.num_new_documents:
                break
            if not drawn or num_tokens[document.id] <= share:
                drawn.add(document.id)
                share -= num_tokens[document.id]
        return drawn

    def push(self, task: str, topic: Topic, item: MemoryItem) -> bool:
        """Remember a question, and forget the oldest beyond `max_items`.

        Returns:
            Whether it was new; a question that is remembered already is not pushed.
        """
        items = self.items.setdefault((task, topic.key), [])
        if self.max_items == 0 or item.identity in [other.identity for other in items]:
            return False
        was_full = len(items) == self.max_items
        items.append(item)
        del items[: -self.max_items]
        is_covered = _documents_of(items) >= {document.id for document in topic.documents}
        rate = self.reset_success_rate
        if was_full and is_covered and rate is not None and item.success_rate >= rate:
            items.clear()
        return True

    def state_dict(self) -> dict[str, Any]:
        """The remembered questions as plain JSON."""
        return {
            "items": [
                {"task": task, "cluster": topic, "items": [asdict(item) for item in items]}
                for (task, topic), items in self.items.items()
            ]
        }

    def load_state_dict(
        self, state: Mapping[str, Any], topics: Mapping[str, Sequence[Topic]]
    ) -> None:
        """Go on from a state.

        Args:
            state: What `state_dict` returned.
            topics: Task name -> its topics; those of other tasks may have the same names.

        Raises:
            InputError: If it is about documents that are not there.
        """
        known = {
            (task, topic.key): {document.id for document in topic.documents}
            for task, own in topics.items()
            for topic in own
        }
        items = {}
        for entry in state["items"]:
            place = (entry["task"], entry["cluster"])
            found = [
                MemoryItem(**{**item, "documents": tuple(item["documents"])})
                for item in entry["items"]
            ]
            if not _documents_of(found) <= known.get(place, set()):
                raise InputError(
                    f"selfplay memory: got questions about other documents of the topic "
                    f"{entry['cluster']!r} of the task {entry['task']}, expected those of the run "
                    "that is resumed. Resume with the same documents and settings for them."
                )
            items[place] = found
        self.items = items


def _documents_of(items: Sequence[MemoryItem]) -> set[str]:
    return {document_id for item in items for document_id in item.documents}


def fill_up(
    evidence: Sequence[Document],
    topic: Topic,
    rng: Random,
    max_tokens: int,
    count_tokens: Callable[[Document], int],
) -> tuple[Document, ...] | None:
    """Add the topic's other documents as distractors, as far as they fit, in random order.

    Returns:
        Evidence and distractors in the topic's order; None if the evidence alone does not fit.
    """
    chosen = {document.id for document in evidence}
    num_tokens = sum(map(count_tokens, evidence))
    if num_tokens > max_tokens:
        return None
    others = [document for document in topic.documents if document.id not in chosen]
    for document in rng.sample(others, len(others)):
        if num_tokens + count_tokens(document) <= max_tokens:
            chosen.add(document.id)
            num_tokens += count_tokens(document)
    return tuple(document for document in topic.documents if document.id in chosen)
