"""Fixtures shared by all tests: groups with counted votes, tiny random models, an evaluation."""

import json
import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from rl.answers import cluster_answers
from rl.answers.views import cluster_views, link_views
from rl.errors import InputError
from rl.types import Group, Rollout

CHARACTERS = "0123456789+-=;\\boxed{}"
END_TO_END = Path(__file__).with_name("end_to_end")
EVALUATE = Path(__file__).parents[1] / "scripts" / "evaluate.py"
# What these start takes seconds: an engine, a browser, another interpreter.
MEDIUM_FIXTURES = {"session", "vllm_url", "browser", "configured", "study", "solve"}
# Of a slow test, in seconds: only what hangs takes as long, however busy the machine is.
SLOW_TIMEOUT = 2 * 3600


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    for item in items:
        if END_TO_END in item.path.parents or MEDIUM_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.medium)
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_TIMEOUT))


@cache
def has_namespaces():
    """Whether this machine lets its user make the namespaces that a sandbox needs."""
    spaces = ["unshare", "--mount", "--net", "--ipc", "--uts", "--pid", "--fork"]
    commands = [*spaces, "true"], [*spaces, "--map-root-user", "true"]
    return any(subprocess.run(c, capture_output=True).returncode == 0 for c in commands)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except InputError as error:
        if str(error).startswith("sandbox: ") and not has_namespaces():
            pytest.skip(f"no program can be shut in on this machine: {error}")
        raise


@pytest.fixture
def namespaces():
    """Skip what runs programs in a sandbox where a machine grants none."""
    if not has_namespaces():
        pytest.skip("no program can be shut in on this machine")


@pytest.fixture(autouse=True)
def code_is_allowed(monkeypatch):
    """Let tests name files and modules, as a user's own command line does."""
    monkeypatch.setattr("rl.plugins._allowed", {"anything"})


@pytest.fixture(scope="session")
def make_group():
    """Build a group from its rollouts' answers; the completion is the answer in a box."""

    def make(answers, *, trained=None, completions=None, prompt_id="p", visit="0-0"):
        texts = completions or ["" if a is None else rf"\boxed{{{a}}}" for a in answers]
        return Group(
            prompt_id=prompt_id,
            prompt="1+1=",
            visit=visit,
            rollouts=tuple(
                Rollout(
                    completion=text,
                    answer=answer,
                    cluster=cluster,
                    num_tokens=len(text) + 1,
                    trained=trained is None or i in trained,
                )
                for i, (text, answer, cluster) in enumerate(
                    zip(texts, answers, cluster_answers(answers), strict=True)
                )
            ),
        )

    return make


@pytest.fixture(scope="session")
def make_views(make_group):
    """Build the groups of a problem from the answers in each of its wordings."""

    def make(*views):
        groups = []
        for number, clusters in enumerate(cluster_views(views)):
            group = make_group(views[number], prompt_id=f"p{number}")
            rollouts = zip(group.rollouts, clusters, strict=True)
            numbered = tuple(replace(rollout, cluster=cluster) for rollout, cluster in rollouts)
            groups.append(replace(group, view=number, rollouts=numbered))
        return link_views(groups, len(views))

    return make


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """One token per character of chain arithmetic; <pad> is 0, <eos> is 1."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = dict.fromkeys(["<pad>", "<eos>", *CHARACTERS])
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(""), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>")


@pytest.fixture(scope="session")
def make_tiny_model(tiny_tokenizer):
    """Build a Qwen3 of random weights; head_dim 32 is the least that vLLM's CPU backend takes."""

    def make(tied=True, seed=0):
        import torch
        from transformers import Qwen3Config, Qwen3ForCausalLM

        torch.manual_seed(seed)
        config = Qwen3Config(
            vocab_size=len(tiny_tokenizer),
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=32,
            intermediate_size=128,
            max_position_embeddings=128,
            eos_token_id=tiny_tokenizer.eos_token_id,
            pad_token_id=tiny_tokenizer.pad_token_id,
            tie_word_embeddings=tied,
        )
        return Qwen3ForCausalLM(config).eval()

    return make


@pytest.fixture(scope="session")
def save_tiny_model(tmp_path_factory, make_tiny_model, tiny_tokenizer):
    """Save a tiny model and its tokenizer to a new folder; return the folder as text."""

    def save(tied=True, seed=0):
        folder = tmp_path_factory.mktemp("tiny_model")
        make_tiny_model(tied, seed).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return str(folder)

    return save


@pytest.fixture(scope="session")
def tiny_model_folder(save_tiny_model):
    """A tiny model with tied embeddings; read it, never write into it."""
    return save_tiny_model()


@pytest.fixture(scope="session")
def evaluate():
    """The main function of scripts/evaluate.py."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("evaluate_script", EVALUATE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """An untrained model that knows six words: its completions are random answers."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    words = ["<pad>", "<eos>", "1+1=", "2+2=", r"\boxed{2}", r"\boxed{4}", "so "]
    vocabulary = {word: i for i, word in enumerate(words)}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    model.pre_tokenizer = pre_tokenizers.Split(Regex(r"\d\+\d=|\\boxed\{\d\}|so "), "isolated")
    model.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="<eos>"
    )
    config = Qwen3Config(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=8,
        eos_token_id=1,
        pad_token_id=0,
    )
    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def benchmark(tmp_path):
    """A file of two labelled problems."""
    rows = [{"question": "1+1=", "answer": 2}, {"question": "2+2=", "answer": "4"}]
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def arguments(model_dir, benchmark, tmp_path):
    """What evaluate.py needs at least; its files go to tmp_path / "out"."""
    paths = {"model": model_dir, "benchmark": benchmark, "output_dir": tmp_path / "out"}
    return [part for name, path in paths.items() for part in (f"--{name}", str(path))]
