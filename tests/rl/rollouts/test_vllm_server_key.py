"""The server's key, in front of an application that answers everything."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from rl.rollouts.vllm_server_key import RequireKey


async def answer(scope, receive, send):
    await send({"type": "answered", "status": 200})


def ask(path, header=None, kind="http"):
    sent = []

    async def send(message):
        sent.append(message)

    headers = [] if header is None else [(b"authorization", header)]
    scope = {"type": kind, "path": path, "headers": headers}
    # A browser that other tests of this process drive has a loop running in its own thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, RequireKey(answer)(scope, None, send)).result()
    return sent[0]


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "secret")


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/v1/completions", b"Bearer secret", 200),
        ("/collective_rpc", b"Bearer secret", 200),
        ("/health", None, 200),
        ("/v1/completions", None, 401),
        ("/collective_rpc", None, 401),
        ("/collective_rpc", b"secret", 401),
        ("/collective_rpc", b"Bearer secret2", 401),
        ("/collective_rpc", b"Bearer ", 401),
        ("/health/../collective_rpc", None, 401),
        ("/healthy", None, 401),
        ("", None, 401),
    ],
)
def test_who_is_answered(path, header, status):
    assert ask(path, header)["status"] == status


def test_other_kinds_of_requests():
    assert ask("/v1/realtime", kind="websocket") == {"type": "websocket.close", "code": 1008}
    assert ask("/v1/realtime", b"Bearer secret", kind="websocket")["type"] == "answered"
    # The application starts and ends.
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(RequireKey(answer)({"type": "lifespan"}, None, send))
    assert sent[0]["type"] == "answered"


def test_no_server_without_a_key(monkeypatch):
    monkeypatch.delenv("VLLM_API_KEY")
    with pytest.raises(KeyError):
        RequireKey(answer)
