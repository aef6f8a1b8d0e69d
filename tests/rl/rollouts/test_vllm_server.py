"""A server's command, environment and process, with real processes and a real HTTP server."""

import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import torch

from rl.errors import InputError
from rl.rollouts.vllm_engine import WORKER_EXTENSION, run_settings
from rl.rollouts.vllm_server import (
    ServerProcess,
    configured_command,
    new_key,
    server_command,
    server_environment,
    wait_until_up,
)
from rl.training.config import LabelFreeConfig

ROOT = Path(__file__).parents[3]
needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")


def options(command):
    assert command[:3] == [sys.executable, "-m", "rl.rollouts.vllm_server_main"]
    return {name: value for name, value in pairwise(command) if name.startswith("--")}


def test_the_command_holds_what_the_engine_needs():
    command = server_command("folder", 8000, dtype="float32")
    found = options(command)
    assert (found["--model"], found["--port"], found["--dtype"]) == ("folder", "8000", "float32")
    # Heard on this machine alone, and by nobody without the key, which no list of processes shows.
    assert found["--host"] == "127.0.0.1"
    assert found["--middleware"] == "rl.rollouts.vllm_server_key.RequireKey"
    assert "--api-key" not in found
    # Log-probabilities of the sampled distribution, and a worker that takes weights.
    assert found["--logprobs-mode"] == "processed_logprobs"
    assert found["--worker-extension-cls"] == WORKER_EXTENSION
    # Images come within requests, and from nowhere else.
    assert "--enable-scale-out" in command
    assert found["--allowed-media-domains"].endswith(".invalid")  # no such host can be (RFC 2606)
    assert not {"--tensor-parallel-size", "--data-parallel-size", "--max-model-len"} & set(found)
    # On a CPU prompts are not cut into chunks, and vLLM raises the limit of a step to the context.
    without_chunks = {"--enforce-eager", "--no-enable-chunked-prefill"}
    assert without_chunks & set(command) == (set() if torch.cuda.is_available() else without_chunks)


def test_options_of_the_command():
    command = server_command(
        "m",
        1,
        weight_sync="nccl",
        dtype="auto",
        tensor_parallel_size=2,
        data_parallel_size=3,
        max_model_len=9,
        host="10.0.0.7",
    )
    found = options(command)
    assert found["--weight-transfer-config"] == '{"backend": "nccl"}'
    assert found["--tensor-parallel-size"] == "2"
    assert found["--data-parallel-size"] == "3"
    assert found["--max-model-len"] == "9"
    assert found["--host"] == "10.0.0.7"


def test_a_run_says_the_same_to_vllm_in_the_process_and_as_a_server():
    config = LabelFreeConfig(
        model="m",
        use_vllm=True,
        vllm_mode="server",
        vllm_max_model_length=48,
        vllm_gpu_memory_utilization=0.4,
        vllm_model_impl="transformers",
    )
    said = run_settings(config)
    assert said["gpu_memory_utilization"] == 0.4  # what VLLMEngine.for_run hands to vllm.LLM
    found = options(configured_command(config, tensor_parallel_size=2))
    assert {name: str(value) for name, value in said.items() if type(value) is not bool} == {
        name: found[f"--{name.replace('_', '-')}"]
        for name in ("dtype", "max_model_len", "gpu_memory_utilization", "model_impl")
    }
    assert (found["--max-model-len"], found["--tensor-parallel-size"]) == ("48", "2")
    assert "--no-trust-remote-code" in found


def test_the_server_is_no_rank_of_the_trainer():
    launcher = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "29500"}
    launcher |= {"TORCHELASTIC_RUN_ID": "x", "ACCELERATE_USE_DEEPSPEED": "true"}
    kept = {"PATH": "/bin", "VLLM_CPU_KVCACHE_SPACE": "4"}
    found = server_environment({**launcher, **kept}, "secret")
    expected = {**kept, "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_API_KEY": "secret"}
    assert found == {**expected, "VLLM_SERVER_DEV_MODE": "1"}
    # Where no weights are synced, nothing changes them, whatever the user's environment says.
    given = {**launcher, **kept, "VLLM_SERVER_DEV_MODE": "1"}
    assert server_environment(given, "secret", syncs_weights=False) == expected


def test_keys_are_long_and_never_the_same():
    assert len(new_key()) >= 32
    assert new_key() != new_key()


# The process.


@needs_vllm
def test_a_process_ends_with_its_run(tmp_path):
    log = tmp_path / "new" / "server.log"
    command = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
    with ServerProcess(command, log, "secret") as server:
        server.check_alive()
        deadline = time.monotonic() + 30
        while not log.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert log.read_text() == "up\n"
    assert server.process.poll() is not None


@needs_vllm
def test_a_process_that_ended_is_reported_with_its_log(tmp_path):
    log = tmp_path / "server.log"
    server = ServerProcess([sys.executable, "-c", "raise SystemExit(3)"], log, "secret")
    server.process.wait()
    with pytest.raises(InputError, match=r"got exit status 3, .* Read .*server.log"):
        wait_until_up("http://127.0.0.1:9", timeout=60, process=server)


RUN_WITH_SERVER = """
import sys, time
from pathlib import Path
from rl.rollouts.vllm_server import ServerProcess, server_command, wait_until_up

if __name__ == "__main__":
    folder, port = sys.argv[1], int(sys.argv[2])
    command = server_command(folder, port, dtype="float32", max_model_len=64)
    server = ServerProcess(command, Path(sys.argv[3]), "secret")
    wait_until_up(f"http://127.0.0.1:{port}", timeout=500, process=server)
    print("up", flush=True)
    time.sleep(600)
"""


@needs_vllm
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_real_server_ends_when_its_run_is_killed(tmp_path, tiny_model_folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script, log = tmp_path / "run.py", tmp_path / "server.log"
    script.write_text(RUN_WITH_SERVER)
    command = [sys.executable, str(script), tiny_model_folder, str(port), str(log)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert run.stdout is not None
    said = run.stdout.readline()
    children = psutil.Process(run.pid).children(recursive=True)  # the server and its own engine
    run.kill()
    assert said == "up\n", log.read_text()[-3000:]
    assert len(children) >= 2
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


# Waiting.


class Health(BaseHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        type(self).requests += 1
        self.send_response(200 if self.path == "/health" and self.requests > 1 else 503)
        self.end_headers()

    def log_message(self, *arguments):
        pass


def test_waiting_ends_when_the_server_is_healthy():
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        wait_until_up(f"http://127.0.0.1:{server.server_port}", timeout=60)
        server.shutdown()
        thread.join()
    assert Health.requests == 2


def test_waiting_ends_at_the_time_limit():
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        free_port = server.server_port
    with pytest.raises(InputError, match=r"got no answer from .* in 1 s, expected a running"):
        wait_until_up(f"http://127.0.0.1:{free_port}", timeout=1)
