"""What evaluate.py is asked: stop strings, exports, an interrupt; what is odd is said aloud."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from local_server import Handler, serving

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "evaluate.py"


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_prompts_are_kept_beside_the_samples(evaluate, arguments, tmp_path):
    evaluate([*arguments, "--num_samples", "1", "--template", "plain"])
    first, second = read_lines(tmp_path / "out" / "problems.jsonl")
    assert first == {"problem_id": "0", "prompt": "1+1=", "question": "1+1=", "label": "2"}
    assert second["problem_id"] == "1"


def test_stop_strings_end_completions_and_do_not_mix(evaluate, arguments, tmp_path, capsys):
    evaluate([*arguments, "--num_samples", "8"])
    whole = read_lines(tmp_path / "out" / "samples.jsonl")
    stopped = [*arguments[:-1], str(tmp_path / "stopped"), "--num_samples", "8"]
    evaluate([*stopped, "--stop_strings", "so ", "{4}"])
    cut = read_lines(tmp_path / "stopped" / "samples.jsonl")
    assert [sample["completion"] for sample in cut] != [full["completion"] for full in whole]
    for full, sample in zip(whole, cut, strict=True):
        text = full["completion"]
        ends = [at for at in (text.find("so "), text.find("{4}")) if at >= 0]
        assert sample["completion"] == (text[: min(ends)] if ends else text)
        assert not (ends and sample["truncated"])
    assert manifest_of(tmp_path / "stopped")["settings"]["stop_strings"] == ["so ", "{4}"]
    evaluate([*stopped, "--stop_strings", "so ", "{4}"])  # the same command finds all of it
    assert "all samples are in" in capsys.readouterr().out
    for other in ([], ["--stop_strings", "so "]):
        with pytest.raises(SystemExit):
            evaluate([*stopped, *other])
        assert "stop_strings: got" in capsys.readouterr().err
    # A folder of an earlier version says nothing of them: it had none.
    path = tmp_path / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["settings"]["stop_strings"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(SystemExit):
        evaluate([*arguments, "--num_samples", "8", "--stop_strings", "so "])


def test_odd_labels_and_completions_without_answers_are_said(evaluate, tmp_path, capsys):
    path = tmp_path / "completions.jsonl"
    lines = [{"id": "p", "completions": ["so 12", "hm"], "label": "#### 12"}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = ["--score", str(path), "--output_dir", str(tmp_path / "scored")]
    evaluate(arguments)
    printed = capsys.readouterr().out
    assert "note: 1 of 1 labels hold ####" in printed
    assert "note: 2 of 2 completions hold no answer" in printed
    extra = ["--answer_kind", "hashes", "--answer_methods", "last_number"]
    evaluate([*arguments[:3], str(tmp_path / "hashes"), *extra])
    assert "note: 1 of 1 labels" not in capsys.readouterr().out
    correct = [s["correct"] for s in read_lines(tmp_path / "hashes" / "samples.jsonl")]
    assert correct == [True, False]


def test_samples_are_exported_when_scored_or_later(evaluate, arguments, tmp_path, capsys):
    evaluate([*arguments, "--num_samples", "2", "--export", "lm_eval"])
    folder = tmp_path / "out" / "export"
    [path] = folder.glob("lm_eval/*/samples_benchmark_*.jsonl")
    assert str(path) in capsys.readouterr().out
    evaluate(["--rescore", str(tmp_path / "out"), "--export", "lighteval", "matharena"])
    assert [*folder.glob("lighteval/details/*/*/details_benchmark|0_*.parquet")]
    assert len([*folder.glob("matharena/outputs/benchmark/*/*.json.zst")]) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rescore", "/missing"], "--rescore: got /missing, expected a folder with the manifest"),
        (
            ["--model", "m", "--benchmark", "mth500", "--output_dir", "o"],
            "--benchmark: got 'mth500', expected one of .*, aime24, .* Did you mean 'math500'?",
        ),
        (
            ["--model", "m", "--benchmark", "mth500=x.jsonl", "--output_dir", "o"],
            "Did you mean 'math500'?",
        ),
    ],
)
def test_mistakes_are_named_by_the_argument_they_are_in(evaluate, arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_info:
        evaluate(arguments)
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.count("\n") == 1


def test_an_output_that_cannot_be_written_is_one_line(evaluate, arguments, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    score = tmp_path / "completions.jsonl"
    score.write_text(json.dumps({"id": 1, "completions": ["4"], "label": "4"}))
    output = ["--output_dir", str(tmp_path / "file" / "within")]
    for command in ([*arguments[:-2], *output], ["--score", str(score), *output]):
        with pytest.raises(SystemExit) as exit_info:
            evaluate(command)
        assert exit_info.value.code == 2
        error = capsys.readouterr().err
        assert "--output_dir: got" in error
        assert "expected a folder that can be written (Not a directory)" in error
        assert error.count("\n") == 1


class Slow(Handler):
    """Answers twice, then never."""

    num_answered = 0

    def do_POST(self):
        type(self).num_answered += 1
        if self.num_answered > 2:
            time.sleep(60)
        self.reply({"choices": [{"index": 0, "text": r"\boxed{2}"}]})


@pytest.mark.medium
def test_an_interrupt_ends_at_once_and_keeps_what_came(benchmark, tmp_path):
    with serving(Slow) as url:
        command = [
            "--engine",
            "openai",
            "--base_url",
            f"{url}/v1",
            "--model",
            "m",
            "--num_samples",
            "4",
        ]
        command += ["--benchmark", str(benchmark), "--output_dir", str(tmp_path / "out")]
        process = subprocess.Popen(
            [sys.executable, SCRIPT, *command, "--concurrency", "4", "--template", "plain"],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            # What a shell starts in the background ignores it, and so would this.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        deadline = time.monotonic() + 120
        while Slow.num_answered < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)  # both replies have come
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert time.monotonic() - start < 5  # a second on an idle machine
    assert process.returncode == 130
    assert "interrupted; the same command continues" in error
    assert "Traceback" not in error
    assert len(read_lines(tmp_path / "out" / "samples.jsonl")) == 2
