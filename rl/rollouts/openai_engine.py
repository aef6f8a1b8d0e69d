"""Sampling from an endpoint that speaks OpenAI's protocol: a vLLM server, or anybody's.

Text goes out and text comes back; the endpoint renders chat messages and counts tokens itself.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from queue import SimpleQueue
from typing import Any, Protocol, runtime_checkable

from rl.data.chat_parts import in_parts
from rl.data.images import PromptImage
from rl.data.prompts import Prompt
from rl.errors import InputError
from rl.rollouts.engine import Images, SamplingSettings
from rl.rollouts.engines import StoredModel

# Endpoints check the key's presence, not its value, unless they are somebody's service.
_NO_KEY = "none"
_MAX_RETRIES = 6
# A reply that is no completion is asked for again, after a wait that doubles.
_MAX_MALFORMED = 4
_FIRST_WAIT_SECONDS = 0.5
DEFAULT_TIMEOUT = 3600.0


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
        self,
        prompts: Sequence[Prompt],
        num_samples: int,
        seeds: Sequence[int],
        first_sample: int,
        images: Images = None,
    ) -> Iterator[tuple[int, dict[int, TextSample]]]:
        """Yield (position of a prompt, number -> sample), prompts as they are finished.

        `images` is not given where no prompt has any.
        """
        ...

    def close(self) -> None:
        """Free what the engine holds."""
        ...


class MalformedReplyError(ValueError):
    """A reply that is not a completion."""


class OpenAIEngine:
    """Samples from an OpenAI-compatible endpoint, one request per sample.

    Chat messages go to `/chat/completions`, plain text to `/completions`. Sample i of a prompt is
    asked for with the seed (prompt's seed + i) mod 2**63, as vLLM numbers the samples of one
    request, so that more samples begin with the same ones wherever the endpoint honours seeds.
    Busy or failing endpoints are asked again, with growing waits, by the client; so are, here,
    those whose reply is no completion.

    Args:
        model: Name the endpoint knows the model by.
        base_url: The endpoint, up to and with `/v1`.
        settings: How completions are sampled. What is switched off is not sent, because endpoints
            refuse settings they do not know.
        api_key_env: Environment variable with the key; None for an endpoint that needs none.
        concurrency: Requests under way at a time.
        chat_template_args: Arguments of the endpoint's chat template, as vLLM takes them.
        timeout: Seconds to wait for one reply.

    Attributes:
        malformed: What was wrong with each reply that was asked for again.

    Raises:
        InputError: If the client is not installed or the variable is not set.
    """

    takes_images = True

    def __init__(
        self,
        model: str,
        base_url: str,
        settings: SamplingSettings,
        *,
        api_key_env: str | None = None,
        concurrency: int = 32,
        chat_template_args: dict[str, Any] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        require_openai()
        from openai import OpenAI

        self.model = model
        self.base_url = base_url
        self.settings = settings
        self.concurrency = concurrency
        self.chat_template_args = chat_template_args
        self.malformed: list[str] = []
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
        images: Images = None,
    ) -> Iterator[tuple[int, dict[int, TextSample]]]:
        """Sample `num_samples` completions of each prompt.

        Args:
            prompts: Text or chat messages.
            num_samples: Samples per prompt.
            seeds: One seed per prompt, in [0, 2**63).
            first_sample: Number i of the first sample.
            images: Of each prompt, for the places in its messages; sent as `data:` URLs.

        Yields:
            (position of a prompt, number -> sample), prompts as they are finished. Interrupted, or
            refused by the endpoint, it yields what came of the unfinished ones and raises then.

        Raises:
            InputError: If the endpoint cannot be reached, refuses a request, stays busy or goes on
                replying what is no completion.
        """
        numbers = range(first_sample, first_sample + num_samples)
        requests = list(product(range(len(prompts)), numbers))
        replies: SimpleQueue[tuple[int, int, TextSample] | InputError | None] = SimpleQueue()
        is_over = threading.Event()
        arguments = iter(requests), prompts, seeds, images, replies, is_over
        num_threads = min(self.concurrency, len(requests))
        # Daemons: one that waits for a reply must not keep an interrupted program from ending.
        for _ in range(num_threads):
            threading.Thread(target=self._ask_all, args=arguments, daemon=True).start()
        found: list[dict[int, TextSample]] = [{} for _ in prompts]
        num_missing = len(requests)
        try:
            while num_missing:
                reply = replies.get()
                if isinstance(reply, InputError):
                    raise reply
                if reply is None:  # A thread has ended.
                    num_threads -= 1
                    assert num_threads, "a request crashed; its traceback stands above"
                    continue
                position, i, sample = reply
                num_missing -= 1
                found[position][i] = sample
                if len(found[position]) == num_samples:
                    yield position, found[position]
                    found[position] = {}
        except (KeyboardInterrupt, InputError):
            yield from ((position, group) for position, group in enumerate(found) if group)
            raise
        finally:
            is_over.set()

    def _ask_all(
        self,
        requests: Iterator[tuple[int, int]],
        prompts: Sequence[Prompt],
        seeds: Sequence[int],
        images: Images,
        replies: SimpleQueue,
        is_over: threading.Event,
    ) -> None:
        """Ask for one sample after the other, until none is left; runs in a thread."""
        try:
            for position, i in requests:
                if is_over.is_set():
                    break
                # Made for each request: encoded images of all prompts would be too much to hold.
                asked = with_data_urls(prompts[position], images[position] if images else ())
                sample = self._ask(asked, (seeds[position] + i) % 2**63)
                replies.put((position, i, sample))
        except InputError as error:
            replies.put(error)
        finally:
            replies.put(None)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def _ask(self, prompt: Prompt, seed: int) -> TextSample:
        start = time.monotonic()
        for wait in range(_MAX_MALFORMED + 1):
            try:
                reply = self._request_reply(prompt, seed)
                return to_text_sample(reply, time.monotonic() - start)
            except MalformedReplyError as error:
                if wait == _MAX_MALFORMED:
                    raise InputError(
                        f"--base_url: got {error} from {self.base_url}, {wait + 1} times, expected "
                        "an OpenAI-compatible endpoint. Check the address; it often ends in /v1."
                    ) from error
                self.malformed.append(str(error))
                time.sleep(_FIRST_WAIT_SECONDS * 2**wait)
        raise AssertionError("the last try returns or raises")

    def _request_reply(self, prompt: Prompt, seed: int) -> Any:
        import openai

        try:
            if isinstance(prompt, str):
                return self.client.completions.create(
                    model=self.model, prompt=prompt, **self._request(seed)
                )
            messages: Any = prompt
            return self.client.chat.completions.create(
                model=self.model, messages=messages, **self._request(seed, is_chat=True)
            )
        except openai.APIError as error:
            raise self._refusal(error) from error
        except ValueError as error:
            raise MalformedReplyError(f"a reply that is not JSON ({error})") from error

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


def with_data_urls(prompt: Prompt, images: Sequence[PromptImage]) -> Prompt:
    """Put images into the places that messages have for them, as the protocol takes them.

    Each becomes {"type": "image_url", "image_url": {"url": "data:image/png;base64,..."}}.
    """
    if not images or isinstance(prompt, str):
        return prompt
    waiting = iter(images)
    return [
        {
            **message,
            "content": [
                part
                if part["type"] != "image"
                else {"type": "image_url", "image_url": {"url": next(waiting).data_url}}
                for part in in_parts(message["content"])
            ],
        }
        for message in prompt
    ]


def to_text_sample(reply: Any, latency_seconds: float) -> TextSample:
    """Read a reply of `/chat/completions` or `/completions` with one choice.

    Raises:
        MalformedReplyError: If the reply has no choice, or one without text or a message.
    """
    choices = getattr(reply, "choices", None)
    if not choices or not isinstance(choices, list):
        raise MalformedReplyError("a reply without choices")
    choice = choices[0]
    message = getattr(choice, "message", None)
    text = getattr(choice, "text", None) if message is None else message.content
    if (message is None and text is None) or not isinstance(text, str | None):
        raise MalformedReplyError("a reply whose choice holds no text")
    text = text or ""
    thought = getattr(message, "reasoning", None) or getattr(message, "reasoning_content", None)
    if thought:
        # Cut off within the thought there is no content, and the thought stays open.
        text = f"<think>{thought}" + (f"</think>{text}" if text else "")
    num_tokens = getattr(getattr(reply, "usage", None), "completion_tokens", None)
    return TextSample(
        completion=text,
        num_tokens=num_tokens if isinstance(num_tokens, int) else None,
        finish_reason=getattr(choice, "finish_reason", None),
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
