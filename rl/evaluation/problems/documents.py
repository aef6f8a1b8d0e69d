"""The text that a question is about, whatever shape its source gives it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rl.data.tables import short_repr
from rl.errors import InputError

_TEXT_KEYS = ("text", "paragraph_text", "sentences", "content", "contexts")
_TITLE_KEYS = ("title", "labels")


def document_text(cell: Any, where: str) -> str:
    r"""Join the documents of a row, a line end between them, each title in a line before its text.

    Args:
        cell: A text; a list of texts (DocMath); of objects with `title` and `text` or
            `paragraph_text` (Frames, MuSiQue); of pairs [title, sentences] (HotpotQA, 2Wiki); or an
            object with a list of titles and one of sentences (the same two on the hub) or, as
            `labels` and `contexts`, one of an abstract's sections (PubMedQA).
        where: Row and column, for the message.

    Raises:
        InputError: If it is none of these, or there is no text.

    Example:
        >>> document_text([["Rain", ["It is wet.", " It falls."]]], "row 0")
        'Rain\nIt is wet. It falls.'
        >>> document_text({"title": ["Rain"], "sentences": [["It is wet."]]}, "row 0")
        'Rain\nIt is wet.'
    """
    found = [cell] if isinstance(cell, str) else list(_documents(cell))
    parts = [part for part in found if part is not None]
    if len(parts) < len(found) or not any(part.strip() for part in parts):
        raise InputError(
            f"documents in {where}: got {short_repr(cell)}, expected a text or a list of texts or "
            "titled texts, which the question is about. Name their column with --documents_column."
        )
    return "\n".join(parts).strip()


def _documents(cell: Any) -> Iterator[str | None]:
    """Yield each document's text, None for what is none."""
    if isinstance(cell, Mapping):
        titles, bodies = _first(cell, _TITLE_KEYS), _first(cell, _TEXT_KEYS)
        if not isinstance(titles, list) or not isinstance(bodies, list):
            titles, bodies = [], []
        cell = list(zip(titles, bodies, strict=False))
    for one in cell if isinstance(cell, list) else [None]:
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            yield _titled(one.get("title"), _first(one, _TEXT_KEYS))
        elif isinstance(one, list | tuple) and len(one) == 2:
            yield _titled(one[0], one[1])
        else:
            yield None


def _first(document: Mapping[str, Any], keys: Sequence[str]) -> Any:
    return next((document[key] for key in keys if document.get(key) is not None), None)


def _titled(title: Any, body: Any) -> str | None:
    if isinstance(body, list):
        body = " ".join(str(sentence).strip() for sentence in body)
    if not isinstance(body, str):
        return None
    return f"{title}\n{body}" if title else body
