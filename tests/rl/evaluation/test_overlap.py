import gzip
import json

import pytest
import yaml
from PIL import Image

from rl.data.images import read_image
from rl.errors import InputError
from rl.evaluation.overlap import TrainPrompts, find_overlap, read_train_prompts
from rl.evaluation.problems.labelled import Problem, default_template, load_benchmark

LONG = "A train leaves at noon and runs 60 km/h. When has it gone 90 km?"


def problem(name, text, prompt=None):
    return Problem(id=name, prompt=prompt or text, label="1", question=text)


def test_spaces_case_and_unicode_forms_do_not_matter():
    problems = [problem("a", "What is  2\u00b2?\n"), problem("b", "1+1=")]
    found = find_overlap(problems, TrainPrompts(["what is 22?"]))
    # NFKC writes a superscript two as a plain two.
    assert (found.problem_ids, found.share, found.num_train_prompts) == (["a"], 0.5, 1)


def test_a_short_problem_must_be_the_prompt_and_a_long_one_may_stand_in_it():
    problems = [problem("short", "1+2="), problem("long", LONG)]
    found = find_overlap(
        problems, TrainPrompts(["4+1+2=", f"<|user|>{LONG} Box it.<|end|>", "9+9="])
    )
    assert found.problem_ids == ["long"]


@pytest.mark.parametrize(
    ("prompts", "label"),
    [
        ([], "held-out"),
        (["3+3="], "held-out"),
        (["1+1=", "2+2="], "transductive"),
        (["1+1="], "1 of 2 problems were trained on"),
    ],
)
def test_the_label(prompts, label):
    problems = [problem("a", "1+1="), problem("b", "2+2=")]
    assert find_overlap(problems, TrainPrompts(prompts)).label == label


def test_the_words_around_a_problem_are_not_the_problem():
    chat = [{"role": "system", "content": "Add."}, {"role": "user", "content": "1+1= Box it."}]
    assert (
        find_overlap([problem("a", "1+1=", chat)], TrainPrompts(["1+1="])).label == "transductive"
    )
    # Of messages it is not known where the problem ends: the run put the same words after it.
    messages = Problem(id="a", prompt=chat, label="1")
    assert find_overlap([messages], TrainPrompts(["1+1="])).label == "unknown whether trained on"
    assert find_overlap([messages], TrainPrompts(["1+1="], suffix=" Box it.")).share == 1
    # And the whole text may be what was trained on.
    assert (
        find_overlap([problem("a", "1+1=", chat)], TrainPrompts(["1+1= Box it."])).label
        == "transductive"
    )


def write_run(folder, dataset, rollout_prompts=()):
    folder.mkdir()
    settings = {"dataset": dataset, "prompt_column": "question"}
    (folder / "config.yaml").write_text(yaml.safe_dump({"settings": settings}))
    (folder / "rollouts").mkdir()
    for step, prompts in enumerate(rollout_prompts, start=1):
        with gzip.open(folder / "rollouts" / f"step_{step:06d}.jsonl.gz", "wt") as lines:
            lines.writelines(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    return folder


def test_the_prompts_of_a_run_are_those_of_its_dataset(tmp_path):
    data = tmp_path / "train.json"
    data.write_text(json.dumps([{"question": "1+1="}, {"question": "2+2="}]))
    run = write_run(tmp_path / "run", str(data), [["rendered 1+1="]])
    assert read_train_prompts(run).prompts == ["1+1=", "2+2="]


def test_what_the_run_dropped_is_not_among_them(tmp_path):
    data = tmp_path / "train.json"
    data.write_text(json.dumps([{"question": "1+1="}, {"question": "2+2="}]))
    run = write_run(tmp_path / "run", str(data), [])
    document = yaml.safe_load((run / "config.yaml").read_text())
    (run / "config.yaml").write_text(yaml.safe_dump(document | {"prompts": {"dropped_rows": [0]}}))
    assert read_train_prompts(run).prompts == ["2+2="]


def test_without_the_file_they_are_those_it_sampled(tmp_path):
    run = write_run(tmp_path / "run", "gone.json", [["1+1=", "1+1="], ["2+2="]])
    assert read_train_prompts(run).prompts == ["1+1=", "2+2="]


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected the output folder of a training run"):
        read_train_prompts(tmp_path)
    (tmp_path / "config.yaml").write_text("a: [")
    with pytest.raises(InputError, match="got invalid YAML"):
        read_train_prompts(tmp_path)


def test_a_problem_with_images_was_seen_only_beside_the_same_images(tmp_path):
    red, blue = (read_image(Image.new("RGB", (2, 2), name), "here") for name in ("red", "blue"))
    problems = [
        Problem(id=name, prompt="", question="Which?", label="1", images=images)
        for name, images in {"red": (red,), "both": (red, blue), "none": ()}.items()
    ]
    seen = ["Which?", ("which?", (red.digest,)), ("Which?", (blue.digest, red.digest))]
    assert find_overlap(problems, TrainPrompts(seen)).problem_ids == ["red", "none"]
    # As a model's chat template renders it: a short question of the same picture, of no other.
    rendered = "<|user|><image>Which? Box it.<|end|>"
    assert find_overlap(problems, TrainPrompts([(rendered, (red.digest,))])).problem_ids == ["red"]
    assert (
        find_overlap(problems, TrainPrompts([(rendered, (blue.digest,)), rendered])).problem_ids
        == []
    )
    # From the data set that a run's settings name, or from its rollouts.
    (tmp_path / "red.png").write_bytes(red.data)
    rows = [{"prompt": "Which?", "image": "red.png"}, {"prompt": "Which?", "image": "gone.png"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    (run / "rollouts").mkdir(parents=True)
    settings = {"settings": {"dataset": str(tmp_path / "rows.jsonl")}}
    (run / "config.yaml").write_text(yaml.safe_dump(settings))
    assert read_train_prompts(run).prompts == [("Which?", (red.digest,))]
    (run / "config.yaml").unlink()
    line = {"prompt_id": "a", "prompt": "Which?", "images": [red.digest]}
    with gzip.open(run / "rollouts" / "step_000001.jsonl.gz", "wt") as file:
        file.write(json.dumps(line) + "\n")
    assert read_train_prompts(run).prompts == [("Which?", (red.digest,))]


def test_a_run_may_have_trained_on_a_benchmark_without_labels(tmp_path):
    row = {"question": "Which?", "image": "gone.png", "qid": 1, "q_lang": "en"}
    (tmp_path / "copy.jsonl").write_text(json.dumps(row))
    settings = {"dataset": f"slake={tmp_path}/copy.jsonl", "image_column": ""}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"settings": settings}))
    assert read_train_prompts(tmp_path).prompts == ["Which?"]


CHATML = (
    "<|im_start|>system\nAdd.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)


@pytest.mark.parametrize(
    "template",
    [
        CHATML,
        "<|user|>{}<|assistant|>",
        "<s>[INST] {} [/INST]",
        "<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
        "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>",
    ],
)
def test_a_short_problem_of_rollouts_is_a_turn_of_its_own(template):
    seen = [template.format(text) for text in ("1+2= Box it.", "4+1+3=", f"{LONG} Box it.")]
    trained = TrainPrompts(seen, are_rendered=True, suffix=" Box it.")
    problems = [problem("a", "1+2="), problem("b", "1+3="), problem("c", LONG)]
    found = find_overlap(problems, trained)
    # 1+3= stands in 4+1+3= alone, which is another problem, or the same in other words.
    assert (found.problem_ids, found.unknown_ids) == (["a", "c"], ["b"])
    assert found.label == "2 of 3 problems were trained on, unknown of 1"
    # The evaluation puts the same words around it.
    asked = problem("a", "1+2=", [{"role": "user", "content": "1+2= Box it."}])
    assert find_overlap([asked], TrainPrompts(seen, are_rendered=True)).label == "transductive"


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (["1+1="], "unknown whether trained on"),
        (["1+1=", LONG], "held-out, unknown of 1"),
        ([LONG], "held-out"),
    ],
)
def test_what_rendered_prompts_do_not_tell_is_not_called_held_out(texts, label):
    problems = [problem(str(i), text) for i, text in enumerate(texts)]
    rendered = TrainPrompts(["Solve. 1+1= Thanks."], are_rendered=True)
    assert find_overlap(problems, rendered).label == label


def test_a_short_question_over_documents_was_trained_on_with_them(tmp_path):
    rows = [
        {"question": "Does it?", "final_decision": "yes", "pubid": 1, "context": "Zinc helps."},
        {"question": "Does it?", "final_decision": "no", "pubid": 2, "context": "Iron does not."},
    ]
    for name, of_file in {"one": rows[:1], "both": rows}.items():
        text = "".join(json.dumps(row) + "\n" for row in of_file)
        (tmp_path / f"{name}.jsonl").write_text(text)
    settings = {"dataset": f"pubmedqa={tmp_path}/one.jsonl", "prompt_column": "prompt"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"settings": settings}))
    name = f"pubmedqa={tmp_path}/both.jsonl"
    problems = load_benchmark(name, template=default_template(name)).problems
    found = find_overlap(problems, read_train_prompts(tmp_path))
    assert (found.problem_ids, found.unknown_ids) == (["1"], [])


def test_local_copies_and_folders_are_read_beside_rollouts(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text(json.dumps({"question": "1+1="}) + "\n")
    (tmp_path / "gsm.jsonl").write_text(json.dumps({"question": "2+2=", "answer": "#### 4"}))
    names = [str(tmp_path / "data"), f"gsm8k={tmp_path}/gsm.jsonl"]
    run = write_run(tmp_path / "run", names, [["<|user|>1+1="]])
    assert read_train_prompts(run) == TrainPrompts(["1+1=", "2+2="])
