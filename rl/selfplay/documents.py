"""Documents to ask questions about: read, cut to size, freed of near-duplicates, clustered.

A source is a folder of .txt and .md files, a single such file, or JSON lines (also .json, .csv and
.parquet) with a column of text. Documents of one topic are shown together, so they should be
about related things: a column names the topic, or embeddings do.
"""

import hashlib
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from rl.errors import InputError
from rl.processes import from_main_process
from rl.selfplay.document_vectors import Embed, VectorFiles, document_vectors
from rl.selfplay.duplicates import find_duplicates

TEXT_SUFFIXES = (".txt", ".md")


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text.

    Attributes:
        id: Hash of the text; the same text always has the same id.
        text: The text.
        key: The topic its source names; None if it names none.
    """

    id: str
    text: str
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Documents that are shown together, a cluster of their source.

    Attributes:
        key: Unique among the topics of a source.
        documents: In the order of their source.
    """

    key: str
    documents: tuple[Document, ...]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a source was made into.

    Attributes:
        topics: None of them empty, at least one.
        num_read: Documents of the source.
        num_parts: Documents once the long ones were cut.
        num_short: Parts left out because they are short.
        num_duplicates: Parts left out because they repeat another.
    """

    topics: tuple[Topic, ...]
    num_read: int
    num_parts: int
    num_short: int
    num_duplicates: int

    @property
    def summary(self) -> str:
        """What was read and what was left out, in a line."""
        return (
            f"{self.num_read:,} documents read, {self.num_parts:,} once long ones are cut, "
            f"{self.num_short:,} too short, {self.num_duplicates:,} repeat another"
        )


def load_corpus(
    source: str | Path,
    *,
    text_column: str = "text",
    key_column: str | None = None,
    embed: Embed | None = None,
    vector_files: VectorFiles | None = None,
    duplicate_folder: Path | None = None,
    cluster_size: int = 20,
    min_characters: int = 100,
    max_characters: int = 32_768,
    duplicate_threshold: float | None = 0.8,
    seed: int = 0,
) -> Corpus:
    """Read documents and cluster them; every rank has to call it, the main one works for all.

    Source: SPELL, arXiv 2509.23863, appendix E.1 (lengths, near-duplicates, hierarchical k-means
    into clusters of about 20 documents). Differs: a long document is cut at paragraphs, not
    dropped; another embedder, which may read samples of a document only.

    Args:
        source: See the module.
        text_column: Column with the text, for sources with columns.
        key_column: Column with the topic; None: a folder's subfolders, or by `embed`, or in order.
        embed: Turns texts into vectors.
        vector_files: Where the vectors are kept.
        duplicate_folder: Where it is kept which documents repeat others.
        cluster_size: Most documents of a topic, at least 1; larger ones are split.
        min_characters: Shorter documents are left out.
        max_characters: Longer documents are cut into parts.
        duplicate_threshold: See `near_duplicates`; None keeps all but equal texts of one topic.
        seed: Fixes the topics found by embeddings.

    Returns:
        The topics, with counts of what became of the documents.

    Raises:
        InputError: If a source, a column or all documents are missing, or a number is wrong.
    """
    _check_sizes(cluster_size, min_characters, max_characters)
    read = read_documents(source, text_column=text_column, key_column=key_column)
    parts = [
        Document(id=_hash(part), text=part, key=document.key)
        for document in read
        for part in split_text(document.text, max_characters)
    ]
    long_enough = [part for part in parts if len(part.text) >= min_characters]
    documents = _drop_duplicates(long_enough, duplicate_threshold, duplicate_folder)
    if not documents:
        raise InputError(
            f"selfplay documents {source}: got no document of at least {min_characters} "
            "characters, expected one or more. Lower min_characters or check the files."
        )
    return Corpus(
        topics=tuple(_find_topics(documents, embed, vector_files, cluster_size, seed)),
        num_read=len(read),
        num_parts=len(parts),
        num_short=len(parts) - len(long_enough),
        num_duplicates=len(long_enough) - len(documents),
    )


def _check_sizes(cluster_size: int, min_characters: int, max_characters: int) -> None:
    if cluster_size < 1 or not 0 <= min_characters < max_characters:
        raise InputError(
            "selfplay documents cluster_size, min_characters, max_characters: got "
            f"{cluster_size}, {min_characters} and {max_characters}, expected at least 1 and "
            "0 <= min < max. Correct them."
        )


def _drop_duplicates(
    documents: list[Document], threshold: float | None, folder: Path | None
) -> list[Document]:
    distinct: dict[tuple[str | None, str], Document] = {}
    for document in documents:
        distinct.setdefault((document.key, document.id), document)
    kept = list(distinct.values())
    if threshold is None:
        return kept
    texts = {f"{key!r} {text_hash}": d.text for (key, text_hash), d in distinct.items()}
    found = from_main_process(find_duplicates(texts, threshold, folder))
    return [d for d, earlier in zip(kept, found, strict=True) if earlier is None]


def read_documents(
    source: str | Path, *, text_column: str = "text", key_column: str | None = None
) -> list[Document]:
    """Read documents as they are.

    Raises:
        InputError: As `load_corpus`.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix.lower() in TEXT_SUFFIXES)
        return [_read_file(file, path) for file in files if file.is_file()]
    if path.is_file() and path.suffix.lower() in TEXT_SUFFIXES:
        return [_read_file(path, path.parent)]
    from rl.data.tables import load_table, short_repr

    table = load_table(str(source))
    for column in (text_column, *([key_column] if key_column is not None else [])):
        if column not in table:
            raise InputError(
                f"selfplay documents {source}: got no column {column!r}, expected one of "
                f"{', '.join(sorted(table))}. Name it in text_column or key_column."
            )
    documents = []
    for row, text in enumerate(table[text_column]):
        if not isinstance(text, str):
            raise InputError(
                f"selfplay documents {source}, row {row} (from 0): got {short_repr(text)} as "
                f"{text_column}, expected text. Correct the row."
            )
        key = None if key_column is None else str(table[key_column][row])
        documents.append(Document(id=_hash(text), text=text.strip(), key=key))
    return documents


def _read_file(file: Path, root: Path) -> Document:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"selfplay documents {file}: got {error}, expected text in UTF-8. Convert or remove it."
        ) from error
    folder = file.parent.relative_to(root).as_posix()
    return Document(id=_hash(text), text=text.strip(), key=None if folder == "." else folder)


def split_text(text: str, max_characters: int) -> list[str]:
    r"""Cut a text into parts of at most `max_characters`, between paragraphs where it has any.

    Example:
        >>> split_text("one\n\ntwo\n\nthree", 9), split_text("abcdef", 4)
        (['one\n\ntwo', 'three'], ['abcd', 'ef'])
    """
    parts: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if parts and len(parts[-1]) + 2 + len(paragraph) <= max_characters:
            parts[-1] += "\n\n" + paragraph
        else:
            starts = range(0, max(len(paragraph), 1), max_characters)
            parts += [paragraph[start : start + max_characters] for start in starts]
    return parts


def _find_topics(
    documents: list[Document],
    embed: Embed | None,
    vector_files: VectorFiles | None,
    cluster_size: int,
    seed: int,
) -> list[Topic]:
    named: dict[str, list[Document]] = {}
    for document in documents:
        if document.key is not None:
            named.setdefault(document.key, []).append(document)
    unnamed = [document for document in documents if document.key is None]
    if embed is not None and len(unnamed) > cluster_size:
        texts = {document.id: document.text for document in unnamed}
        labels = from_main_process(_labels(texts, embed, vector_files, cluster_size, seed))
        for label, document in zip(labels, unnamed, strict=True):
            named.setdefault(f"embedding {label}", []).append(document)
    elif unnamed:
        named["documents"] = [*named.get("documents", []), *unnamed]
    topics = []
    for key in named:
        pieces = _even_pieces(named[key], cluster_size)
        for number, piece in enumerate(pieces):
            name = key if len(pieces) == 1 else f"{key} part {number}"
            topics.append(Topic(key=name, documents=tuple(piece)))
    return topics


def _labels(
    texts: Mapping[str, str],
    embed: Embed,
    vector_files: VectorFiles | None,
    cluster_size: int,
    seed: int,
) -> Generator[None, None, list[int]]:
    """Number of each text's topic, as work in steps for `from_main_process`."""
    from sklearn.cluster import BisectingKMeans

    vectors = yield from document_vectors(texts, embed, vector_files)
    means = BisectingKMeans(
        n_clusters=-(-len(texts) // cluster_size),
        bisecting_strategy="largest_cluster",
        random_state=seed,
    )
    return means.fit_predict(vectors).tolist()


def _even_pieces(documents: list[Document], size: int) -> list[list[Document]]:
    """Cut a list into as few pieces of at most `size` as possible, of nearly equal length."""
    num_pieces = -(-len(documents) // size)
    cuts = [len(documents) * i // num_pieces for i in range(num_pieces + 1)]
    return [documents[a:b] for a, b in pairwise(cuts)]


def _hash(text: str) -> str:
    return hashlib.sha256(text.strip().encode("utf-8", "replace")).hexdigest()[:16]
