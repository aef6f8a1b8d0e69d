"""Vectors of documents, to cluster them, each document embedded once.

Vectors are kept in files by the hash of the text, so that a dry run, a resumed run and another run
over the same documents find them, and work that was stopped goes on where it stood.
"""

import hashlib
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rl.errors import InputError
from rl.processes import with_progress

# Vectors of texts, shape (N, D), such as an embedder's of `rl.answers.embedding`.
Embed: TypeAlias = Callable[[Sequence[str]], Any]
# Documents embedded between two files.
CHUNK = 128


@dataclass(frozen=True, kw_only=True)
class VectorFiles:
    """A folder of vectors, one file for each chunk of documents that was embedded.

    Several runs may write into it at the same time. Delete it after changing a model in place.

    Attributes:
        folder: Made when it is first written to.
    """

    folder: Path

    @classmethod
    def of_model(cls, root: str | Path, model: str, settings: str) -> "VectorFiles":
        """The folder, below `root`, of a model's vectors made with these settings."""
        name = re.sub(r"[^\w.-]+", "_", Path(model).name)
        digest = hashlib.sha256(settings.encode()).hexdigest()[:8]
        return cls(folder=Path(root).expanduser() / f"{name}-{digest}")

    def read(self) -> dict[str, NDArray[np.float32]]:
        """Id of the document -> vector.

        Raises:
            InputError: If a file is damaged.
        """
        found: dict[str, NDArray[np.float32]] = {}
        for path in sorted(self.folder.glob("*.npz")):
            try:
                with np.load(path) as part:
                    found |= zip(part["ids"].tolist(), part["vectors"], strict=True)
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                raise InputError(
                    f"document vectors {path}: got {str(error)[:200]}, expected a file as this "
                    "project writes it. Delete it; its documents are embedded again."
                ) from error
        return found

    def write(self, vectors: Mapping[str, NDArray[np.float32]]) -> None:
        """Add a file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        ids = list(vectors)
        name = hashlib.sha256("".join(ids).encode()).hexdigest()[:16]
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
            np.savez(file, ids=np.array(ids), vectors=np.stack(list(vectors.values())))
        os.replace(file.name, self.folder / f"{name}.npz")


def default_folder() -> Path:
    """`label_free_rl/documents` in the user's folder for caches."""
    root = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(root).expanduser() / "label_free_rl" / "documents"


def document_vectors(
    texts: Mapping[str, str], embed: Embed, files: VectorFiles | None
) -> Generator[None, None, NDArray[np.float32]]:
    """Embed documents, those that are not in the files, with a progress bar if it takes long.

    Args:
        texts: Id -> text, at least one.
        embed: Turns texts into vectors.
        files: Where vectors are kept; None keeps none.

    Yields:
        After each chunk of documents.

    Returns:
        Vectors, shape (N, D), in the order of the texts.
    """
    known = files.read() if files is not None else {}
    missing = [key for key in texts if key not in known]
    starts = range(0, len(missing), CHUNK)
    for start in with_progress(starts, "embedding documents", f"{CHUNK} documents"):
        chunk = missing[start : start + CHUNK]
        vectors = np.asarray(embed([texts[key] for key in chunk]), dtype=np.float32)
        new = dict(zip(chunk, vectors, strict=True))
        if files is not None:
            files.write(new)
        known |= new
        yield
    return np.stack([known[key] for key in texts])
