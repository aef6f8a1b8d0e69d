"""Embedders: the real all-MiniLM-L6-v2 in this process and behind a real local server."""

import json
import pickle
import socket
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest

from rl.answers import embedding
from rl.answers.embedding import (
    Embedder,
    EmbeddingError,
    SentenceTransformerEmbedder,
    ServerEmbedder,
    window_spans,
)
from rl.errors import InputError

ADDING = "We add seven and five and get twelve."
SUMMING = "Adding five to seven, we get twelve."
HEDGEHOG = "A hedgehog sleeps under the leaves all winter."


class MiniLMServer(BaseHTTPRequestHandler):
    """Answers as OpenAI's /v1/embeddings does, items in reverse order, after planned failures."""

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        body = json.loads(self.rfile.read(length))
        self.server.requests.append({"path": self.path, "headers": dict(self.headers), **body})
        planned = self.server.plan.pop(0) if self.server.plan else 200
        status, answer = (200, planned) if isinstance(planned, bytes) else (planned, b"planned")
        if planned == 200:
            vectors = 3 * SentenceTransformerEmbedder().embed(body["input"])  # not of length 1
            items = [
                {"object": "embedding", "index": i, "embedding": vector.tolist()}
                for i, vector in enumerate(vectors)
            ]
            answer = json.dumps({"object": "list", "data": items[::-1]}).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format, *args):
        pass


@contextmanager
def serving(plan):
    server = ThreadingHTTPServer(("127.0.0.1", 0), MiniLMServer)
    server.requests, server.plan = [], list(plan)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def serve(request):
    """Start a server with planned failures; return it and an embedder that asks it."""
    contexts = []

    def start(plan=(), **settings):
        context = serving(plan)
        contexts.append(context)
        server = context.__enter__()
        url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        return server, ServerEmbedder(url=url, **{"backoff_seconds": 0.001, **settings})

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture(autouse=True)
def fresh_memory():
    """Vectors that other tests left behind must not answer for the embedder."""
    embedding._vectors.clear()


def test_vectors_have_length_one_and_tell_texts_apart():
    vectors = SentenceTransformerEmbedder().embed([ADDING, SUMMING, HEDGEHOG])
    assert (vectors.shape, vectors.dtype) == ((3, 384), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1.0] * 3)
    similarities = vectors @ vectors.T
    assert similarities[0, 1] > 0.8 > 0.2 > similarities[0, 2]


def test_no_text_needs_no_model():
    assert SentenceTransformerEmbedder(model="none").embed([]).shape == (0, 0)
    assert ServerEmbedder(url="http://127.0.0.1:9/v1").embed([]).shape == (0, 0)


def test_a_vector_depends_on_its_text_alone():
    texts = [ADDING, HEDGEHOG * 9, "7", SUMMING]
    together = SentenceTransformerEmbedder().embed(texts)
    for order in ([3, 1], [2], [1, 0]):
        embedding._vectors.clear()
        found = SentenceTransformerEmbedder().embed([texts[i] for i in order])
        assert (found == together[order]).all()


@pytest.mark.medium
def test_a_long_text_is_read_in_windows():
    # all-MiniLM-L6-v2 reads 256 tokens, 254 of them words; a body of 300 and a footer of 260 words.
    body, other = "The cat sleeps on a warm stone. " * 43, "Taxes rise when a budget falls. " * 43
    footer = "All rights are reserved by the publisher of this book. " * 26
    embedder = SentenceTransformerEmbedder()
    [own, alone, stranger] = embedder.embed([body + footer, body, other + footer])
    # Its last 256 tokens alone made these 0.13 and 1.00.
    assert own @ alone > 0.7 > own @ stranger
    # Two halves of 254 words: the mean of their vectors, scaled to length 1.
    halves = ["one two " * 127, "three four " * 127]
    vectors = embedder.embed(["".join(halves), *halves])
    mean = (vectors[1] + vectors[2]) / 2
    assert vectors[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    # Of the windows at most so many, the last one among them.
    [last] = SentenceTransformerEmbedder(max_windows=1).embed(["".join(halves)])
    assert last == pytest.approx(vectors[2], abs=1e-5)


def test_windows_by_hand():
    assert window_spans(0, 4, None) == [(0, 0)]
    assert window_spans(8, 4, None) == [(0, 4), (4, 8)]
    assert window_spans(9, 4, None) == [(0, 3), (3, 6), (6, 9)]
    # Five windows, of which three: the first, the middle one, the last.
    assert window_spans(20, 4, 3) == [(0, 4), (8, 12), (16, 20)]
    assert window_spans(20, 4, 1) == [(16, 20)]
    assert window_spans(20, 4, 9) == window_spans(20, 4, None)


def test_the_end_of_a_long_text_is_kept():
    # 256 tokens are one window: nothing but the text's last 254 words.
    end = " ".join(["one two three", *["four five six"] * 99])
    embedder = SentenceTransformerEmbedder(max_tokens=256)
    [short, long] = embedder.embed([end, "hedgehog " * 1000 + end])
    assert (short == long).all()
    [start, other_end] = embedder.embed([end, end + HEDGEHOG])
    assert not np.allclose(start, other_end)
    # 4 tokens: two words between the two special tokens.
    short_sighted = SentenceTransformerEmbedder(max_tokens=4)
    [one, two, three] = short_sighted.embed(["we see two cats", "he saw two cats", "two dogs"])
    assert (one == two).all()
    assert not np.allclose(one, three)


@pytest.mark.medium
@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00", "\ud83d", "7\udfff\ud800", "{" * 1_000_000, "\\boxed{" * 100_000, "é" * 9999],
    ids=["empty", "blank", "nul", "surrogate", "surrogates", "1MB", "boxes", "accents"],
)
def test_hostile_texts_have_a_direction(text, serve):
    [vector] = SentenceTransformerEmbedder().embed([text])
    assert np.linalg.norm(vector) == pytest.approx(1.0)
    _, embedder = serve()
    [served] = embedder.embed([text])
    assert np.linalg.norm(served) == pytest.approx(1.0)


def test_loading_draws_no_random_number():
    import torch

    before = torch.get_rng_state()
    embedding._load_model.cache_clear()
    SentenceTransformerEmbedder().embed(["load"])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_with_zero_3_keeps_its_settings_and_the_embedder_its_weights():
    pytest.importorskip("deepspeed")
    from transformers.integrations import HfDeepSpeedConfig
    from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

    plain = SentenceTransformerEmbedder().embed([ADDING])
    embedding._load_model.cache_clear()
    embedding._vectors.clear()
    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}})
    assert is_deepspeed_zero3_enabled()
    assert (SentenceTransformerEmbedder().embed([ADDING]) == plain).all()
    assert is_deepspeed_zero3_enabled()
    del config
    assert not is_deepspeed_zero3_enabled()


def test_what_cannot_be_loaded_is_the_users_to_mend(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"got '.*', expected a model that sentence-transformers"):
        SentenceTransformerEmbedder(model=str(tmp_path)).embed(["7"])
    with pytest.raises(InputError, match="Check the name or folder and the device"):
        SentenceTransformerEmbedder(device="cuda:99").embed(["7"])
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(InputError, match=r"pip install 'label-free-rl\[embeddings\]'"):
        SentenceTransformerEmbedder(max_tokens=99).embed(["7"])


def test_server_gives_the_vectors_of_its_model(serve):
    server, embedder = serve(model="mini")
    texts = [ADDING, SUMMING, HEDGEHOG]
    assert np.allclose(embedder.embed(texts), SentenceTransformerEmbedder().embed(texts))
    [request] = server.requests
    assert request["path"] == "/v1/embeddings"
    assert (request["model"], request["input"], request["encoding_format"]) == (
        "mini",
        texts,
        "float",
    )
    assert "Authorization" not in request["headers"]


def test_key_in_the_environment_is_sent(serve, monkeypatch):
    monkeypatch.setenv(embedding.API_KEY_VARIABLE, "word")
    server, embedder = serve()
    embedder.embed(["7"])
    assert server.requests[0]["headers"]["Authorization"] == "Bearer word"


def test_batches_and_each_text_once(serve):
    server, embedder = serve(batch_size=2)
    vectors = embedder.embed(["a", "b", "a", "c", "a"])
    assert [request["input"] for request in server.requests] == [["a", "b"], ["c"]]
    assert (vectors[0] == vectors[[2, 4]]).all()
    assert np.allclose(vectors, SentenceTransformerEmbedder().embed(["a", "b", "a", "c", "a"]))
    embedder.embed(["c", "d"])
    assert [request["input"] for request in server.requests[2:]] == [["d"]]


def test_memory_is_bounded(serve, monkeypatch):
    monkeypatch.setattr(embedding, "_MAX_REMEMBERED", 2)
    server, embedder = serve()
    # The server's own embedder shares the memory of this process: two entries per text.
    embedder.embed(["a"])
    embedder.embed(["b"])
    assert len(embedding._vectors) == 2
    embedder.embed(["b"])
    embedder.embed(["a"])
    assert [request["input"] for request in server.requests] == [["a"], ["b"], ["a"]]


def test_server_gets_the_end_of_a_long_text(serve):
    server, embedder = serve(max_tokens=5)
    embedder.embed(["abcdefghijklmnopqrstuvwxyz"])
    assert server.requests[0]["input"] == ["ghijklmnopqrstuvwxyz"]  # 4 * 5 characters


@pytest.mark.parametrize("plan", [[500], [503, 429, 408]])
def test_passing_failures_are_tried_again(serve, plan):
    server, embedder = serve(plan, num_retries=3)
    assert embedder.embed([ADDING]).shape == (1, 384)
    assert len(server.requests) == len(plan) + 1


def test_a_server_that_goes_on_failing_stops_the_run(serve):
    server, embedder = serve([500] * 9, num_retries=2)
    with pytest.raises(EmbeddingError, match=r"got status 500 \(planned\), expected one embedding"):
        embedder.embed([ADDING])
    assert len(server.requests) == 3


def test_waits_grow_by_two(serve, monkeypatch):
    waits = []
    # In this module alone: other threads of the process sleep too.
    monkeypatch.setattr(embedding, "time", SimpleNamespace(sleep=waits.append))
    _, embedder = serve([500] * 9, num_retries=4, backoff_seconds=2.0)
    with pytest.raises(EmbeddingError):
        embedder.embed([ADDING])
    assert waits == [2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refusal_is_final(serve, status):
    server, embedder = serve([status] * 9)
    with pytest.raises(EmbeddingError, match=f"got status {status}"):
        embedder.embed([ADDING])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b"[]",
        b'{"data": []}',
        b'{"data": [{"index": 0, "embedding": [1.0]}]}',
        b'{"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}',
        b'{"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": ["x"]}]}',
        b'{"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [0.0]}]}',
        b'{"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [NaN]}]}',
        b'{"error": "out of memory"}',
    ],
)
def test_another_answer_is_an_error(serve, answer):
    _, embedder = serve([answer])
    with pytest.raises(EmbeddingError):
        embedder.embed([ADDING, SUMMING])


def test_nobody_listens_or_answers():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        settings = {"url": url, "num_retries": 1, "backoff_seconds": 0.0}
        with pytest.raises(EmbeddingError, match=r"got ConnectError"):
            ServerEmbedder(**settings).embed([ADDING])
        silent.listen()
        with pytest.raises(EmbeddingError, match=r"got ReadTimeout"):
            ServerEmbedder(timeout_seconds=0.05, **settings).embed([ADDING])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: SentenceTransformerEmbedder(model=""),
            "SentenceTransformerEmbedder.model: got '', expected at least 1 char",
        ),
        (lambda: SentenceTransformerEmbedder(max_tokens=0), "max_tokens: got 0, expected above 0"),
        (lambda: SentenceTransformerEmbedder(max_windows=0), "max_windows: got 0"),
        (lambda: ServerEmbedder(url="localhost:8000/v1"), "embedder_url: got 'localhost:8000/v1'"),
        (lambda: ServerEmbedder(url="http://[::1"), "embedder_url: got"),
        (lambda: ServerEmbedder(url="http://h/v1", batch_size=0), "batch_size: got 0"),
        (lambda: ServerEmbedder(url="http://h/v1", num_retries=-1), "num_retries: got -1"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(InputError) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "embedder",
    [SentenceTransformerEmbedder(device="cpu"), ServerEmbedder(url="http://h/v1", model="mini")],
)
def test_embedders_are_pickled_without_what_they_loaded(embedder):
    assert isinstance(embedder, Embedder)
    pickled = pickle.dumps(embedder)
    assert len(pickled) < 1000
    assert pickle.loads(pickled) == embedder
