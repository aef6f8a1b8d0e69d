import pytest
from httpx import Request, Response
from PIL import Image

from rl.data.images import read_image
from rl.errors import InputError
from rl.rollouts.engine import Sample
from rl.rollouts.vllm_server_requests import (
    COMPLETIONS,
    GENERATE,
    checked_reply,
    image_request,
    image_samples,
    sampling_request,
    text_request,
    text_samples,
)

SAMPLING = {"n": 2, "seed": 3, "logprobs": 0, "max_tokens": 4}
# Two completions, which came in another order: 5 6, then 7 that was cut off.
SAMPLES = [
    Sample(completion_ids=[5, 6], truncated=False, sampling_per_token_logps=[-0.5, -1.0]),
    Sample(completion_ids=[7], truncated=True, sampling_per_token_logps=[-2.0]),
]


def choice(index, logprobs):
    one = SAMPLES[index]
    finish_reason = "length" if one.truncated else "stop"
    return {
        "index": index,
        "token_ids": one.completion_ids,
        "finish_reason": finish_reason,
        "logprobs": logprobs,
    }


def test_tokens_that_are_never_sampled_are_named_in_a_request():
    settings = {"max_tokens": 4}
    assert sampling_request(settings, 2, 3, []) == SAMPLING
    banned = sampling_request(settings, 2, 3, [9, 4])
    assert banned == {**SAMPLING, "logit_bias": {"9": -100.0, "4": -100.0}}


def test_a_prompt_of_text_goes_by_its_tokens():
    body = text_request("m", [1, 2], SAMPLING)
    assert body == {"model": "m", "prompt": [1, 2], "return_token_ids": True, **SAMPLING}
    logprobs = [{"token_logprobs": one.sampling_per_token_logps} for one in SAMPLES]
    reply = {"choices": [choice(1, logprobs[1]), choice(0, logprobs[0])]}
    assert text_samples(reply) == SAMPLES


def test_images_go_within_the_request_as_they_were_read():
    images = [read_image(Image.new("RGB", (2, 2), name), "here") for name in ("red", "blue")]
    body = image_request("m", [1, 8, 8], images, SAMPLING)
    assert body == {
        "model": "m",
        "token_ids": [1, 8, 8],
        "content_parts": [{"type": "image_url", "url": one.data_url} for one in images],
        "return_token_ids": True,
        "sampling_params": {"detokenize": False, **SAMPLING},
    }
    stopping = image_request("m", [1, 8], images[:1], {**SAMPLING, "stop": ["="]})
    assert stopping["sampling_params"]["detokenize"]


def test_what_the_server_read_is_what_the_trainer_reads():
    logprobs = [
        {"content": [{"logprob": logp} for logp in one.sampling_per_token_logps]} for one in SAMPLES
    ]
    choices = [choice(1, logprobs[1]), choice(0, logprobs[0])]
    reply = {"prompt_token_ids": [1, 8, 8, 8], "choices": choices}
    assert image_samples(reply, [1, 8, 8, 8]) == SAMPLES
    with pytest.raises(InputError, match="got 4 tokens for a prompt with images, expected the 3"):
        image_samples(reply, [1, 8, 8])


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (GENERATE, 404, "got none at here that takes /inference.* with --enable-scale-out"),
        (COMPLETIONS, 404, r"got status 404 for /v1/completions from here \(no such model\)"),
        (GENERATE, 400, r"got status 400 for /inference.* \(no such model\).* the run's recipe"),
        (COMPLETIONS, 401, "VLLM_API_KEY: got no key, expected that of the vLLM server at here"),
    ],
)
def test_what_a_server_refuses_is_one_clear_line(path, status, message):
    request = Request("POST", f"http://here{path}")
    with pytest.raises(InputError, match=message):
        checked_reply(Response(status, text="no such\nmodel", request=request))


def test_a_server_that_fails_is_no_input_of_the_user_s():
    request = Request("POST", "http://here/collective_rpc")
    with pytest.raises(RuntimeError, match="got status 500 for http://here/collective_rpc"):
        checked_reply(Response(500, text="it broke", request=request))
    assert checked_reply(Response(200, request=request)) == {}
    assert checked_reply(Response(200, json={"a": 1}, request=request)) == {"a": 1}
