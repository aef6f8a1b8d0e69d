"""What a run is evaluated on: put as it is trained on, and read by its model and its engine."""

import json

import pytest
import tiny_vision
from PIL import Image

from rl.data.image_inputs import ImageInputs
from rl.data.images import read_image
from rl.errors import InputError
from rl.evaluation.problems.labelled import Benchmark, Problem
from rl.training.benchmark_prompts import load_benchmark_prompts
from rl.training.config import LabelFreeConfig
from rl.training.prepare_evaluation import check_benchmarks, load_benchmarks
from rl.training.run_images import RunImages


def write(path, row):
    path.write_text(json.dumps(row) + "\n")
    return str(path)


def make_config(**settings):
    return LabelFreeConfig(model="m", output_dir="runs/test", use_cpu=True, bf16=False, **settings)


@pytest.mark.parametrize(
    "words", [{}, {"prompt_suffix": " Box it."}, {"system_prompt": ""}, {"system_prompt": "Look."}]
)
def test_a_named_benchmark_is_evaluated_in_the_words_it_is_trained_on(tmp_path, words):
    row = {"question": "Which?", "answer_idx": "A", "options": {"A": "x", "B": "y"}}
    name = "medqa=" + write(tmp_path / "copy.jsonl", row)
    config = make_config(dataset=name, eval_benchmarks=[name], answer_choices="AB", **words)
    [problem] = load_benchmarks(config)[name].problems
    assert problem.prompt == load_benchmark_prompts(name, config).dataset["prompt"][0]
    # Without words of the run it is asked for its letter.
    assert ("$LETTER" in str(problem.prompt)) == (not words)


def test_a_column_of_images_is_that_of_the_sources_that_have_it(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    seen = {"pictures": "a.png", "prompt": "Which?", "label": 1}
    paths = {
        "text": write(tmp_path / "text.jsonl", {"prompt": "1+1=", "label": 2}),
        "seen": write(tmp_path / "seen.jsonl", seen),
        "slake": "slake="
        + write(tmp_path / "slake.jsonl", {"question": "Which?", "answer": "x", "image": "a.png"}),
        "unlabelled": write(tmp_path / "unlabelled.jsonl", {"prompt": "1+1="}),
    }

    def num_images(column):
        *labelled, unlabelled = paths.values()
        evaluated = {"eval_benchmarks": labelled, "eval_prompts": [unlabelled]}
        found = load_benchmarks(make_config(image_column=column, **evaluated))
        return {name: len(found[path].problems[0].images) for name, path in paths.items()}

    assert num_images("pictures") == {"text": 0, "seen": 1, "slake": 1, "unlabelled": 0}
    assert set(num_images("").values()) == {0}


def test_an_engine_that_takes_no_images_is_refused_for_problems_with_some(tmp_path):
    inputs = ImageInputs(tiny_vision.make_processor())
    image = read_image(Image.new("RGB", (8, 8)), "here")
    content = [{"type": "image"}, {"type": "text", "text": "1+1="}]
    problem = Problem(
        id="0", prompt=[{"role": "user", "content": content}], label="2", images=(image,)
    )
    benchmarks = {"seen": Benchmark(problems=[problem], prompt_column="prompt", label_column="")}
    known = (tiny_vision.make_tokenizer(), None, RunImages(inputs))
    check_benchmarks(make_config(), benchmarks, *known)
    path = tmp_path / "engine.py"
    path.write_text("class Texts:\n    @classmethod\n    def for_run(cls, policy, settings): ...\n")
    texts = make_config(engine=f"{path}:Texts")
    with pytest.raises(InputError, match=r"engine: got '.*:Texts' for prompts with images"):
        check_benchmarks(texts, benchmarks, *known)
