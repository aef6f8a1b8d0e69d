"""Answers to a file of questions, from a real tiny model, also after training on them."""

import argparse
import json
import time

import pytest
import tiny_vision
from local_server import Handler, serving
from PIL import Image
from solve import choose_engine, open_output

from rl.errors import InputError
from rl.evaluation.problems.labelled import Problem


@pytest.fixture
def solve(tmp_path, tiny_model_folder, installed):
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps({"prompt": f"{a}+1="}) + "\n" for a in range(4)))

    def solve(*arguments, expected=0):
        run = installed(
            *("solve", questions, "--model", tiny_model_folder),
            *("--output", tmp_path / "answers.jsonl", "--num_samples", 4),
            *arguments,
        )
        assert run.returncode == expected, run.stderr
        return run.stdout if expected == 0 else run.stderr

    solve.output = tmp_path / "answers.jsonl"
    return solve


def test_every_question_has_a_line_and_a_broken_off_file_is_finished(solve):
    printed = solve("--max_completion_length", 4)
    assert "questions   4" in printed
    whole = solve.output.read_text()
    lines = [json.loads(line) for line in whole.splitlines()]
    assert [line["id"] for line in lines] == [0, 1, 2, 3]
    assert all(line["num_votes"] == 4 for line in lines)
    silent, cut = (sum(line[name] for line in lines) for name in ("num_abstained", "num_truncated"))
    assert cut > 0  # at four tokens
    assert f"in {silent} of 16 samples (see --answer_methods); {cut} were cut off" in printed
    # A killed run leaves whole lines and half of one; the same command finishes the same file.
    solve.output.write_text(whole[: whole.index("\n") + 20])
    solve("--max_completion_length", 4)
    assert solve.output.read_text() == whole
    message = solve("--max_completion_length", 5, expected=2)
    assert "holds answers to other questions or of other settings" in message
    assert solve.output.read_text() == whole


def test_the_model_is_adapted_first(solve, tmp_path):
    (tmp_path / "task.py").write_text(
        "def start(completion):\n    return f'starts with {completion[:1]}'\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"answer_methods: ['{tmp_path / 'task.py'}:start']\n"
        "model: none\ndataset: none\nnum_prompts: 2\nnum_generations: 4\n"
        "per_device_train_batch_size: 8\nmax_completion_length: 4\ngradient_checkpointing: false\n"
    )
    message = solve("--adapt", recipe, "--max_steps", 1, expected=2)
    assert "Pass --allow_code" in message  # the recipe names it, not the user
    solve("--adapt", recipe, "--max_steps", 1, "--allow_code")
    adapted = tmp_path / "answers-adapted"
    assert (adapted / "model.safetensors").is_file()
    assert "label_column: null" in (adapted / "config.yaml").read_text()
    # Training and solving look for answers as the recipe says: here every completion has one.
    lines = [json.loads(line) for line in solve.output.read_text().splitlines()]
    assert len(lines) == 4
    assert all(line["answer"].startswith("starts with") for line in lines)
    assert all(line["num_abstained"] == 0 for line in lines)
    metrics = json.loads((adapted / "metrics.jsonl").read_text().splitlines()[0])
    assert metrics["vote/abstained_frac"] == 0


def test_a_model_that_was_trained_otherwise_is_not_used(tmp_path):
    output, questions = tmp_path / "answers.jsonl", [Problem(id="0", prompt="1+1=", label="")]
    settings = {"model": "m", "seed": 0, "answer_methods": ("boxed",), "answer_comparer": None}
    settings |= {"adapt": ["recipe.yaml", "--max_steps", "1"], "num_samples": 4}
    assert open_output(output, settings, questions) == 0
    adapted = tmp_path / "answers-adapted"
    adapted.mkdir()
    mended = {**settings, "adapt": ["recipe.yaml", "--max_steps", "3"]}
    assert open_output(output, mended, questions) == 0  # nothing was trained yet
    assert open_output(output, settings, questions) == 0
    (adapted / "summary.json").write_text("{}")
    assert open_output(output, {**settings, "num_samples": 8}, questions) == 0  # the same model
    for changed in ({"adapt": ["recipe.yaml", "--max_steps", "2"]}, {"seed": 1}):
        with pytest.raises(InputError, match=r"answers-adapted was trained on other questions or"):
            open_output(output, {**settings, **changed}, questions)
    with pytest.raises(InputError, match=r"answers-adapted was trained on other questions or"):
        open_output(output, settings, [Problem(id="0", prompt="1+2=", label="")])
    assert open_output(output, {**settings, "adapt": None, "seed": 1}, questions) == 0
    with pytest.raises(InputError, match=r"answers-adapted was trained on other questions or"):
        open_output(output, settings, questions)  # what trained it is not known any more


def test_questions_with_images_are_solved(solve, tmp_path):
    tiny_vision.save(tmp_path / "vision")
    Image.new("L", (9, 9)).save(tmp_path / "black.png")
    rows = [{"prompt": "=?", "image": "black.png"}, {"prompt": "1+1=", "image": None}]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("--model", tmp_path / "vision", "--max_completion_length", 4)
    solve(*asked)
    first, second = (json.loads(line) for line in solve.output.read_text().splitlines())
    assert first["question"][0]["content"][0] == {"type": "image"}
    assert len(first["images"]) == 1
    assert "images" not in second
    (tmp_path / "black.png").unlink()
    message = solve(*asked, expected=2)
    assert message.startswith("error: image 0 of row 0 (both from 0): got 'black.png'")
    assert message.count("\n") == 1


class Sums(Handler):
    """An endpoint that answers `a+1=` with a + 1, after a while for the first question."""

    refused = None

    def do_POST(self):
        asked = json.loads(self.body())
        number = int(asked["prompt"].partition("+")[0])
        if number == self.refused:
            time.sleep(0.5)
            self.reply({"error": {"message": "not this one"}}, status=400)
            return
        time.sleep(0.05 * (number == 0))
        text = rf"so \boxed{{{number + 1}}}" if asked["seed"] % 4 else "no idea"
        self.reply({"choices": [{"text": text, "finish_reason": "length"}]})  # no `usage`


def test_an_endpoint_answers_and_lines_keep_the_order_of_the_questions(solve):
    with serving(Sums) as address:
        asked = ("--engine", "openai", "--base_url", f"{address}/v1", "--model", "served")
        printed = solve(*asked, "--batch_size", 8)
        assert "questions   4, 4 with an answer" in printed
        lines = [json.loads(line) for line in solve.output.read_text().splitlines()]
        assert [(line["id"], line["answer"]) for line in lines] == [
            (i, str(i + 1)) for i in range(4)
        ]
        # Of four seeds in a row one is a multiple of four.
        assert {(line["num_votes"], line["num_abstained"]) for line in lines} == {(4, 1)}
        assert {line["num_truncated"] for line in lines} == {4}
        whole = solve.output.read_text()
        solve.output.write_text(whole[: whole.index("\n") + 20])
        solve(*asked)
        assert solve.output.read_text() == whole
    message = solve("--engine", "openai", "--base_url", f"{address}/v1", expected=2)
    assert "holds answers to other questions or of other settings" in message  # another model


class RefusingThird(Sums):
    """One that refuses the third question, when the first two are answered."""

    refused = 2


def test_what_was_answered_before_an_endpoint_refused_is_kept(solve):
    with serving(RefusingThird) as address:
        asked = ("--engine", "openai", "--base_url", f"{address}/v1", "--model", "served")
        assert "not this one" in solve(*asked, expected=2)
    lines = [json.loads(line) for line in solve.output.read_text().splitlines()]
    assert [(line["id"], line["answer"]) for line in lines] == [(0, "1"), (1, "2")]


@pytest.mark.parametrize(
    ("recipe", "engine", "expected"),
    [
        ({}, None, "transformers"),
        ({"use_vllm": True}, None, "vllm"),
        # The training's server ends with it, or holds weights that nobody asked it for.
        ({"use_vllm": True, "vllm_mode": "server"}, None, "vllm"),
        ({"engine": "vllm_server"}, None, "vllm"),
        ({"use_vllm": True}, "transformers", "transformers"),
    ],
)
def test_the_engine_is_the_one_that_was_named_or_the_training_s(
    monkeypatch, recipe, engine, expected
):
    monkeypatch.setattr("rl.rollouts.vllm_engine.find_spec", lambda name: name)
    arguments = argparse.Namespace(engine=engine, adapt="recipe.yaml", base_url=None)
    choose_engine(arguments, recipe)
    assert arguments.engine == expected


def test_engines_that_cannot_answer(solve, tmp_path):
    message = solve("--engine", "vllm_server", expected=2)
    assert "--engine: got 'vllm_server', expected openai with --base_url" in message
    message = solve("--engine", "openai", expected=2)
    assert "--base_url: got none with --engine openai" in message
    (tmp_path / "recipe.yaml").write_text("num_prompts: 2\n")
    endpoint = ("--engine", "openai", "--base_url", "http://x/v1")
    message = solve(*endpoint, "--adapt", tmp_path / "recipe.yaml", expected=2)
    assert "--engine: got openai with --adapt" in message
    assert message.count("\n") == 1


def test_bad_input_is_one_line(solve):
    assert "--num_samples: got 0" in solve("--num_samples", 0, expected=2)
    assert "unrecognized arguments: --max_steps 3" in solve("--max_steps", 3, expected=2)
