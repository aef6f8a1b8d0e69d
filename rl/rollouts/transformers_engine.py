"""Sampling with `transformers`: no further dependency, any device, sharded models included."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationConfig,
    LogitsProcessorList,
    MinPLogitsWarper,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.generation.logits_process import LogitsProcessor

from rl.data.model_files import takes_images
from rl.errors import InputError
from rl.rollouts.engine import Images, Sample, SamplingSettings, derive_seed
from rl.rollouts.engines import StoredModel, TrainedPolicy
from rl.rollouts.image_tokens import image_tensors, image_token_ids
from rl.rollouts.prompt_cache import repeated_prompt_cache
from rl.rollouts.stop_strings import StopAtStrings

if TYPE_CHECKING:
    from rl.data.image_inputs import ImageInputs
    from rl.data.images import PromptImage


class Request(NamedTuple):
    """A completion that is asked for."""

    prompt_ids: list[int]
    seed: int
    max_length: int
    images: "Sequence[PromptImage]" = ()


def uniform_noise(seeds: torch.Tensor, step: int, size: int) -> torch.Tensor:
    """Draw uniform numbers in (0, 1) that are a pure function of (seed, step, column).

    u[b, v] = ((splitmix64(splitmix64(splitmix64(seed[b]) + step) + v) >> 11) + 0.5) / 2**53

    A row's numbers do not depend on the other rows, so neither does what is sampled with them.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (the
    mixing function). Differs: used as a hash of a counter, not as a stream.

    Args:
        seeds: One seed per row, int64, shape (B,).
        step: Position in the completion, from 0.
        size: Number of columns, V.

    Returns:
        Uniform numbers, float64, shape (B, V), on the seeds' device.
    """
    row_keys = _splitmix64(_splitmix64(seeds) + step)
    columns = torch.arange(size, device=seeds.device, dtype=torch.int64)
    bits = _splitmix64(row_keys[:, None] + columns)
    return ((bits >> 11 & (1 << 53) - 1).double() + 0.5) / 2**53


def _splitmix64(x: torch.Tensor) -> torch.Tensor:
    x = x + _as_int64(0x9E3779B97F4A7C15)
    x = (x ^ _shift_right(x, 30)) * _as_int64(0xBF58476D1CE4E5B9)
    x = (x ^ _shift_right(x, 27)) * _as_int64(0x94D049BB133111EB)
    return x ^ _shift_right(x, 31)


def _shift_right(x: torch.Tensor, bits: int) -> torch.Tensor:
    # torch shifts int64 arithmetically; the mask makes it the logical shift of an unsigned number.
    return x >> bits & (1 << 64 - bits) - 1


def _as_int64(constant: int) -> int:
    return constant - (1 << 64) if constant >= 1 << 63 else constant


class SeededSampling(LogitsProcessor):
    """Turn greedy decoding into sampling with one seed per row (the Gumbel-max trick).

    argmax_v (logit[v] - log(-log u[v])) with uniform u is a draw from softmax(logit).
    """

    def __init__(self, seeds: torch.Tensor, prompt_length: int) -> None:
        self.seeds = seeds
        self.prompt_length = prompt_length

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.Tensor:
        """Add each row's own noise to the (B, V) scores of the next token."""
        step = input_ids.shape[1] - self.prompt_length
        uniform = uniform_noise(self.seeds, step, scores.shape[1])
        return scores - torch.log(-torch.log(uniform)).to(scores.dtype)


@contextmanager
def by_itself(model: Any) -> Iterator[None]:
    """Let a rank run a model whose weights are whole as often as it needs to.

    Of DeepSpeed ZeRO-3's hooks TRL leaves one on the model, which meets the other ranks at every
    forward pass until a first update has shown the order of the layers. Ranks sample different
    numbers of prompts and tokens, so they would wait for each other for ever.
    """
    hooks = model._forward_pre_hooks
    theirs = {
        number: hook
        for number, hook in hooks.items()
        if getattr(hook, "__module__", "").startswith("deepspeed.")
    }
    for number in theirs:
        del hooks[number]
    try:
        yield
    finally:
        hooks.update(theirs)


class TransformersEngine:
    """Samples with the trained model itself, so there are no weights to sync.

    A prompt is run once for all its samples of a batch (`prompt_cache.py`), and each sample draws
    with noise of its own seed, whatever else is in the batch.

    Args:
        model: The model to sample from.
        tokenizer: Its tokenizer; gives the padding and end tokens.
        settings: How completions are sampled.
        batch_size: Completions sampled at a time; bounds memory.
        max_positions: Most positions of prompts and longest completions at a time; None: any
            number. A completion that takes more is sampled alone.
        generation_context: Makes the model ready to generate and undoes it (gathers sharded
            parameters, switches gradient checkpointing off); yields the model to call.
        image_inputs: Makes pixels of prompts with images; None for a model of text alone.
    """

    takes_images = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: SamplingSettings,
        batch_size: int = 256,
        generation_context: Callable[[], AbstractContextManager] | None = None,
        max_positions: int | None = None,
        image_inputs: "ImageInputs | None" = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.settings = settings
        self.batch_size = batch_size
        self.max_positions = max_positions
        self.generation_context = generation_context or (lambda: nullcontext(model))
        self.eos_token_ids = end_token_ids(model, tokenizer)
        self.image_inputs = image_inputs
        self.never_sampled = image_token_ids(model.config)

    @classmethod
    def for_run(cls, policy: TrainedPolicy, settings: SamplingSettings) -> "TransformersEngine":
        """Sample with the trained model itself.

        Raises:
            InputError: Under FSDP.
        """
        if policy.accelerator.state.distributed_type == "FSDP":
            raise InputError(
                "use_vllm: got false under FSDP, expected true. Ranks sample different numbers of "
                "tokens, which sharded forward passes cannot; set use_vllm: true."
            )
        return cls(
            policy.model,
            policy.tokenizer,
            settings,
            generation_context=policy.generation_context,
            image_inputs=policy.image_inputs,
        )

    @classmethod
    def for_model(cls, model: StoredModel) -> "TransformersEngine":
        """Load a model.

        Weights keep the precision they are stored in, but are float32 on a CPU, where multiplying
        matrices in bfloat16 is 20 to 40 times slower.
        """
        config = AutoConfig.from_pretrained(model.model, revision=model.revision)
        kind = AutoModelForImageTextToText if takes_images(config) else AutoModelForCausalLM
        loaded = kind.from_pretrained(
            model.model,
            revision=model.revision,
            dtype="auto" if torch.accelerator.is_available() else torch.float32,
            device_map="auto",
        )
        assert model.tokenizer is not None
        return cls(
            loaded,
            model.tokenizer,
            model.settings,
            model.batch_size,
            image_inputs=model.image_inputs,
        )

    # How a batch's prompts are run; scripts/benchmark.py measures the engine without it.
    prompt_cache = staticmethod(repeated_prompt_cache)

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
        images: Images = None,
        max_lengths: Sequence[int] | None = None,
    ) -> list[list[Sample]]:
        """Sample `num_samples` completions of each prompt (see `RolloutEngine.generate`)."""
        limits = max_lengths or [self.settings.max_completion_length] * len(prompt_ids)
        images = images or [()] * len(prompt_ids)
        requests = [
            Request(ids, derive_seed(seed, sample), limit, own)
            for ids, seed, limit, own in zip(prompt_ids, seeds, limits, images, strict=True)
            for sample in range(first_sample, first_sample + num_samples)
        ]
        samples: dict[int, Sample] = {}
        with self.generation_context() as model, by_itself(model), torch.no_grad():
            was_training = model.training
            model.eval()
            try:
                for rows in self._batches([len(request.prompt_ids) for request in requests]):
                    batch = self._sample_batch(model, [requests[i] for i in rows])
                    samples.update(zip(rows, batch, strict=True))
            finally:
                model.train(was_training)
        flat = [samples[i] for i in range(len(requests))]
        return [flat[i : i + num_samples] for i in range(0, len(flat), num_samples)]

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Yield the numbers of the prompts of each batch, from their lengths."""
        # Prompts of similar length share a batch, which keeps padding low.
        batch: list[int] = []
        for number in sorted(range(len(lengths)), key=lengths.__getitem__):
            length = lengths[number] + self.settings.max_completion_length
            most = self.batch_size
            if self.max_positions is not None:
                most = min(most, max(1, self.max_positions // length))
            if len(batch) >= most:
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    def _sample_batch(self, model: Any, requests: list[Request]) -> list[Sample]:
        prompts: dict[tuple[Any, ...], Request] = {}
        keys = [(*r.prompt_ids, *(image.digest for image in r.images)) for r in requests]
        for key, request in zip(keys, requests, strict=True):
            prompts.setdefault(key, request)
        numbers = {key: number for number, key in enumerate(prompts)}
        rows = torch.tensor([numbers[key] for key in keys], device=model.device)
        seeds = torch.tensor([request.seed for request in requests], device=model.device)
        prompt_ids, prompt_mask = self._pad_left(
            [request.prompt_ids for request in prompts.values()], model.device
        )
        of_prompts = [request.images for request in prompts.values()]
        pixels = image_tensors(self.image_inputs, of_prompts, prompt_ids)
        cache = self.prompt_cache(model, prompt_ids, prompt_mask, rows, pixels)
        if cache is None:
            of_rows = [request.images for request in requests]
            pixels = image_tensors(self.image_inputs, of_rows, prompt_ids[rows])
        else:  # the last token of a prompt is no image's
            pixels = {}
        prompt_length = prompt_ids.shape[1]
        limits = [request.max_length for request in requests]
        stops = self.settings.stop_strings
        criteria = [StopAtStrings(self.tokenizer, stops, prompt_length)] if stops else []
        output = model.generate(
            input_ids=prompt_ids[rows],
            attention_mask=prompt_mask[rows],
            past_key_values=cache,
            **pixels,
            # What is not set here, `generate` takes from the model's own generation settings.
            generation_config=GenerationConfig(
                max_new_tokens=max(limits),
                do_sample=False,
                # Not read; the model's own would be, with a warning that they are not.
                temperature=1.0,
                top_p=1.0,
                top_k=50,
                repetition_penalty=self.settings.repetition_penalty,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=self.eos_token_ids,
                disable_compile=True,
            ),
            logits_processor=self._logits_processors(seeds, prompt_length),
            stopping_criteria=StoppingCriteriaList(criteria),
            synced_gpus=False,  # weights are whole, so ranks may take as many steps as they need
        )
        ends = criteria[0].ends if criteria else {}
        completions = output[:, prompt_length:].tolist()
        return [
            self._to_sample(tokens, ends.get(row), limit)
            for row, (tokens, limit) in enumerate(zip(completions, limits, strict=True))
        ]

    def _pad_left(
        self, prompts: list[list[int]], device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the prompts as a (P, L) tensor, and a mask that is 0 at padding."""
        length = max(map(len, prompts))
        pad_token_id = self.tokenizer.pad_token_id
        ids = [[pad_token_id] * (length - len(prompt)) + prompt for prompt in prompts]
        mask = [[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        return torch.tensor(ids, device=device), torch.tensor(mask, device=device)

    def _logits_processors(self, seeds: torch.Tensor, prompt_length: int) -> LogitsProcessorList:
        settings = self.settings
        processors = LogitsProcessorList()
        if self.never_sampled:
            processors.append(SuppressTokensLogitsProcessor(self.never_sampled))
        if settings.temperature == 0.0:
            return processors
        if settings.temperature != 1.0:
            processors.append(TemperatureLogitsWarper(settings.temperature))
        if settings.top_k > 0:
            processors.append(TopKLogitsWarper(settings.top_k))
        if settings.top_p < 1.0:
            processors.append(TopPLogitsWarper(settings.top_p))
        if settings.min_p > 0.0:
            processors.append(MinPLogitsWarper(settings.min_p))
        processors.append(SeededSampling(seeds, prompt_length))
        return processors

    def _to_sample(self, tokens: list[int], stopped_at: int | None, limit: int) -> Sample:
        """Cut off what pads a row: its end token, or a stop string, is the last that counts."""
        if stopped_at is not None and stopped_at > limit:
            stopped_at = None
        tokens = tokens[: stopped_at or limit]
        for position, token in enumerate(tokens):
            if token in self.eos_token_ids:
                return Sample(completion_ids=tokens[: position + 1], truncated=False)
        return Sample(completion_ids=tokens, truncated=stopped_at is None)

    def sync_weights(self) -> None:
        """Do nothing: the engine samples with the trained model itself."""

    def close(self) -> None:
        """Do nothing: the engine holds nothing of its own."""


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return every token that ends a completion: the tokenizer's and those the model declares."""
    declared = model.generation_config.eos_token_id
    declared = [] if declared is None else declared if isinstance(declared, list) else [declared]
    assert isinstance(tokenizer.eos_token_id, int)
    return list(dict.fromkeys([tokenizer.eos_token_id, *declared]))
