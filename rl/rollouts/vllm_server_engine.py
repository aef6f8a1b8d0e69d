"""Sampling from a vLLM server over HTTP, on this machine or on others."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

import httpx
import torch
from accelerate.utils import broadcast_object_list
from huggingface_hub import save_torch_state_dict
from torch import Tensor

from rl.errors import InputError
from rl.rollouts.engine import Images, Sample, SamplingSettings
from rl.rollouts.engines import TrainedPolicy
from rl.rollouts.fingerprint import weight_fingerprint
from rl.rollouts.image_tokens import image_token_ids, with_placeholders
from rl.rollouts.vllm_engine import check_fingerprint, request_settings, require_vllm
from rl.rollouts.vllm_server import (
    ServerProcess,
    configured_command,
    new_key,
    wait_until_up,
)
from rl.rollouts.vllm_server_key import KEY_VARIABLE
from rl.rollouts.vllm_server_requests import (
    COMPLETIONS,
    GENERATE,
    MAX_SAMPLES_WITH_IMAGES,
    checked_reply,
    image_request,
    image_samples,
    sampling_request,
    text_request,
    text_samples,
)

if TYPE_CHECKING:
    from accelerate import Accelerator
    from trl.generation.vllm_client import VLLMClient

    from rl.data.image_inputs import ImageInputs
    from rl.data.images import PromptImage
    from rl.training.config import LabelFreeConfig

MAX_CONCURRENT_REQUESTS = 64
# The server takes seeds below 2**63; this leaves room for the number of a first sample.
_SEEDS = 2**63 - 2**20


class VLLMServerEngine:
    """Samples through a vLLM server; every rank sends its own prompts.

    Args:
        base_url: Address of the server.
        settings: How completions are sampled.
        parameters: Yields the trained model's full parameters; None if they never change.
        accelerator: The trainer's; None outside of training.
        sync_dir: Folder seen by trainer and server, through which weights are handed over.
        nccl_client: TRL's client, which hands weights over by NCCL instead.
        process: The server's process, if it ends with this engine.
        key: What the server asks for; None if it asks for none.
        timeout: Seconds one request may take.
        image_inputs: Reads prompts with images; None for a model of text alone.
        never_sampled: Tokens that no completion may hold (`image_tokens.image_token_ids`).
    """

    samples_beside_updates = True  # on devices of its own, from any thread
    takes_images = True

    def __init__(
        self,
        base_url: str,
        settings: SamplingSettings,
        parameters: Callable[[], Iterator[tuple[str, Tensor]]] | None = None,
        accelerator: "Accelerator | None" = None,
        sync_dir: Path | None = None,
        nccl_client: "VLLMClient | None" = None,
        process: ServerProcess | None = None,
        key: str | None = None,
        timeout: float = 3600,
        image_inputs: "ImageInputs | None" = None,
        never_sampled: Sequence[int] = (),
    ) -> None:
        self.base_url = base_url
        self.settings = settings
        self.parameters = parameters
        self.accelerator = accelerator
        self.sync_dir = sync_dir
        self.nccl_client = nccl_client
        self.process = process
        self.image_inputs = image_inputs
        self.never_sampled = never_sampled
        self.slots = BoundedSemaphore(MAX_CONCURRENT_REQUESTS)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # The server closes a connection that is idle for a few seconds, maybe just as it is used
        # again: each request has one of its own. Those for samples do not hold up the others.
        self.client = httpx.Client(
            base_url=base_url,
            timeout=timeout,
            headers=headers,
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        self.model_name = self._get("/v1/models")["data"][0]["id"]
        self.num_syncs = 0

    @classmethod
    def require(cls) -> None:
        """Check that vLLM is installed: its client, and the server where a run starts it."""
        require_vllm()

    @classmethod
    def for_run(cls, policy: TrainedPolicy, settings: SamplingSettings) -> "VLLMServerEngine":
        """Connect every rank to the server the configuration names; start it first if asked to.

        Raises:
            InputError: If the server does not come up, or cannot take weights the way asked for.
        """
        config, accelerator = policy.config, policy.accelerator
        base_url = server_url(config)
        process, key = None, os.environ.get(KEY_VARIABLE)
        if config.vllm_launch_server:
            # The main process's goes to all ranks.
            [shared] = broadcast_object_list([key or new_key()])
            key = str(shared)
            if accelerator.is_main_process:
                command = configured_command(config, config.vllm_tensor_parallel_size)
                process = ServerProcess(command, Path(config.output_dir) / "vllm_server.log", key)
        with ExitStack() as started:  # ends the server if anything fails before it is in use
            if process is not None:
                started.callback(process.stop)
            wait_until_up(base_url, config.vllm_server_timeout, process)
            accelerator.wait_for_everyone()
            nccl_client = None
            if config.vllm_weight_sync == "nccl" and accelerator.is_main_process:
                nccl_client = connect_nccl(base_url, config, accelerator, key)
            engine = cls(
                base_url,
                settings,
                policy.parameters,
                accelerator,
                sync_dir=sync_dir(config) if config.vllm_weight_sync == "folder" else None,
                nccl_client=nccl_client,
                process=process,
                key=key,
                image_inputs=policy.image_inputs,
                never_sampled=image_token_ids(policy.model.config),
            )
            started.pop_all()
        return engine

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
            InputError: If the server is gone, refuses a request, or reads other tokens for an image
                than the trainer does.
        """
        # The server adds its own number to each of the n samples.
        first_seeds = [seed % _SEEDS + first_sample for seed in seeds]
        limits = max_lengths or repeat(None)
        requests = prompt_ids, first_seeds, repeat(num_samples), images or repeat(()), limits
        if len(prompt_ids) == 1:
            return list(map(self._complete, *requests))
        with ThreadPoolExecutor(MAX_CONCURRENT_REQUESTS) as pool:
            return list(pool.map(self._complete, *requests))

    def _complete(
        self,
        prompt_ids: list[int],
        seed: int,
        num_samples: int,
        images: "Sequence[PromptImage]",
        max_length: int | None,
    ) -> list[Sample]:
        settings = request_settings(self.settings, max_length)
        with self.slots:  # so many requests, and encoded images, are in memory at a time
            if not images:
                sampling = sampling_request(settings, num_samples, seed, self.never_sampled)
                body = text_request(self.model_name, prompt_ids, sampling)
                return text_samples(self._post(COMPLETIONS, body))
            short = with_placeholders(self.image_inputs, prompt_ids, images)
            samples: list[Sample] = []
            while (missing := num_samples - len(samples)) > 0:
                number, first = min(missing, MAX_SAMPLES_WITH_IMAGES), seed + len(samples)
                sampling = sampling_request(settings, number, first, self.never_sampled)
                body = image_request(self.model_name, short, images, sampling)
                samples += image_samples(self._post(GENERATE, body), prompt_ids)
            return samples

    def sync_weights(self) -> None:
        """Hand the trained weights to the server and prove that it holds them.

        Raises:
            RuntimeError: If the server's weights differ from the trained ones afterwards.
        """
        if self.parameters is None or self.accelerator is None:
            return
        if self.accelerator.is_main_process:
            held = self._rpc("weight_fingerprint")[0]
            # Requests under way, of any rank, stand still and go on with the new weights. The
            # server's two caches of pixels stay, for a request on its way from one to the other.
            self._post("/pause?mode=keep&clear_cache=false")
            try:
                self._hand_over(getattr(torch, held["dtype"]))
            finally:
                self._post("/resume")
        else:
            for _ in self.parameters():
                pass  # takes part in gathering sharded parameters
        self.accelerator.wait_for_everyone()

    def _hand_over(self, dtype: torch.dtype) -> None:
        assert self.parameters is not None
        weights = {
            name: parameter.detach().to("cpu", dtype, copy=True)
            for name, parameter in self.parameters()
        }
        expected = list(weight_fingerprint(weights.values(), dtype))
        if self.nccl_client is not None:
            assert self.accelerator is not None
            device = self.accelerator.device
            metadata = [
                (name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape))
                for name, tensor in weights.items()
            ]
            tensors = ((name, tensor.to(device)) for name, tensor in weights.items())
            self.nccl_client.update_named_params(metadata, tensors)
        else:
            self._reload_from_folder(weights)
        self._rpc("repack_tied_weights")
        # The keys and values of requests under way are computed again too.
        reset = self._post("/reset_prefix_cache?reset_running_requests=true")
        self._post("/reset_encoder_cache")  # what images became under the old weights
        if not reset["success"]:
            raise RuntimeError(
                "vLLM server: got a prefix cache that was not emptied, expected none of the old "
                "weights' keys and values to stay."
            )
        for worker in self._rpc("weight_fingerprint"):
            check_fingerprint(expected, worker)

    def _reload_from_folder(self, weights: dict[str, Tensor]) -> None:
        assert self.sync_dir is not None
        self.num_syncs += 1
        folder = self.sync_dir.resolve() / f"weights-{self.num_syncs:06d}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        save_torch_state_dict(weights, folder)
        self._rpc("reload_weights", weights_path=str(folder))
        shutil.rmtree(folder)

    def abort_requests(self) -> None:
        """End every request under way, of any rank; what comes back of them is worth nothing."""
        self._post("/abort_requests")

    def close(self) -> None:
        """Close the connections, and end the server if this run started it."""
        self.client.close()
        if self.process is not None:
            self.process.stop()

    def _rpc(self, method: str, **kwargs: str) -> list[Any]:
        response = self._post("/collective_rpc", {"method": method, "kwargs": kwargs})
        return response.get("results", [])

    def _get(self, path: str) -> dict[str, Any]:
        return self._send("GET", path)

    def _post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._send("POST", path, body or {})

    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self.client.request(method, path, json=body)
        except httpx.TransportError as error:
            if self.process is not None:
                self.process.check_alive()
            raise InputError(
                f"vLLM server: got no answer from {self.base_url} "
                f"({type(error).__name__}: {error}), expected it to run. Start it again, and go on "
                "with --resume_from_checkpoint auto; the weights are handed over anew."
            ) from error
        return checked_reply(response)


def server_url(config: "LabelFreeConfig") -> str:
    """Return the address of the server a configuration names."""
    if config.vllm_server_base_url:
        return config.vllm_server_base_url.rstrip("/")
    host = "127.0.0.1" if config.vllm_server_host == "0.0.0.0" else config.vllm_server_host
    return f"http://{host}:{config.vllm_server_port}"


def sync_dir(config: "LabelFreeConfig") -> Path:
    """Return the folder through which trainer and server hand weights over."""
    return Path(config.vllm_sync_dir or Path(config.output_dir) / "vllm_weights")


def connect_nccl(
    base_url: str, config: "LabelFreeConfig", accelerator: "Accelerator", key: str | None
) -> "VLLMClient":
    """Join the server's NCCL group through TRL's client, which sends the key.

    Raises:
        InputError: Without a CUDA device, which NCCL needs.
    """
    if accelerator.device.type != "cuda":
        raise InputError(
            f"vllm_weight_sync: got 'nccl' on {accelerator.device.type}, expected CUDA devices. "
            "Set vllm_weight_sync: folder."
        )
    from trl.generation.vllm_client import VLLMClient

    class KeyedClient(VLLMClient):
        def check_server(self, *arguments: Any, **settings: Any) -> None:
            # The first request of the constructor, which makes the session.
            if key:
                self.session.headers["Authorization"] = f"Bearer {key}"
            super().check_server(*arguments, **settings)

    client = KeyedClient(
        base_url=base_url,
        group_port=config.vllm_group_port,
        connection_timeout=config.vllm_server_timeout,
    )
    client.init_communicator(device=accelerator.device)
    return client
