"""A vLLM server that can take new weights: the command that starts it, and its process."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx
import torch

from rl.errors import InputError
from rl.rollouts.vllm_engine import CPU_SETTINGS, WORKER_EXTENSION, require_vllm, run_settings
from rl.rollouts.vllm_server_key import KEY_VARIABLE, RequireKey
from rl.with_parent import command_with_parent

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig


def server_command(
    model: str,
    port: int,
    weight_sync: str = "folder",
    host: str = "127.0.0.1",
    **llm_settings: Any,
) -> list[str]:
    """Return the command line of a server the trainer can sync weights into.

    It asks every request but /health for the key in its environment (`server_environment`).

    Args:
        model: Model folder or hub id, the one the run starts from.
        port: Port to listen on.
        weight_sync: "folder" (any device, any machine that sees the folder) or "nccl" (GPUs).
        host: Address to listen on; that of this machine alone by default.
        llm_settings: Further settings of vLLM's engine, such as `dtype` and `max_model_len`; on a
            CPU `CPU_SETTINGS` go before them.
    """
    command = [sys.executable, "-m", "rl.rollouts.vllm_server_main"]
    command += ["--model", model, "--host", host, "--port", str(port)]
    command += ["--middleware", f"{RequireKey.__module__}.{RequireKey.__qualname__}"]
    command += ["--enable-scale-out"]  # the path that takes images beside tokens
    # Of no domain: images come within requests, and the server fetches nothing.
    command += ["--allowed-media-domains", "nothing.invalid"]
    command += ["--logprobs-mode", "processed_logprobs"]
    command += ["--worker-extension-cls", WORKER_EXTENSION]
    if weight_sync == "nccl":
        command += ["--weight-transfer-config", '{"backend": "nccl"}']
    if not torch.cuda.is_available():
        llm_settings = {**llm_settings, **CPU_SETTINGS}
    return command + engine_options(llm_settings)


def engine_options(settings: Mapping[str, Any]) -> list[str]:
    """Turn settings of vLLM's engine into options of its server; None leaves vLLM's own.

    Example:
        >>> engine_options({"max_model_len": 64, "enforce_eager": True, "trust_remote_code": False})
        ['--max-model-len', '64', '--enforce-eager', '--no-trust-remote-code']
    """
    options = []
    for name, value in settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            options.append(f"--{option}" if value else f"--no-{option}")
        elif value is not None:
            options += [f"--{option}", str(value)]
    return options


def configured_command(
    config: "LabelFreeConfig",
    tensor_parallel_size: int,
    data_parallel_size: int = 1,
    host: str = "127.0.0.1",
) -> list[str]:
    """Return the command line of the server a recipe samples from (see `server_command`)."""
    return server_command(
        config.model,
        config.vllm_server_port,
        weight_sync=config.vllm_weight_sync,
        host=host,
        tensor_parallel_size=tensor_parallel_size,
        data_parallel_size=data_parallel_size,
        **run_settings(config),
    )


def new_key() -> str:
    """Make a key nobody can guess, for a server and those who may ask it."""
    return secrets.token_urlsafe(32)


def server_environment(
    environment: Mapping[str, str], key: str, syncs_weights: bool = True
) -> dict[str, str]:
    """Return the environment a server needs: without the launcher's ranks, and with its key.

    Args:
        environment: This process's.
        key: What requests have to send.
        syncs_weights: Whether the endpoints are there through which weights are reloaded, which can
            also call any method of its workers.
    """
    inherited = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    kept = {
        name: value
        for name, value in environment.items()
        if name not in inherited and not name.startswith(("TORCHELASTIC_", "ACCELERATE_"))
    }
    kept.pop("VLLM_SERVER_DEV_MODE", None)
    return {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        **kept,
        KEY_VARIABLE: key,
        # Opens /collective_rpc.
        **({"VLLM_SERVER_DEV_MODE": "1"} if syncs_weights else {}),
    }


class ServerProcess:
    """A server started by the run and ended with it, however the run ended.

    Args:
        command: What to start, from `server_command`.
        log_path: File its output goes to.
        key: What requests have to send.
    """

    def __init__(self, command: list[str], log_path: Path, key: str) -> None:
        require_vllm()
        self.log_path = log_path
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with log_path.open("wb") as log:
            environment = server_environment(os.environ, key)
            self.process = subprocess.Popen(
                command_with_parent(command),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is the run's, which samples to the step's end
            )

    def check_alive(self) -> None:
        """Check that the server has not ended.

        Raises:
            InputError: If it has; the message names its log.
        """
        status = self.process.poll()
        if status is not None:
            raise InputError(
                f"vLLM server: got exit status {status}, expected it to run. Read {self.log_path}."
            )

    def stop(self) -> None:
        """End the server, by force if it does not end by itself."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self) -> "ServerProcess":
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def wait_until_up(base_url: str, timeout: float, process: ServerProcess | None = None) -> None:
    """Wait until the server answers.

    Raises:
        InputError: If it does not within `timeout` seconds, or its process has ended.
    """
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process is not None:
            process.check_alive()
        try:
            if httpx.get(f"{base_url}/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            pass  # it is still loading
        time.sleep(1)
    raise InputError(
        f"vLLM server: got no answer from {base_url} in {timeout:.0f} s, expected a running "
        "server. Start it with `python scripts/serve_vllm.py RECIPE.yaml`, or set "
        "vllm_launch_server: true."
    )
