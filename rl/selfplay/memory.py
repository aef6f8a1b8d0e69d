"""A questioner's memory: per task and cluster the newest questions that can be solved.

A remembered question comes back as an example to be exceeded, and its documents with it, so what
the questioner sees grows.

Source: SPELL, arXiv 2509.23863, section 3.1 and algorithm 1.
Differs: a question with the same words and the same answer is not remembered twice (in the code the
    check has no effect); when every document was shown and the newest question is mostly solved,
    the cluster starts afresh.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

from rl.errors import InputError
from rl.selfplay.documents import Cluster, Document
from rl.selfplay.tasks import normalize_text


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
        documents: In the cluster's order.
        new_documents: Those of them that no remembered question is about.
        examples: Remembered questions, the oldest first.
    """

    documents: tuple[Document, ...]
    new_documents: tuple[Document, ...]
    examples: tuple[MemoryItem, ...]


@dataclass(kw_only=True)
class Memory:
    """The remembered questions of all clusters.

    Attributes:
        max_items: Most questions remembered per task and cluster, L; 0 remembers nothing.
        num_new_documents: Documents added to those of the remembered questions, m.
        reset_success_rate: A cluster starts afresh once all its documents were shown and its newest
            question was solved at this rate or above; None: never.
        items: (task, cluster) -> its questions, the oldest first.
    """

    max_items: int = 3
    num_new_documents: int = 5
    reset_success_rate: float | None = 0.75
    items: dict[tuple[str, str], list[MemoryItem]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_items < 0 or self.num_new_documents < 1:
            raise InputError(
                "selfplay memory_items, num_new_documents: got "
                f"{self.max_items} and {self.num_new_documents}, expected at least 0 and 1. "
                "Raise them."
            )

    def context(
        self,
        task: str,
        cluster: Cluster,
        rng: Random,
        max_tokens: int,
        count_tokens: Callable[[Document], int],
    ) -> Context:
        """Choose documents: those of the remembered questions and up to m others, drawn at random.

        Without remembered questions m documents are drawn. If all this is over `max_tokens`, the
        oldest questions are left out with their documents, then new documents; one that does not
        fit is passed over.

        Args:
            task: Name of the task.
            cluster: The cluster.
            rng: Draws the new documents.
            max_tokens: Most tokens of all documents together.
            count_tokens: Tokens of a document as it is shown.

        Returns:
            The context; without a document if none fits.
        """
        examples = list(self.items.get((task, cluster.key), []))
        while True:
            used = {document_id for item in examples for document_id in item.documents}
            old = [document for document in cluster.documents if document.id in used]
            num_tokens = sum(map(count_tokens, old))
            if num_tokens <= max_tokens or not examples:
                break
            examples.pop(0)
        new: list[Document] = []
        rest = [document for document in cluster.documents if document.id not in used]
        # The draw does not depend on lengths, so that a smaller budget only leaves documents out.
        for document in rng.sample(rest, len(rest)):
            if len(new) == self.num_new_documents:
                break
            if num_tokens + count_tokens(document) <= max_tokens:
                new.append(document)
                num_tokens += count_tokens(document)
        new_ids = {document.id for document in new}
        return Context(
            documents=tuple(d for d in cluster.documents if d.id in used or d.id in new_ids),
            new_documents=tuple(d for d in cluster.documents if d.id in new_ids),
            examples=tuple(examples),
        )

    def push(self, task: str, cluster: Cluster, item: MemoryItem) -> bool:
        """Remember a question, and forget the oldest beyond `max_items`.

        Returns:
            Whether it was new; a question that is remembered already is not pushed.
        """
        items = self.items.setdefault((task, cluster.key), [])
        if self.max_items == 0 or item.identity in [other.identity for other in items]:
            return False
        items.append(item)
        del items[: -self.max_items]
        shown = {document_id for other in items for document_id in other.documents}
        covered = all(document.id in shown for document in cluster.documents)
        is_easy = (
            self.reset_success_rate is not None and item.success_rate >= self.reset_success_rate
        )
        if covered and is_easy:
            items.clear()
        return True

    def state_dict(self) -> dict[str, Any]:
        """The remembered questions as plain JSON."""
        return {
            "items": [
                {"task": task, "cluster": cluster, "items": [asdict(item) for item in items]}
                for (task, cluster), items in self.items.items()
            ]
        }

    def load_state_dict(self, state: Mapping[str, Any], clusters: Sequence[Cluster]) -> None:
        """Go on from a state.

        Raises:
            InputError: If it is about documents that are not there.
        """
        known = {c.key: {document.id for document in c.documents} for c in clusters}
        items = {}
        for entry in state["items"]:
            found = [
                MemoryItem(**{**item, "documents": tuple(item["documents"])})
                for item in entry["items"]
            ]
            needed = {document_id for item in found for document_id in item.documents}
            if not needed <= known.get(entry["cluster"], set()):
                raise InputError(
                    f"selfplay memory: got questions about other documents of the cluster "
                    f"{entry['cluster']!r}, expected those of the run that is resumed. Resume with "
                    "the same documents and the same settings for them."
                )
            items[(entry["task"], entry["cluster"])] = found
        self.items = items


def fill_up(
    evidence: Sequence[Document],
    cluster: Cluster,
    rng: Random,
    max_tokens: int,
    count_tokens: Callable[[Document], int],
) -> tuple[Document, ...] | None:
    """Add the cluster's other documents as distractors, as far as they fit, in random order.

    Returns:
        Evidence and distractors in the cluster's order; None if the evidence alone does not fit.
    """
    chosen = {document.id for document in evidence}
    num_tokens = sum(map(count_tokens, evidence))
    if num_tokens > max_tokens:
        return None
    others = [document for document in cluster.documents if document.id not in chosen]
    for document in rng.sample(others, len(others)):
        if num_tokens + count_tokens(document) <= max_tokens:
            chosen.add(document.id)
            num_tokens += count_tokens(document)
    return tuple(document for document in cluster.documents if document.id in chosen)
