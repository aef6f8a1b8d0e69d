"""What one prompt asks of a vLLM server, with images or without, and what its replies hold."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx

from rl.errors import InputError
from rl.rollouts.engine import Sample
from rl.rollouts.vllm_server_key import KEY_VARIABLE

if TYPE_CHECKING:
    from rl.data.images import PromptImage

COMPLETIONS = "/v1/completions"
# Tokens and images in, tokens out: of a server with --enable-scale-out.
GENERATE = "/inference/v1/generate"
# It refuses more than it runs at a time: 128 by default on a CPU, 256 or more on GPUs.
MAX_SAMPLES_WITH_IMAGES = 64
MAX_REASON_CHARACTERS = 300


def sampling_request(
    settings: dict[str, Any], num_samples: int, seed: int, never_sampled: Sequence[int]
) -> dict[str, Any]:
    """Return how completions are sampled, as both paths take it.

    Args:
        settings: As `rl.rollouts.vllm_engine.request_settings` returns them.
        num_samples: Completions of the prompt.
        seed: Of the first; the server adds its own number to each.
        never_sampled: Tokens that no completion may hold.
    """
    biases = {str(token): -100.0 for token in never_sampled}
    return {
        "n": num_samples,
        "seed": seed,
        "logprobs": 0,
        **({"logit_bias": biases} if biases else {}),
        **settings,
    }


def text_request(model: str, prompt_ids: Sequence[int], sampling: dict[str, Any]) -> dict[str, Any]:
    """Return the body of a request to `COMPLETIONS`."""
    return {"model": model, "prompt": prompt_ids, "return_token_ids": True, **sampling}


def image_request(
    model: str,
    prompt_ids: Sequence[int],
    images: Sequence["PromptImage"],
    sampling: dict[str, Any],
) -> dict[str, Any]:
    """Return the body of a request to `GENERATE`; images travel in it, encoded as they were read.

    Args:
        model: Name the server knows the model by.
        prompt_ids: With one token in the place of each image's (`ImageInputs.with_placeholders`);
            the server's own processor puts the others in.
        images: In the order of their places.
        sampling: As `sampling_request` returns it.
    """
    return {
        "model": model,
        "token_ids": prompt_ids,
        "content_parts": [{"type": "image_url", "url": image.data_url} for image in images],
        "return_token_ids": True,
        # Text is looked at for stop strings alone.
        "sampling_params": {"detokenize": "stop" in sampling, **sampling},
    }


def text_samples(reply: dict[str, Any]) -> list[Sample]:
    """Read the completions in a reply of `COMPLETIONS`, in their order."""
    return [
        _sample(choice, choice["logprobs"]["token_logprobs"])
        for choice in sorted(reply["choices"], key=lambda choice: choice["index"])
    ]


def image_samples(reply: dict[str, Any], prompt_ids: list[int]) -> list[Sample]:
    """Read the completions in a reply of `GENERATE`, in their order.

    Args:
        reply: Holds the tokens of the prompt, as the server sampled from it.
        prompt_ids: As the trainer reads it, each image as many tokens as it has.

    Raises:
        InputError: If the server read other tokens than the trainer.
    """
    if reply["prompt_token_ids"] != prompt_ids:
        raise InputError(
            f"vLLM server: got {len(reply['prompt_token_ids'])} tokens for a prompt with images, "
            f"expected the {len(prompt_ids)} of the trainer, because both have to cut images up "
            "alike. Start the server with the model, and so the processor, of the run, as "
            "`python scripts/serve_vllm.py RECIPE.yaml` does."
        )
    return [
        _sample(choice, [token["logprob"] for token in choice["logprobs"]["content"]])
        for choice in sorted(reply["choices"], key=lambda choice: choice["index"])
    ]


def _sample(choice: dict[str, Any], logps: list[float]) -> Sample:
    return Sample(
        completion_ids=choice["token_ids"],
        truncated=choice["finish_reason"] == "length",
        sampling_per_token_logps=logps,
    )


def checked_reply(response: httpx.Response) -> dict[str, Any]:
    """Return what a server replied.

    Raises:
        InputError: If it refused the request, as one without its key.
        RuntimeError: If it failed.
    """
    if response.is_success:
        return response.json() if response.content else {}
    status, host, path = response.status_code, response.url.host, response.url.path
    if status == 401:
        got = "another key" if "Authorization" in response.request.headers else "no key"
        raise InputError(
            f"{KEY_VARIABLE}: got {got}, expected that of the vLLM server at {host}. "
            "Set the variable to what serve_vllm.py printed, for all ranks."
        )
    if status == 404 and path == GENERATE:
        raise InputError(
            f"vLLM server: got none at {host} that takes {path}, by which images are sent, "
            "expected one with --enable-scale-out. Start it with `python scripts/serve_vllm.py "
            "RECIPE.yaml`, or with that option."
        )
    reason = " ".join(response.text.split())[:MAX_REASON_CHARACTERS]
    if 400 <= status < 500:
        raise InputError(
            f"vLLM server: got status {status} for {path} from {host} ({reason}), expected what "
            "the run asks for. Start it with the run's recipe, as `python scripts/serve_vllm.py "
            "RECIPE.yaml` does."
        )
    raise RuntimeError(
        f"vLLM server: got status {status} for {response.url}, expected success: {reason}"
    )
