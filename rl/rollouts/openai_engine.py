"""Sampling from an endpoint that speaks OpenAI's protocol: a vLLM server, or anybody's.

Text goes out and text comes back; the endpoint renders chat messages and counts tokens itself.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

from rl.data.prompts import Prompt
from rl.errors import InputError
from rl.rollouts.engine import SamplingSettings
from rl.rollouts.engines import StoredModel

# Endpoints check the key's presence, not its value, unless they are somebody's service.
_NO_KEY = "none"
_MAX_RETRIES = 6


@dataclass(frozen=True, kw_only=True)
class TextSample:
    """One sampled completion as an endpoint returns it.

    Attributes:
        completion: The text; a thought that came apart from it stands before it in `<think>` tags.
        num_tokens: Sampled tokens, None where the endpoint does not say.
        finish_reason: "stop", "length", or what the endpoint says.
        latency_seconds: From asking to the reply, retries included.
    """

    completion: str
    num_tokens: int | None
    finish_reason: str | None
    latency_seconds: float


@runtime_checkable
class TextEngine(Protocol):
    """Samples completions of prompts as text, for an evaluation; holds no tokenizer."""

    def complete(
        self, prompts: Sequence[Prompt], num_samples: int, seeds: Sequence[int], first_sample: int
    ) -> Iterator[tuple[int, list[TextSample]]]:
        """Yield (position of a prompt, its samples in order), prompts as they are finished."""
        ...

    def close(self) -> None:
        """Free what the engine holds."""
        ...


class OpenAIEngine:
    """Samples from an OpenAI-compatible endpoint, one request per sample.

    Chat messages go to `/chat/completions`, plain text to `/completions`. Sample i of a prompt is
    asked for with the seed (prompt's seed + i) mod 2**63, as vLLM numbers the samples of one
    request, so that more samples begin with the same ones wherever the endpoint honours seeds.
    Busy or failing endpoints are asked again, with growing waits, by the client.

    Args:
        model: Name the endpoint knows the model by.
        base_url: The endpoint, up to and with `/v1`.
        settings: How completions are sampled. What is switched off is not sent, because endpoints
            refuse settings they do not know.
        api_key_env: Environment variable with the key; None for an endpoint that needs none.
        concurrency: Requests under way at a time.
        chat_template_args: Arguments of the endpoint's chat template, as vLLM takes them.
        timeout: Seconds to wait for one reply.

    Raises:
        InputError: If the client is not installed or the variable is not set.
    """

    def __init__(
        self,
        model: str,
        base_url: str,
        settings: SamplingSettings,
        *,
        api_key_env: str | None = None,
        concurrency: int = 32,
        chat_template_args: dict[str, Any] | None = None,
        timeout: float = 3600.0,
    ) -> None:
        require_openai()
        from openai import OpenAI

        self.model = model
        self.base_url = base_url
        self.settings = settings
        self.concurrency = concurrency
        self.chat_template_args = chat_template_args
        self.client = OpenAI(
            base_url=base_url,
            api_key=api_key(api_key_env),
            timeout=timeout,
            max_retries=_MAX_RETRIES,
        )

    @classmethod
    def require(cls) -> None:
        """Check that the client is installed."""
        require_openai()

    @classmethod
    def for_model(cls, model: StoredModel) -> "OpenAIEngine":
        """Ask the endpoint that `model.endpoint` describes."""
        return cls(model.model, settings=model.settings, **model.endpoint)

    def complete(
        self,
        prompts: Sequence[Prompt],
        num_samples: int,
        seeds: Sequence[int],
        first_sample: int = 0,
    ) -> Iterator[tuple[int, list[TextSample]]]:
        """Sample `num_samples` completions of each prompt.

        Args:
            prompts: Text or chat messages.
            num_samples: Samples per prompt.
            seeds: One seed per prompt, in [0, 2**63).
            first_sample: Number i of the first sample.

        Yields:
            (position of a prompt, its samples in order), prompts as they are finished.

        Raises:
            InputError: If the endpoint cannot be reached, refuses a request or stays busy.
        """
        found: list[dict[int, TextSample]] = [{} for _ in prompts]
        pool = ThreadPoolExecutor(self.concurrency)
        try:
            waiting: dict[Future[TextSample], tuple[int, int]] = {}
            for position, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True)):
                for i in range(first_sample, first_sample + num_samples):
                    future = pool.submit(self._ask, prompt, (seed + i) % 2**63)
                    waiting[future] = position, i
            for future in as_completed(list(waiting)):
                position, i = waiting.pop(future)
                found[position][i] = future.result()
                if len(found[position]) == num_samples:
                    yield position, [sample for _, sample in sorted(found[position].items())]
                    found[position] = {}
        finally:
            pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _ask(self, prompt: Prompt, seed: int) -> TextSample:
        import openai

        start = time.monotonic()
        try:
            if isinstance(prompt, str):
                reply: Any = self.client.completions.create(
                    model=self.model, prompt=prompt, **self._request(seed)
                )
            else:
                messages: Any = prompt
                reply = self.client.chat.completions.create(
                    model=self.model, messages=messages, **self._request(seed, is_chat=True)
                )
        except openai.APIError as error:
            raise self._refusal(error) from error
        except ValueError as error:  # The reply is no JSON.
            raise InputError(
                f"--base_url: got a reply from {self.base_url} that is not JSON ({error}), "
                "expected an OpenAI-compatible endpoint. Check the address; it often ends in /v1."
            ) from error
        return to_text_sample(reply, time.monotonic() - start, self.base_url)

    def _request(self, seed: int, is_chat: bool = False) -> dict[str, Any]:
        settings = self.settings
        extra: dict[str, Any] = {}
        if settings.top_k:
            extra["top_k"] = settings.top_k
        if settings.min_p:
            extra["min_p"] = settings.min_p
        if settings.repetition_penalty != 1.0:
            extra["repetition_penalty"] = settings.repetition_penalty
        if is_chat and self.chat_template_args:
            extra["chat_template_kwargs"] = self.chat_template_args
        return {
            "max_tokens": settings.max_completion_length,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "seed": seed,
            **({"stop": list(settings.stop_strings)} if settings.stop_strings else {}),
            "extra_body": extra or None,
        }

    def _refusal(self, error: Any) -> InputError:
        import openai

        reason = " ".join(str(error).split())[:300]
        if isinstance(error, openai.APIConnectionError):
            return InputError(
                f"--base_url: got no answer from {self.base_url} ({reason}), expected a running "
                "endpoint. Check the address; the same command continues what was finished."
            )
        return InputError(
            f"--base_url: got an error from {self.base_url} for model {self.model!r} ({reason}), "
            "expected a completion. Check --model, --api_key_env and the limits; the same command "
            "continues what was finished."
        )


def to_text_sample(reply: Any, latency_seconds: float, base_url: str) -> TextSample:
    """Read a reply of `/chat/completions` or `/completions` with one choice.

    Raises:
        InputError: If the reply has no choice.
    """
    choices = getattr(reply, "choices", None)
    if not choices:
        raise InputError(
            f"--base_url: got a reply without choices from {base_url}, expected an "
            "OpenAI-compatible endpoint. Check the address; it often ends in /v1."
        )
    choice = choices[0]
    if hasattr(choice, "text"):
        text = choice.text or ""
    else:
        text = choice.message.content or ""
        thought = getattr(choice.message, "reasoning", None)
        thought = thought or getattr(choice.message, "reasoning_content", None)
        if thought:
            # Cut off within the thought there is no content, and the thought stays open.
            text = f"<think>{thought}" + (f"</think>{text}" if text else "")
    usage = getattr(reply, "usage", None)
    return TextSample(
        completion=text,
        num_tokens=usage.completion_tokens if usage is not None else None,
        finish_reason=choice.finish_reason,
        latency_seconds=round(latency_seconds, 4),
    )


def api_key(variable: str | None) -> str:
    """Read the key from an environment variable.

    Raises:
        InputError: If the variable is named and not set.
    """
    if variable is None:
        return _NO_KEY
    key = os.environ.get(variable)
    if not key:
        raise InputError(
            f"--api_key_env: got the variable {variable}, which is not set, expected one that "
            "holds the key. Export it, or leave the option out for an endpoint without keys."
        )
    return key


def require_openai() -> None:
    """Check that the client can be imported.

    Raises:
        InputError: If it is not installed.
    """
    if find_spec("openai") is None:
        raise InputError(
            "openai: got no installation, expected the package openai, the client for "
            "OpenAI-compatible endpoints. Run `pip install 'label-free-rl[openai]'`."
        )
