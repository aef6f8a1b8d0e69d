"""The endpoint engine against a real vLLM server, and against a server that misbehaves on order."""

import json
import os
import socket
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from unittest.mock import ANY

import httpx
import pytest
from local_server import Handler, serving
from PIL import Image
from tiny_vision import make_processor, picture

from rl.data.image_inputs import ImageInputs
from rl.data.images import read_image
from rl.errors import InputError
from rl.evaluation.evaluate import evaluate_problems
from rl.evaluation.problems.labelled import Problem
from rl.rollouts.engine import SamplingSettings
from rl.rollouts.openai_engine import OpenAIEngine, TextEngine, api_key
from rl.rollouts.stop_strings import cut_at_stop
from rl.rollouts.vllm_server import ServerProcess, server_command, wait_until_up
from rl.rollouts.vllm_server_engine import VLLMServerEngine
from rl.rollouts.vllm_server_requests import GENERATE

SETTINGS = SamplingSettings(max_completion_length=12)
KEY = "a-key-of-this-test"
PROMPTS = ["1+1=", "2+2="]
SEEDS = [5, 2**63 - 1]
TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}{{ ending | default('=') }}"

needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture(scope="module")
def vllm_url(tmp_path_factory, make_tiny_model, tiny_tokenizer):
    """The address of a vLLM server with a tiny chat model."""
    folder = tmp_path_factory.mktemp("served")
    make_tiny_model().save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "chat_template": TEMPLATE}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = server_command(str(folder), port, dtype="float32", max_model_len=64)
    command += ["--served-model-name", "tiny"]
    with ServerProcess(command, folder / "server.log", KEY) as server:
        wait_until_up(f"http://127.0.0.1:{port}", 300, server)
        yield f"http://127.0.0.1:{port}/v1"


def sampled(engine, prompts, num_samples, seeds, first_sample=0):
    found = dict(engine.complete(prompts, num_samples, seeds, first_sample))
    assert sorted(found) == list(range(len(prompts)))
    return [[s for _, s in sorted(found[position].items())] for position in range(len(prompts))]


def texts(groups):
    return [[sample.completion for sample in group] for group in groups]


@needs_vllm
def test_a_vllm_server_answers_nobody_without_its_key(vllm_url):
    server = vllm_url.removesuffix("/v1")
    assert httpx.get(f"{server}/health").status_code == 200
    body = {"method": "weight_fingerprint"}
    for path in (
        "/collective_rpc",
        "/reset_prefix_cache",
        "/v1/completions",
        GENERATE,
        "/pause",
        "/nope",
    ):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": KEY}):
            found = httpx.post(f"{server}{path}", json=body, headers=headers)
            assert (path, found.status_code) == (path, 401)
    for path in ("/v1/models", "/metrics", "/docs", "/openapi.json"):
        assert httpx.get(f"{server}{path}").status_code == 401
    right = {"Authorization": f"Bearer {KEY}"}
    found = httpx.post(f"{server}/collective_rpc", json=body, headers=right)
    assert found.json()["results"]
    settings = SamplingSettings(max_completion_length=4)
    engine = VLLMServerEngine(server, settings, key=KEY)
    [[sample]] = engine.generate([[5, 6]], 1, [0])
    assert 1 <= len(sample.completion_ids) <= 4
    for key, got in ((None, "no key"), ("wrong", "another key")):
        with pytest.raises(InputError, match=f"VLLM_API_KEY: got {got}, expected that of"):
            VLLMServerEngine(server, settings, key=key)


@needs_vllm
def test_a_vllm_server_samples_text_and_chats_as_it_should(vllm_url, tmp_path, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    open_engine = partial(OpenAIEngine, base_url=vllm_url, api_key_env="VLLM_API_KEY")
    engine = open_engine("tiny", settings=SETTINGS)
    together = sampled(engine, PROMPTS, 6, SEEDS)
    assert len({text for group in texts(together) for text in group}) > 6
    # More samples begin with the same ones; a prompt's do not depend on the others.
    assert texts(sampled(engine, PROMPTS, 4, SEEDS, first_sample=2)) == [
        group[2:] for group in texts(together)
    ]
    assert texts(sampled(engine, PROMPTS[1:], 2, SEEDS[1:])) == [texts(together)[1][:2]]
    for sample in (sample for group in together for sample in group):
        assert 1 <= sample.num_tokens <= 12
        assert sample.finish_reason == ("length" if sample.num_tokens == 12 else "stop")
        assert sample.latency_seconds > 0
    # The chat endpoint renders "1+1" and "=" to the same prompt.
    chats = [[{"role": "user", "content": prompt[:-1]}] for prompt in PROMPTS]
    assert texts(sampled(engine, chats, 6, SEEDS)) == texts(together)
    other = open_engine("tiny", settings=SETTINGS, chat_template_args={"ending": "=1"})
    assert texts(sampled(other, chats, 6, SEEDS)) != texts(together)
    longer = open_engine(
        "tiny", settings=SamplingSettings(max_completion_length=12, top_k=1, min_p=0.5)
    )
    [greedy] = texts(sampled(longer, PROMPTS[:1], 3, SEEDS[:1]))  # vLLM's own settings arrive
    assert len(set(greedy)) == 1
    stopping = open_engine("tiny", settings=replace(SETTINGS, stop_strings=("=", "1;")))
    [cut], [full] = texts(sampled(stopping, PROMPTS[:1], 6, SEEDS[:1])), texts(together)[:1]
    assert cut == [cut_at_stop(text, ["=", "1;"]) for text in full]
    assert cut != full
    check_an_evaluation(engine, tmp_path)
    with pytest.raises(InputError, match=r"for model 'unknown' \(.*404.*Check --model"):
        sampled(open_engine("unknown", settings=SETTINGS), PROMPTS, 1, SEEDS)


@needs_vllm
def test_a_server_whose_model_reads_text_alone_is_one_clear_line(vllm_url):
    inputs = ImageInputs(make_processor())
    images = [[read_image(picture(0), "here")]]
    prompt = inputs.prompt_ids("1+<image>=", images[0])
    engine = VLLMServerEngine(vllm_url.removesuffix("/v1"), SETTINGS, key=KEY, image_inputs=inputs)
    try:
        with pytest.raises(InputError, match=f"vLLM server: got status 4.. for {GENERATE} from"):
            engine.generate([prompt], 1, [0], images=images)
    finally:
        engine.close()


def check_an_evaluation(engine, folder):
    problems = [Problem(id=p, prompt=p, label="2") for p in PROMPTS]
    at_once = evaluate_problems(engine, None, problems, num_samples=6)
    evaluate_problems(engine, None, problems, num_samples=2, output_dir=folder)
    extended = evaluate_problems(engine, None, problems, num_samples=6, output_dir=folder)
    facts = [(s.problem_id, s.sample, s.completion, s.finish_reason) for s in extended.samples]
    assert facts == [
        (s.problem_id, s.sample, s.completion, s.finish_reason) for s in at_once.samples
    ]
    assert extended.metrics.keys() == at_once.metrics.keys()
    assert extended.metrics["mean_length"] == at_once.metrics["mean_length"]


# A server whose replies are written down.


class Scripted(Handler):
    replies = ()
    seen = ()
    seconds = 0

    def do_POST(self):
        time.sleep(self.seconds)
        body = json.loads(self.body())
        self.seen.append((self.path, self.headers["Authorization"], body))
        status, reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.reply(reply, status)


@pytest.fixture
def no_waits(monkeypatch):
    monkeypatch.setattr("rl.rollouts.openai_engine._FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def scripted():
    """Start a server with replies; return its address and what it was asked."""
    with ExitStack() as servers:

        def start(*replies):
            handler = type("Handler", (Scripted,), {"replies": list(replies), "seen": []})
            return f"{servers.enter_context(serving(handler))}/v1", handler.seen

        yield start


def chat_reply(finish_reason="stop", **message):
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": None, **message},
    }
    usage = {"prompt_tokens": 1, "completion_tokens": 7, "total_tokens": 8}
    return {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


CHAT = [{"role": "user", "content": "2+2="}]


def one_chat(url, **settings):
    engine = OpenAIEngine("m", url, SETTINGS, **settings)
    [[sample]] = sampled(engine, [CHAT], 1, [3])
    return sample


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_a_thought_that_comes_apart_stands_before_the_answer(scripted, key):
    url, _ = scripted((200, chat_reply(**{key: "2 and 2", "content": "4"})))
    sample = one_chat(url)
    assert sample.completion == "<think>2 and 2</think>4"
    assert (sample.num_tokens, sample.finish_reason) == (7, "stop")


def test_an_unfinished_thought_stays_open(scripted):
    url, _ = scripted((200, chat_reply("length", reasoning=r"so \boxed{4}")))
    assert one_chat(url).completion == r"<think>so \boxed{4}"


def test_an_empty_reply_is_an_empty_completion(scripted):
    url, _ = scripted((200, chat_reply()))
    assert one_chat(url).completion == ""


def test_requests_hold_what_is_switched_on_and_nothing_else(scripted, monkeypatch):
    url, seen = scripted((200, chat_reply(content="4")))
    monkeypatch.setenv("SOME_KEY", "secret")
    one_chat(url, api_key_env="SOME_KEY")
    [(path, authorization, body)] = seen
    assert (path, authorization) == ("/v1/chat/completions", "Bearer secret")
    assert body == {
        "model": "m",
        "messages": CHAT,
        "max_tokens": 12,
        "temperature": 1.0,
        "top_p": 1.0,
        "seed": 3,
    }


def test_a_busy_endpoint_is_asked_again(scripted):
    busy = (429, {"error": {"message": "slow down"}})
    url, seen = scripted(busy, (500, {}), (200, chat_reply(content="4")))
    assert one_chat(url).completion == "4"
    assert len(seen) == 3


MALFORMED = {
    "another_service": {"hello": 1},
    "no_json": b"<html>",
    "no_choices": {"choices": []},
    "odd_choices": {"choices": "4"},
    "no_message": {"choices": [{"index": 0, "finish_reason": "stop"}]},
    "parts": chat_reply(content=[{"type": "text", "text": "4"}]),
}


@pytest.mark.parametrize("reply", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_reply_is_asked_for_again_and_counted(scripted, no_waits, reply):
    url, seen = scripted((200, reply), (200, reply), (200, chat_reply(content="4")))
    engine = OpenAIEngine("m", url, SETTINGS)
    [[sample]] = sampled(engine, [CHAT], 1, [3])
    assert (sample.completion, len(seen), len(engine.malformed)) == ("4", 3, 2)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((401, {"error": {"message": "no key"}}), r"no key.*Check --model, --api_key_env"),
        ((400, {"error": {"message": "too long"}}), "too long"),
        ((200, {"hello": 1}), r"got a reply without choices .*, 5 times, .* often ends in /v1"),
        ((200, b"<html>"), r"got a reply that is not JSON .* from http"),
    ],
    ids=["refused", "bad_request", "another_service", "no_json"],
)
def test_what_is_no_completion_ends_in_one_line(scripted, no_waits, reply, message):
    url, _ = scripted(reply)
    with pytest.raises(InputError, match=message):
        one_chat(url)


def test_what_came_before_an_error_is_kept(scripted):
    refusal = (401, {"error": {"message": "no key"}})
    url, _ = scripted((200, chat_reply(content="4")), (200, chat_reply(content="5")), refusal)
    engine = OpenAIEngine("m", url, SETTINGS, concurrency=1)
    came = engine.complete([CHAT, CHAT], 3, [1, 2], 0)
    assert next(came) == (0, {0: ANY, 1: ANY})
    with pytest.raises(InputError, match="no key"):
        next(came)


def test_a_request_that_crashes_ends_the_evaluation(scripted, monkeypatch):
    url, _ = scripted((200, chat_reply(content="4")))
    engine = OpenAIEngine("m", url, SETTINGS)
    monkeypatch.setattr(engine, "_request", lambda *_, **__: 1 / 0)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    with pytest.raises(AssertionError, match="a request crashed"):
        sampled(engine, [CHAT], 2, [3])


def test_a_reply_is_waited_for_as_long_as_asked(scripted, monkeypatch):
    monkeypatch.setattr("rl.rollouts.openai_engine._MAX_RETRIES", 0)
    url, _ = scripted((200, chat_reply(content="4")))
    monkeypatch.setattr(Scripted, "seconds", 1.5)
    with pytest.raises(InputError, match=r"got no answer .* timed out"):
        one_chat(url, timeout=0.2)


def test_an_endpoint_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("rl.rollouts.openai_engine._MAX_RETRIES", 0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(InputError, match=r"--base_url: got no answer from .* continues"):
        one_chat(url)


def test_a_key_is_read_from_its_variable():
    assert api_key(None)
    assert "NO_SUCH_KEY" not in os.environ
    with pytest.raises(InputError, match="got the variable NO_SUCH_KEY, which is not set"):
        api_key("NO_SUCH_KEY")


def test_only_an_engine_that_takes_text_is_one(make_tiny_model):
    assert issubclass(OpenAIEngine, TextEngine)
    assert not isinstance(make_tiny_model, TextEngine)


def test_images_are_sent_as_data_urls_in_their_places(scripted):
    url, seen = scripted((200, chat_reply(content="4")))
    red, blue = (read_image(Image.new("RGB", (2, 2), name), "here") for name in ("red", "blue"))
    content = [{"type": "image"}, {"type": "text", "text": "or"}, {"type": "image"}]
    prompt = [{"role": "user", "content": content}]
    problem = Problem(id="a", prompt=prompt, label="4", images=(red, blue))
    other = replace(problem, id="b", images=(blue, red))
    result = evaluate_problems(OpenAIEngine("m", url, SETTINGS), None, [problem], num_samples=1)
    urls = [{"type": "image_url", "image_url": {"url": one.data_url}} for one in (red, blue)]
    [(_, _, body)] = seen
    assert body["messages"] == [{"role": "user", "content": [urls[0], content[1], urls[1]]}]
    assert result.samples[0].images == (red.digest, blue.digest)
    more = evaluate_problems(OpenAIEngine("m", url, SETTINGS), None, [other], num_samples=1)
    assert more.samples[0].prompt_id != result.samples[0].prompt_id
