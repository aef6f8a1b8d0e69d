import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "evaluate.py"


@pytest.fixture(scope="session")
def evaluate():
    spec = importlib.util.spec_from_file_location("evaluate_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory):
    """An untrained model that knows six words: its completions are random answers."""
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
    rows = [{"question": "1+1=", "answer": 2}, {"question": "2+2=", "answer": "4"}]
    path = tmp_path / "benchmark.json"
    path.write_text(json.dumps(rows))
    return path


@pytest.fixture
def arguments(model_dir, benchmark, tmp_path):
    paths = {"model": model_dir, "benchmark": benchmark, "output_dir": tmp_path / "out"}
    return [part for name, path in paths.items() for part in (f"--{name}", str(path))]


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def without_dates(path):
    return {**json.loads(path.read_text()), "date": None}


def test_an_evaluation_leaves_samples_a_summary_and_a_manifest(
    evaluate, arguments, tmp_path, capsys
):
    evaluate([*arguments, "--num_samples", "8", "--k", "1,4"])
    out = tmp_path / "out"
    samples = read_lines(out / "samples.jsonl")
    assert [(s["problem_id"], s["sample"]) for s in samples] == [
        (problem, i) for problem in ("0", "1") for i in range(8)
    ]
    for sample in samples:
        boxes = [word for word in ("2", "4") if rf"\boxed{{{word}}}" in sample["completion"]]
        assert (sample["answer"] in boxes) if boxes else sample["answer"] is None
        assert sample["correct"] == (sample["answer"] == sample["label"])
        assert 1 <= sample["num_tokens"] <= 7  # the context of 8 less the prompt's token
    summary = json.loads((out / "summary.json").read_text())
    num_correct = sum(sample["correct"] for sample in samples)
    assert 0 < num_correct < 16
    assert summary["avg@8"]["value"] == summary["pass@1"]["value"] == num_correct / 16
    assert summary["maj@4"]["n"] == 2
    assert {"maj@1", "pass@4", "mean_length", "no_answer_frac", "truncated_frac"} <= set(summary)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["settings"]["max_completion_length"] == 7
    printed = capsys.readouterr().out
    assert "prompts from column 'question', labels from 'answer'" in printed
    assert f"{num_correct / 16:.3f}" in printed
    assert f"{out / 'summary.json'}\n" in printed


def test_more_samples_begin_with_the_same_ones(evaluate, arguments, tmp_path):
    evaluate([*arguments, "--num_samples", "4"])
    short = read_lines(tmp_path / "out" / "samples.jsonl")
    evaluate([*arguments, "--num_samples", "8"])
    longer = read_lines(tmp_path / "out" / "samples.jsonl")
    assert len(longer) == 16
    texts = {(s["problem_id"], s["sample"]): s["completion"] for s in longer}
    assert all(texts[s["problem_id"], s["sample"]] == s["completion"] for s in short)
    evaluate([*arguments, "--num_samples", "8", "--output_dir", str(tmp_path / "at_once")])
    assert read_lines(tmp_path / "at_once" / "samples.jsonl") == longer


def test_a_killed_evaluation_ends_as_one_that_ran_through(evaluate, arguments, tmp_path, capsys):
    evaluate([*arguments, "--num_samples", "4"])
    path = tmp_path / "out" / "samples.jsonl"
    expected = path.read_text()
    summary = (tmp_path / "out" / "summary.json").read_text()
    path.write_text(expected[: len(expected) // 2])
    evaluate([*arguments, "--num_samples", "4", "--batch_size", "1"])
    assert path.read_text() == expected
    assert (tmp_path / "out" / "summary.json").read_text() == summary
    capsys.readouterr()
    evaluate([*arguments, "--num_samples", "4", "--k", "2"])
    assert "all samples are in" in capsys.readouterr().out
    assert "pass@2" in json.loads((tmp_path / "out" / "summary.json").read_text())


def test_rescoring_needs_no_model_and_changes_nothing_by_itself(evaluate, arguments, tmp_path):
    evaluate([*arguments, "--num_samples", "4"])
    files = [tmp_path / "out" / name for name in ("samples.jsonl", "summary.json")]
    before = [path.read_text() for path in files]
    files[0].write_text(before[0].replace('"correct": true', '"correct": false'))
    evaluate(["--rescore", str(tmp_path / "out")])
    assert [path.read_text() for path in files] == before


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--k", "17"], "k: got 17, expected between 1 and num_samples (16)"),
        (["--num_samples", "0"], "--num_samples: got 0, expected at least 1"),
        (["--batch_size", "-1"], "--batch_size: got -1"),
        (["--top_p", "0"], "expected at least 0 and in (0, 1]"),
        (["--temperature", "0"], "expected 1 at temperature 0"),
        (["--max_completion_length", "8"], "expected at most 7"),
        (["--system_prompt", "Add."], "chat template: got none"),
        (["--prompt_column", "text"], "expected one of answer, question"),
        (["--benchmark", "missing.json"], "got 'missing.json', expected a file that exists"),
        (["--model", "/missing/model"], "--model: got '/missing/model'"),
        (["--rescore", "/missing"], "manifest.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(evaluate, arguments, capsys, extra, message):
    with pytest.raises(SystemExit) as exit_info:
        evaluate([*arguments, *extra])
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_other_settings_do_not_mix_in_one_folder(evaluate, arguments, tmp_path, capsys):
    evaluate([*arguments, "--num_samples", "4"])
    before = (tmp_path / "out" / "samples.jsonl").read_text()
    with pytest.raises(SystemExit) as exit_info:
        evaluate([*arguments, "--num_samples", "4", "--temperature", "0.5"])
    assert exit_info.value.code == 2
    assert "temperature: got 0.5, expected 1.0" in capsys.readouterr().err
    assert (tmp_path / "out" / "samples.jsonl").read_text() == before


def test_a_missing_argument_is_named(evaluate, capsys):
    with pytest.raises(SystemExit) as exit_info:
        evaluate(["--model", "m"])
    assert exit_info.value.code == 2
    assert "--benchmark: got none" in capsys.readouterr().err


def test_greedy_decoding_with_one_sample(evaluate, arguments, tmp_path):
    evaluate([*arguments, "--num_samples", "1", "--temperature", "0"])
    assert len(read_lines(tmp_path / "out" / "samples.jsonl")) == 2


def test_the_script_runs_by_itself_and_a_hub_id_without_a_network_names_the_way_out(tmp_path):
    command = [sys.executable, str(SCRIPT), "--model", "m", "--benchmark", "owner/name"]
    run = subprocess.run(
        [*command, "--output_dir", str(tmp_path)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "got 'owner/name', expected a file, or a dataset the hub can deliver" in run.stderr
    assert "Traceback" not in run.stderr
