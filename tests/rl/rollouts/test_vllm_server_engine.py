"""Prompts with images and without through a real vLLM server, which has the trainer's weights."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import httpx
import pytest
import tiny_vision
import torch
from accelerate import Accelerator
from local_server import Handler, serving
from transformers import AutoModelForImageTextToText

from rl.data.model_files import load_image_inputs, load_tokenizer
from rl.errors import InputError
from rl.evaluation.evaluate import evaluate_problems
from rl.evaluation.problems.labelled import Problem
from rl.rollouts.contract import check_engine
from rl.rollouts.engine import SamplingSettings
from rl.rollouts.openai_engine import OpenAIEngine
from rl.rollouts.vllm_server import ServerProcess, configured_command, wait_until_up
from rl.rollouts.vllm_server_engine import VLLMServerEngine
from rl.rollouts.vllm_server_requests import GENERATE, image_request
from rl.training.config import LabelFreeConfig

SETTINGS = SamplingSettings(max_completion_length=24)
SEEDS = [11, 12, 2**63 - 1]
KEY = "a-key-of-this-test"
EXACT = 1e-5  # as in the process: rounding of the logits apart, both compute the same

pytestmark = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny vision-language model whose pictures are split into tiles."""
    folder = tmp_path_factory.mktemp("seen")
    tiny_vision.save(folder, splits=True)
    return folder


def start_server(folder, port):
    # As a recipe says them, on a CPU too: the share of its memory is not looked at there, since the
    # room for keys and values is in the environment.
    config = LabelFreeConfig(
        model=str(folder),
        vllm_server_port=port,
        vllm_max_model_length=128,
        vllm_gpu_memory_utilization=0.9,
    )
    command = configured_command(config, tensor_parallel_size=1)
    server = ServerProcess([*command, "--served-model-name", "tiny"], folder / "server.log", KEY)
    wait_until_up(f"http://127.0.0.1:{port}", 400, server)
    return server


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture(scope="module")
def vllm_url(folder):
    """The address of a vLLM server with the model."""
    port = free_port()
    with start_server(folder, port):
        yield f"http://127.0.0.1:{port}"


class Seen:
    """An engine beside the model of a trainer, and prompts with one, no and two pictures."""

    def __init__(self, folder, url, sync_dir):
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
        tokenizer = load_tokenizer(str(folder), "model")
        self.inputs = load_image_inputs(str(folder), "model", tokenizer)
        self.prompts, self.images = tiny_vision.read_prompts(self.inputs)
        self.engine = VLLMServerEngine(
            url,
            SETTINGS,
            parameters=self.model.named_parameters,
            accelerator=Accelerator(cpu=True),
            sync_dir=sync_dir,
            key=KEY,
            image_inputs=self.inputs,
            never_sampled=[self.model.config.image_token_id],
        )

    def sample(self, which=(0, 1, 2), num_samples=4, first_sample=0, **more):
        prompts, images = [self.prompts[i] for i in which], [self.images[i] for i in which]
        seeds = [SEEDS[i] for i in which]
        return self.engine.generate(prompts, num_samples, seeds, first_sample, images, **more)

    def drawn(self, *arguments, **more):
        return [[one.completion_ids for one in g] for g in self.sample(*arguments, **more)]

    def gap(self):
        samples = self.sample()
        return tiny_vision.largest_gap(self.model, self.engine, self.prompts, self.images, samples)

    @torch.no_grad()
    def change_weights(self):
        for parameter in self.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))


@pytest.fixture
def seen(folder, vllm_url, tmp_path):
    found = Seen(folder, vllm_url, tmp_path)
    found.engine.sync_weights()  # whatever another test left
    yield found
    found.engine.close()


def test_it_keeps_the_contract_of_engines(seen):
    seen.engine.settings = replace(SETTINGS, max_completion_length=12)
    decode = seen.inputs.processor.tokenizer.decode
    found = check_engine(seen.engine, [[3, 4, 5], [6, 7, 8, 9, 10], [11]], SEEDS, [1], decode)
    assert set(found.values()) == {None}


def test_images_are_seen_as_the_trainer_sees_them(seen):
    assert seen.gap() < EXACT
    together = seen.drawn()
    assert [seen.drawn([i])[0] for i in range(3)] == together
    assert seen.drawn(num_samples=2, first_sample=2) == [group[2:] for group in together]
    limited = seen.drawn(max_lengths=[1, 2, 3])
    assert limited == [[ids[:n] for ids in g] for n, g in zip((1, 2, 3), together, strict=True)]
    # Stop strings are looked for in a text with special tokens; this one ends with its token.
    ids = together[2][0]
    stop = seen.inputs.processor.tokenizer.decode(ids[3:4])
    seen.engine.settings = replace(SETTINGS, stop_strings=(stop,))
    assert seen.drawn([2])[0][0] == ids[: ids.index(ids[3]) + 1]


def test_more_samples_of_a_picture_than_the_server_takes_at_once(seen):
    [many] = seen.drawn([0], 130)  # of the server's own limit, 128
    assert len(many) == 130
    assert seen.drawn([0], 4, 62) == [many[62:66]]


def test_no_completion_holds_an_image_s_token(seen):
    # One of 66 tokens of a random model: of 1,152 tokens some 17 would be.
    drawn = seen.drawn(num_samples=16)
    tokens = [token for group in drawn for ids in group for token in ids]
    assert len(tokens) > 500
    assert seen.model.config.image_token_id not in tokens


def test_a_sync_brings_new_weights_to_texts_and_to_the_tower(seen):
    assert seen.gap() < EXACT  # the server keeps what the pictures became
    seen.change_weights()
    assert seen.gap() > 0.05
    seen.engine.sync_weights()
    assert seen.gap() < EXACT


def test_weights_change_beneath_requests_with_images(seen):
    old = AutoModelForImageTextToText.from_config(seen.model.config).eval()
    changed = 0
    # How long requests are under way depends on the machine; every attempt has to be right.
    for attempt in range(20):
        old.load_state_dict(seen.model.state_dict())
        with ThreadPoolExecutor() as pool:
            under_way = pool.submit(lambda: [seen.sample(num_samples=32) for _ in range(2)])
            time.sleep(0.02 + 0.04 * attempt)
            seen.change_weights()
            seen.engine.sync_weights()
            calls = under_way.result()
        changed += sum(num_changed(seen, old, samples) for samples in calls)
        if changed:
            break
    assert changed > 0
    assert seen.gap() < EXACT


def num_changed(seen, old, samples):
    """Check each token against both policies; count completions that have tokens of both."""
    found = 0
    for ids, images, group in zip(seen.prompts, seen.images, samples, strict=True):
        for one in group:
            reported = torch.tensor(one.sampling_per_token_logps)
            of_old, of_new = (
                torch.isclose(reported, logps, atol=1e-4)
                for logps in (
                    tiny_vision.trainer_logps(
                        model,
                        seen.inputs,
                        ids,
                        images,
                        one.completion_ids,
                        seen.engine.never_sampled,
                    )
                    for model in (old, seen.model)
                )
            )
            of_old = of_old.int().cumprod(dim=0).bool()
            assert of_new[~of_old].all()
            found += bool(of_old[0] and not of_old[-1])
    return found


def test_an_evaluation_through_the_chat_endpoint_sees_the_same(seen, vllm_url, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    greedy = SamplingSettings(max_completion_length=8, temperature=0.0)
    part = {"type": "image"}
    chats = {
        0: [{"type": "text", "text": "1+1="}, part],
        2: [part, {"type": "text", "text": "4"}, part, {"type": "text", "text": "="}],
    }
    problems = [
        Problem(
            id=str(number),
            prompt=[{"role": "user", "content": content}],
            label="1",
            images=tuple(seen.images[number]),
        )
        for number, content in chats.items()
    ]
    asked = OpenAIEngine("tiny", f"{vllm_url}/v1", greedy, api_key_env="VLLM_API_KEY")
    result = evaluate_problems(asked, None, problems, num_samples=1)
    seen.engine.settings = greedy
    tokenizer = seen.inputs.processor.tokenizer
    expected = [tokenizer.decode(g[0], skip_special_tokens=True) for g in seen.drawn([0, 2], 1)]
    assert [one.completion for one in result.samples] == expected


def test_the_server_reads_no_file_and_follows_no_link(seen, vllm_url, folder):
    asked = []

    class Pictures(Handler):
        def do_GET(self):
            asked.append(self.path)
            self.reply(b"")

    (folder / "secret.png").write_bytes(seen.images[0][0].data)
    short = seen.inputs.with_placeholders(seen.prompts[0], seen.images[0])
    body = image_request("tiny", short, seen.images[0], {"max_tokens": 1, "logprobs": 0})
    headers = {"Authorization": f"Bearer {KEY}"}
    with serving(Pictures) as pictures:
        for url in (f"{pictures}/0.png", f"file://{folder}/secret.png"):
            body["content_parts"][0]["url"] = url
            found = httpx.post(f"{vllm_url}{GENERATE}", json=body, headers=headers)
            assert found.status_code >= 400
    assert asked == []


def test_an_image_that_the_server_cannot_read_is_one_clear_line(seen):
    broken = replace(seen.images[0][0], data=b"\x89PNG no picture")
    with pytest.raises(InputError, match=r"vLLM server: got status 400 for /inference.*image"):
        seen.engine.generate(seen.prompts[:1], 1, [0], images=[[broken]])


def test_a_server_that_is_not_there_is_one_clear_line():
    with pytest.raises(InputError, match=r"got no answer from http://127.0.0.1:\d+ \(ConnectError"):
        VLLMServerEngine(f"http://127.0.0.1:{free_port()}", SETTINGS)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_server_that_was_started_again_takes_the_weights_anew(folder, tmp_path):
    port = free_port()
    with start_server(folder, port):
        seen = Seen(folder, f"http://127.0.0.1:{port}", tmp_path)
        seen.change_weights()
        seen.engine.sync_weights()
        assert seen.gap() < EXACT
    with pytest.raises(InputError, match=r"vLLM server: got no answer from http.*Start it again"):
        seen.sample()
    with start_server(folder, port):
        assert seen.gap() > 0.05
        seen.engine.sync_weights()
        assert seen.gap() < EXACT
    seen.engine.close()
