"""Tokens per second of every engine, beside vLLM as it is called without us."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from measurements.alone import alone
from measurements.ratios import Measurement

from rl.data.model_files import load_tokenizer
from rl.data.prompts import load_prompts, tokenize_prompt
from rl.rollouts.engine import SamplingSettings, derive_seed
from rl.rollouts.engines import StoredModel
from rl.rollouts.transformers_engine import TransformersEngine
from rl.rollouts.vllm_engine import VLLMEngine
from rl.rollouts.vllm_server import ServerProcess, new_key, server_command, wait_until_up
from rl.rollouts.vllm_server_engine import VLLMServerEngine

NUM_PROMPTS = 16
NUM_SAMPLES = 16
COMPLETION_LENGTH = 48


def measure_engines(testbed: Path, output_dir: Path, repetitions: int) -> list[Measurement]:
    """Measure tokens per second, as shares of those of `vllm.LLM.generate` in the same turn.

    Ours draws every sample with a seed of its own and reports log-probabilities; the bare call does
    neither.

    Args:
        testbed: Folder of a testbed with strategies, whose model writes completions of one line.
        output_dir: Where the server's log goes.
        repetitions: Turns, after one that warms up.
    """
    speeds = alone(_tokens_per_second, testbed, output_dir, repetitions)
    bare = speeds["vllm.LLM.generate"]
    what = f"sampling {NUM_SAMPLES} x {NUM_PROMPTS} completions"
    found = [Measurement(name=f"{what}: tokens per second of vllm.LLM.generate", values=bare)]
    for name, values in speeds.items():
        if values is not bare:
            ratios = [ours / raw for ours, raw in zip(values, bare, strict=True)]
            details = {"tokens per second": values}
            name = f"{what}: tokens per second, engine {name} / vllm.LLM.generate"
            found.append(Measurement(name=name, values=ratios, details=details))
    return found


def _tokens_per_second(testbed: Path, output_dir: Path, repetitions: int) -> dict[str, list[float]]:
    model = str(testbed / "model")
    tokenizer = load_tokenizer(model, "--strategies")
    texts = load_prompts(str(testbed / "train.jsonl")).dataset["prompt"][:NUM_PROMPTS]
    prompts = [tokenize_prompt(text, tokenizer) for text in texts]
    stored = StoredModel(
        model=model,
        tokenizer=tokenizer,
        settings=SamplingSettings(max_completion_length=COMPLETION_LENGTH),
        longest_prompt=max(map(len, prompts)),
        batch_size=NUM_PROMPTS * NUM_SAMPLES,
    )
    with ExitStack() as opened:
        in_process = VLLMEngine.for_model(stored)
        opened.callback(in_process.close)
        engines: dict[str, Any] = {
            "vllm": in_process,
            "vllm_server": opened.enter_context(_server(stored, output_dir)),
            "transformers": TransformersEngine.for_model(stored),
        }
        calls: dict[str, Callable[[int], int]] = {
            "vllm.LLM.generate": lambda turn: bare_tokens(in_process.llm, prompts),
            **{
                name: lambda turn, engine=engine: _ours(engine, prompts, turn)
                for name, engine in engines.items()
            },
        }
        speeds: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(repetitions + 1):
            for name, call in calls.items():
                start = time.perf_counter()
                num_tokens = call(turn)
                if turn:  # the first warms up
                    speeds[name].append(num_tokens / (time.perf_counter() - start))
    return speeds


def _ours(engine: Any, prompts: list[list[int]], turn: int) -> int:
    seeds = [derive_seed(turn, number) for number in range(len(prompts))]
    groups = engine.generate(prompts, NUM_SAMPLES, seeds)
    return sum(len(sample.completion_ids) for group in groups for sample in group)


def bare_tokens(llm: Any, prompts: list[list[int]]) -> int:
    """Sample with `vllm.LLM.generate` as it is called without us; return the number of tokens."""
    from vllm import SamplingParams

    settings = SamplingParams(n=NUM_SAMPLES, max_tokens=COMPLETION_LENGTH, detokenize=False)
    inputs = [{"prompt_token_ids": ids} for ids in prompts]
    outputs = llm.generate(inputs, settings, use_tqdm=False)
    return sum(len(completion.token_ids) for output in outputs for completion in output.outputs)


@contextmanager
def _server(stored: StoredModel, output_dir: Path) -> Iterator[VLLMServerEngine]:
    """Lend the engine of a vLLM server that ends with it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, key = f"http://127.0.0.1:{port}", new_key()
    length = stored.longest_prompt + stored.settings.max_completion_length
    command = server_command(stored.model, port, dtype="auto", max_model_len=length)
    with ServerProcess(command, output_dir / "vllm_server.log", key) as process:
        wait_until_up(url, 600, process)
        with closing(VLLMServerEngine(url, stored.settings, key=key)) as engine:
            yield engine
