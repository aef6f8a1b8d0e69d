"""Samples in the formats of three other tools: small files as they leave them, and ours."""

import json
from hashlib import sha256

import pyarrow
import pytest
from datasets import Dataset, load_dataset

from rl.errors import InputError
from rl.evaluation.exchange.formats import WRITERS, export_samples
from rl.evaluation.records import read_problems, read_samples
from rl.evaluation.saved_completions import read_completions, score_file

THOUGHT = "<think>2 and 2</think>"
COMPLETIONS = {"p1": [r"\boxed{4}", "hm", THOUGHT + r"\boxed{4}"], "p2": [r"\boxed{7}"] * 3}
PROMPTS = {
    "p1": "2+2=",
    "p2": [{"role": "system", "content": "Sum."}, {"role": "user", "content": "3+3="}],
}
HASHED = ("doc", "prompt", "target")
LABELS = {"p1": "4", "p2": "6"}


@pytest.fixture
def folder(tmp_path):
    """A scored evaluation of two problems: one is right in 2 of 3 samples, one never."""
    path = tmp_path / "own.jsonl"
    lines = [
        {"id": p, "label": LABELS[p], "prompt": PROMPTS[p], "completions": texts}
        for p, texts in COMPLETIONS.items()
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    score_file(path, tmp_path / "scored")
    return tmp_path / "scored"


def texts(path):
    found = {}
    for sample in read_completions(path).samples:
        found.setdefault(sample.problem_id, []).append(sample.completion)
    return list(found.values())


@pytest.mark.parametrize("name", WRITERS)
def test_what_is_exported_is_read_again(folder, tmp_path, name):
    path, *_ = export_samples(folder, [name])
    assert path.is_relative_to(folder / "export" / name)
    again = tmp_path / "again"
    score_file(path, again)
    assert texts(path)[1] == COMPLETIONS["p2"]
    assert [text.replace("\n", "") for text in texts(path)[0]] == COMPLETIONS["p1"]
    verdicts = [(s.correct, s.label) for s in read_samples(again)]
    assert verdicts == [(s.correct, s.label) for s in read_samples(folder)]
    assert [bool(line["prompt"]) for line in read_problems(again).values()] == [True, True]


# lm-evaluation-harness.


def test_the_harness_finds_its_keys(folder):
    path, results = export_samples(folder, ["lm_eval"])
    assert path.name.startswith("samples_own_20")
    first, second = [json.loads(line) for line in path.read_text().splitlines()]
    assert (first["doc_id"], first["target"], first["filter"]) == (0, "4", "answer")
    assert first["resps"] == [COMPLETIONS["p1"]]
    assert first["filtered_resps"] == [["4", "[invalid]", "4"]]
    assert first["exact_match"] == pytest.approx(2 / 3)
    assert first["arguments"]["gen_args_0"]["arg_0"] == "2+2="
    assert second["arguments"]["gen_args_0"]["arg_0"] == "Sum.\n\n3+3="
    # sha256 of "4".
    assert first["target_hash"].startswith("4b227777d4dd1fc6")
    assert results.parent == path.parent
    assert results.name == path.name.replace("samples_own", "results").replace(".jsonl", ".json")
    found = json.loads(results.read_text())
    # The mean of 2/3 and 0; half their difference is s / sqrt(2).
    told = found["results"]["own"]
    assert told["exact_match,answer"] == pytest.approx(1 / 3)
    assert told["exact_match_stderr,answer"] == pytest.approx(1 / 3)
    assert found["n-samples"]["own"] == {"original": 2, "effective": 2}
    hashes = [line[f"{what}_hash"] for line in (first, second) for what in HASHED]
    assert found["task_hashes"]["own"] == sha256("".join(hashes).encode()).hexdigest()


def test_one_problem_has_no_standard_error(tmp_path):
    line = {"id": "p", "label": "4", "completions": [r"\boxed{4}"]}
    score_file(write_lines(tmp_path / "one.jsonl", line), tmp_path / "scored")
    found = [
        json.loads(path.read_text())["results"]
        for path in export_samples(tmp_path / "scored", ["lm_eval", "lighteval"])[1::2]
    ]
    assert found[0]["one"]["exact_match_stderr,answer"] == "N/A"
    assert found[1] == {"one:0": {"pass@k:k=1&n=1": 1.0}, "all": {"pass@k:k=1&n=1": 1.0}}


def harness_line(doc_id, name, resps, **more):
    arguments = {"gen_args_0": {"arg_0": f"Q{doc_id}", "arg_1": {"until": ["Q:"]}}}
    line = {"doc_id": doc_id, "doc": {}, "target": "so 6 #### 6", "arguments": arguments}
    return {
        **line,
        "resps": resps,
        "filtered_resps": ["6"],
        "filter": name,
        "exact_match": 1.0,
        **more,
    }


def write_lines(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_document_of_two_filters_is_one_problem(tmp_path):
    lines = [
        harness_line(doc, name, [["a", "b"]])
        for name in ("strict-match", "flexible-extract")
        for doc in (0, 5)
    ]
    found = read_completions(write_lines(tmp_path / "s.jsonl", *lines), "hashes")
    assert [(s.problem_id, s.completion, s.label) for s in found.samples] == [
        ("0", "a", "6"),
        ("0", "b", "6"),
        ("5", "a", "6"),
        ("5", "b", "6"),
    ]
    assert found.prompts == {"0": "Q0", "5": "Q5"}
    older = harness_line(0, None, [["a"]], arguments=[["Q", {"until": []}]])
    assert read_completions(write_lines(tmp_path / "o.jsonl", older)).prompts == {"0": "Q"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([harness_line(0, "none", [[["-1.5", "False"]]])], "expected one list of texts"),
        ([harness_line(0, "none", [["a"], ["b"]])], "expected one list of texts"),
        (
            [harness_line(0, "none", [["a"]]), {"id": 1}],
            "line 2: got .*expected a line with doc_id",
        ),
    ],
    ids=["likelihoods", "two_requests", "another_line"],
)
def test_other_tasks_of_the_harness_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        read_completions(write_lines(tmp_path / "s.jsonl", *lines))


# lighteval.


def test_lighteval_finds_its_columns(folder):
    path, results = export_samples(folder, ["lighteval"])
    rows = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(folder))
    assert rows.column_names == ["doc", "metric", "model_response"]
    first = rows[0]
    assert first["model_response"]["text"] == COMPLETIONS["p1"]
    assert first["doc"]["choices"][first["doc"]["gold_index"]] == "4"
    # 2 of 3 samples are right.
    assert first["metric"]["pass@k:k=1&n=3"] == pytest.approx(2 / 3)
    date = path.parent.name
    assert path.name == f"details_own|0_{date}.parquet"
    assert ":" not in date
    assert results == folder / f"export/lighteval/results/unknown/results_{date}.json"
    found = json.loads(results.read_text())
    assert found["results"]["own:0"]["pass@k:k=1&n=3"] == pytest.approx(1 / 3)
    assert found["results"]["own:0"]["pass@k:k=1&n=3_stderr"] == pytest.approx(1 / 3)
    assert found["config_general"]["model_name"] == "unknown"
    assert found["config_tasks"]["own:0"]["num_samples"] == [3]


def test_lightevals_own_rows_are_read(tmp_path):
    doc = {"query": "2+2=", "choices": ["3", "4"], "gold_index": [1], "id": "", "specific": None}
    reply = {"input": None, "text": ["a", "b"], "output_tokens": [[1], [2]], "logprobs": []}
    path = tmp_path / "details_x|0_d.parquet"
    Dataset.from_list([{"doc": doc, "metric": {"m": 1.0}, "model_response": reply}]).to_parquet(
        path
    )
    found = read_completions(path)
    assert [(s.problem_id, s.completion, s.label) for s in found.samples] == [
        ("0", "a", "4"),
        ("0", "b", "4"),
    ]
    Dataset.from_list([{"doc": doc, "model_response": {"text": []}}]).to_parquet(path)
    with pytest.raises(InputError, match=r"row 0 .* model_response with text"):
        read_completions(path)
    path.write_text("no parquet")
    with pytest.raises(InputError, match="got no parquet file"):
        read_completions(path)


# MathArena.


def test_matharena_finds_its_keys(folder):
    [path] = export_samples(folder, ["matharena"])
    assert sorted(one.name for one in path.iterdir()) == ["1.json.zst", "2.json.zst"]
    packed = (path / "1.json.zst").read_bytes()
    with pyarrow.input_stream(str(path / "1.json.zst"), compression="zstd") as stream:
        runs = json.loads(stream.read())
    # Its reader asks for the size, which is in the frame's header: RFC 8878, 3.1.1.1, either a size
    # of 2 to 8 bytes or the flag of a single segment.
    assert packed[4] & 0b11100000
    assert (runs["idx"], runs["source"], runs["gold_answer"], runs["N"]) == (1, "p1", "4", 3)
    assert runs["answers"] == ["4", "None", "4"]
    assert runs["correct"] == [True, False, True]
    assert [m["type"] for m in runs["messages"][2][1:]] == ["cot", "response"]
    assert runs["messages"][2][1]["content"] == THOUGHT
    assert runs["cost"] == {"cost": 0.0, "input_tokens": None, "output_tokens": None, "time": None}
    with pyarrow.input_stream(str(path / "2.json.zst"), compression="zstd") as stream:
        assert [m["role"] for m in json.loads(stream.read())["messages"][0]] == [
            "developer",
            "user",
            "assistant",
        ]


def test_matharenas_own_files_are_read(tmp_path):
    def runs(index, *replies):
        asked = {"role": "user", "content": "2+2="}
        return {"idx": index, "gold_answer": "4", "messages": [[asked, *r] for r in replies]}

    thought = {"role": "assistant", "type": "cot", "content": "hm"}
    said = {"role": "assistant", "type": "response", "content": r"\boxed{4}"}
    for index in (2, 10):
        (tmp_path / f"{index}.json").write_text(json.dumps(runs(index, [thought, said], [said])))
    found = read_completions(tmp_path)
    assert [(s.problem_id, s.completion) for s in found.samples] == [
        ("2", "<think>hm</think>\n\\boxed{4}"),
        ("2", r"\boxed{4}"),
        ("10", "<think>hm</think>\n\\boxed{4}"),
        ("10", r"\boxed{4}"),
    ]
    assert found.prompts == {"2": "2+2=", "10": "2+2="}
    (tmp_path / "11.json").write_text('{"idx": 11}')
    with pytest.raises(InputError, match=r"11.json: got .*expected idx, gold_answer and messages"):
        read_completions(tmp_path)
    (tmp_path / "11.json").write_text("{")
    with pytest.raises(InputError, match=r"11.json: got .*expected JSON of MathArena"):
        read_completions(tmp_path)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"--score: got the folder .* without"):
        read_completions(tmp_path)


def test_json_lines_may_be_called_json(tmp_path):
    line = {"id": "p", "label": "4", "completions": ["4"]}
    assert len(read_completions(write_lines(tmp_path / "own.json", line)).samples) == 1
