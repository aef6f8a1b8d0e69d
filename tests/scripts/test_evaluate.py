import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "evaluate.py"


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
        boxes = {word for word in ("2", "4") if rf"\boxed{{{word}}}" in sample["completion"]}
        assert set(sample["answer"].split(", ")) <= boxes if boxes else sample["answer"] is None
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
        (["--top_p", "0"], "--top_p: got 0.0, expected above 0"),
        (["--temperature", "0"], "expected 1 at temperature 0"),
        (["--max_completion_length", "8"], "expected at most 7"),
        (["--system_prompt", "Add."], "chat template: got none"),
        (["--prompt_column", "text"], "expected one of answer, question"),
        (["--benchmark", "missing.json"], "got 'missing.json', expected a file that exists"),
        (["--model", "/missing/model"], "--model: got /missing/model"),
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


@pytest.mark.medium
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


FIXTURES = ROOT / "tests" / "rl" / "evaluation" / "problems" / "fixtures"


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_the_named_benchmarks_are_listed(evaluate, capsys):
    evaluate(["--list_benchmarks"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("aime24", "gpqa", "mmlu_pro", "qwen25-math-cot"))
    for name, size in {"docmath": 800, "frames": 824, "longbench_v2": 503, "musique": 2417}.items():
        assert re.search(rf"{name} +\S +{size} ", printed)


def test_several_benchmarks_have_a_folder_each(evaluate, arguments, benchmark, tmp_path, capsys):
    other = tmp_path / "second.jsonl"
    other.write_text('{"prompt": "1+1=", "label": 2}\n')
    local = tmp_path / "local.jsonl"
    local.write_text('{"problem": "2+2=", "answer": "4", "unique_id": "own"}\n')
    extra = ["--benchmark", f"{other},math500={local}", "--template", "plain"]
    evaluate([*arguments, *extra, "--num_samples", "4", "--g_pass", "0.5,1"])
    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == ["benchmark", "math500", "second"]
    [problem] = {line["problem_id"] for line in read_lines(out / "math500" / "samples.jsonl")}
    assert problem == "own"
    manifest = manifest_of(out / "math500")
    assert manifest["template"] == "plain"
    assert manifest["dataset"]["place"] == str(local)
    assert (manifest["dataset"]["revision"], manifest["dataset"]["expected_size"]) == (None, 500)
    assert len(manifest["settings"]["tokenizer_hash"]) == 16
    assert "g-pass@4_0.5" in json.loads((out / "second" / "summary.json").read_text())
    printed = capsys.readouterr().out
    assert "math500 is known with 500 problems; numbers on 1 are not comparable" in printed
    assert "all benchmarks" in printed
    # The samples of one benchmark do not depend on the others.
    alone = ["--benchmark", str(benchmark), "--output_dir", str(tmp_path / "alone")]
    evaluate([*arguments[:2], *alone, "--template", "plain", "--num_samples", "4"])
    alone = tmp_path / "alone" / "samples.jsonl"
    assert alone.read_text() == (out / "benchmark" / "samples.jsonl").read_text()
    # All of them are graded again in one call.
    before = {path: path.read_text() for path in out.glob("*/summary.json")}
    evaluate(["--rescore", str(out), "--g_pass", "0.5,1"])
    assert {path: path.read_text() for path in before} == before


def test_what_a_run_was_trained_on_is_told(evaluate, arguments, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (tmp_path / "train.json").write_text('[{"prompt": " 1+1= "}, {"prompt": "9+9="}]')
    (run / "config.yaml").write_text(f"settings: {{dataset: {tmp_path / 'train.json'}}}")
    evaluate([*arguments, "--num_samples", "2", "--train_run", str(run)])
    assert "1 of 2 problems were trained on (compared with 2" in capsys.readouterr().out
    overlap = manifest_of(tmp_path / "out")["train_overlap"]
    assert (overlap["share"], overlap["problem_ids"]) == (0.5, ["0"])


@pytest.mark.medium
def test_completions_from_elsewhere_are_scored_and_refereed(evaluate, tmp_path, capsys):
    path = tmp_path / "completions.jsonl"
    rows = [r"\boxed{0.5}", "1/2 or so, he said"]
    path.write_text(
        json.dumps({"id": "p", "completions": rows, "label": r"\frac12"}) + "\n", encoding="utf-8"
    )
    out = tmp_path / "scored"
    evaluate(["--score", str(path), "--output_dir", str(out), "--referee", "math_verify"])
    assert [line["correct"] for line in read_lines(out / "samples.jsonl")] == [True, False]
    printed = capsys.readouterr().out
    assert "math_verify, agrees on 50.0000% of 2 completions" in printed
    assert "1: we find no answer, the referee takes one from the text" in printed
    report = json.loads((out / "referee.json").read_text())
    assert report["disagreements"][0]["sample"] == 1


def test_a_task_of_ones_own_is_graded_by_its_rules(evaluate, tmp_path):
    task = tmp_path / "cities.py"
    task.write_text(
        "def city(completion):\n    return completion.partition('city: ')[2]\n"
        "def same(left, right):\n    return left.lower() == right.lower()\n"
    )
    lines = [
        {"problem_id": "p", "completion": text, "label": "Oslo"}
        for text in ("city: OSLO", "city: oslo", "Oslo", "city: Rome")
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    out = tmp_path / "out"
    own = ["--answer_methods", f"{task}:city", "--answer_comparer", f"{task}:same"]
    evaluate(["--score", str(tmp_path / "in.jsonl"), "--output_dir", str(out), *own])

    def accuracy():
        return json.loads((out / "summary.json").read_text())["pass@1"]["value"]

    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["answer_methods"] == [f"{task}:city"]
    assert accuracy() == 0.5
    # Grading again keeps to the task's rules; ours find no answer in these texts.
    evaluate(["--rescore", str(out), "--allow_code"])
    assert json.loads((out / "manifest.json").read_text())["grader"] == manifest["grader"]
    assert accuracy() == 0.5
    evaluate(["--rescore", str(out), "--answer_methods", "boxed", "--answer_comparer", ""])
    assert accuracy() == 0.0


def test_a_chat_template_and_its_arguments_reach_the_prompt(evaluate, arguments, tmp_path):
    template = tmp_path / "template.jinja"
    template.write_text("{{ messages[-1].content if plain else '1+1=' }}")
    chat = [
        *arguments,
        "--num_samples",
        "1",
        "--template",
        "chat",
        "--chat_template",
        str(template),
    ]
    evaluate([*chat, "--output_dir", str(tmp_path / "same")])
    evaluate([*chat, "--output_dir", str(tmp_path / "own"), "--chat_template_args", '{"plain": 1}'])
    same, own = (read_lines(tmp_path / name / "samples.jsonl") for name in ("same", "own"))
    assert same[0]["prompt_id"] == same[1]["prompt_id"] == own[0]["prompt_id"]
    assert own[1]["prompt_id"] != own[0]["prompt_id"]


def test_a_model_that_thinks_answers_after_its_thought(evaluate, arguments, tmp_path):
    evaluate([*arguments, "--num_samples", "4", "--thinking"])
    samples = read_lines(tmp_path / "out" / "samples.jsonl")
    assert all(s["must_close_thought"] and s["answer"] is None for s in samples)
    evaluate(["--rescore", str(tmp_path / "out")])
    assert read_lines(tmp_path / "out" / "samples.jsonl") == samples


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--engine", "openai"], "--base_url: got none with --engine openai"),
        (["--base_url", "http://x/v1"], "expected an address with --engine openai and only there"),
        (
            ["--engine", "openai", "--base_url", "http://x/v1", "--api_key_env", "NO_SUCH_KEY"],
            "got the variable NO_SUCH_KEY, which is not set",
        ),
        (["--min_p", "2"], "--min_p: got 2.0, expected at most 1"),
        (["--concurrency", "0"], "--concurrency: got 0"),
        (["--revision", "main"], "--revision: got 'main' for"),
        (["--template", "qwen-boxed", "--prompt_suffix", "!"], "expected one or the other"),
        (["--template", "choice-letter"], "which asks for a letter"),
        (["--template", "spell-question"], "which shows documents, for problems without any"),
        (["--answer_kind", "document_exact"], "documents in row 0"),
        (["--documents_column", "page"], "--documents_column: got 'page'"),
        (["--max_prompt_length", "0"], "--max_prompt_length: got 0"),
        (
            ["--engine", "openai", "--base_url", "http://x/v1", "--max_prompt_length", "9"],
            "--max_prompt_length: got 9 with --engine openai",
        ),
        (["--train_run", "/missing"], "--train_run: got /missing"),
        (["--chat_template", "/missing"], "--chat_template: got /missing"),
        (["--chat_template_args", '{"a": 1}'], "got a model without a chat template"),
        (["--score", "/missing"], "--score: got /missing"),
    ],
)
def test_bad_input_of_the_newer_options(evaluate, arguments, capsys, extra, message):
    with pytest.raises(SystemExit) as exit_info:
        evaluate([*arguments, *extra])
    assert exit_info.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "extra",
    [["--g_pass", "0"], ["--g_pass", "x"], ["--k", "a"], ["--chat_template_args", "[1]"]],
)
def test_values_that_cannot_be_parsed_are_refused(evaluate, arguments, capsys, extra):
    with pytest.raises(SystemExit) as exit_info:
        evaluate([*arguments, *extra])
    assert exit_info.value.code == 2
    assert f"argument {extra[0]}: got" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gsm8k", "gpqa_diamond", "mmlu_pro"])
def test_named_benchmarks_run_from_a_local_copy(evaluate, model_dir, tmp_path, name):
    # The tiny model's context holds a word of the prompt; what counts is that it runs.
    template = tmp_path / "template.jinja"
    template.write_text("1+1=")
    place = f"{name}={FIXTURES / name}.jsonl"
    extra = ["--num_samples", "2", "--chat_template", str(template)]
    evaluate(
        [
            "--model",
            str(model_dir),
            "--benchmark",
            place,
            "--output_dir",
            str(tmp_path / "out"),
            *extra,
        ]
    )
    samples = read_lines(tmp_path / "out" / "samples.jsonl")
    assert {s["choices"] is None for s in samples} == {name == "gsm8k"}


LONG = (
    *("docmath", "frames", "longbench_v2", "longbench_hotpotqa", "longbench_2wikimqa"),
    *("longbench_musique", "hotpotqa", "2wikimultihopqa", "musique"),
)


def test_the_long_context_benchmarks_run_from_local_copies(evaluate, model_dir, tmp_path, capsys):
    # The tiny model's context holds 8 of its words: of each prompt the first and the last two stay.
    template = tmp_path / "template.jinja"
    template.write_text("so so so so {{ messages[0]['content'] }}so so so so 1+1=")
    command = ["--model", str(model_dir), "--num_samples", "2", "--chat_template", str(template)]
    for name in LONG:
        command += ["--benchmark", f"{name}={FIXTURES / name}.jsonl"]
    with pytest.raises(SystemExit):
        evaluate([*command, "--output_dir", str(tmp_path / "refused")])
    assert "cut long prompts in the middle with --max_prompt_length" in capsys.readouterr().err
    evaluate([*command, "--output_dir", str(tmp_path / "out"), "--max_prompt_length", "4"])
    printed = capsys.readouterr().out
    assert "2 prompts cut in the middle to 4 tokens" in printed
    for name in LONG:
        out = tmp_path / "out" / name
        summary = json.loads((out / "summary.json").read_text())
        manifest = json.loads((out / "manifest.json").read_text())
        num_problems = 3 if name == "longbench_v2" else 2
        assert manifest["num_cut_prompts"] == summary["avg@2"]["n"] == num_problems
        assert summary["cut_prompt_frac"]["value"] == 1
        assert ("f1" in summary) == (name not in ("docmath", "longbench_v2"))
    v2 = json.loads((tmp_path / "out" / "longbench_v2" / "summary.json").read_text())
    assert {name: v2[name]["n"] for name in v2 if "/" in name} == {
        "difficulty/easy": 1,
        "difficulty/hard": 2,
        "domain/Single-Document QA": 3,
        "length/long": 1,
        "length/medium": 1,
        "length/short": 1,
    }
