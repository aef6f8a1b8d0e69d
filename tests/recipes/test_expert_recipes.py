"""Recipes on expert and visual benchmarks: their prompts, and how many steps they take."""

from pathlib import Path

import pytest

from rl.answers.extraction import extract_answer
from rl.data.chat_parts import text_of
from rl.evaluation.problems.registry import BENCHMARKS
from rl.training.prepare import load_training_prompts
from rl.training.recipe import load_recipe, make_config

ROOT = Path(__file__).parents[2]
RECIPES = {
    path.relative_to(ROOT / "recipes").as_posix(): load_recipe(path)
    for path in sorted((ROOT / "recipes/spine").rglob("*.yaml"))
}
# What SPINE was shown on beside maths: models, and benchmark -> problems and epochs.
EXPERT_SETS = {
    "qwen2.5_math_1.5b": {"gpqa": (198, 3)},
    "qwen2.5_vl_3b": {
        "mathvision": (3040, 1),
        "medqa": (1273, 3),
        "medxpertqa_mm": (2000, 1),
        "pubmedqa": (1000, 3),
        "slake": (1061, 3),
    },
    "qwen3_1.7b": {"gpqa": (198, 3), "mmlu": (14042, 1)},
}


def test_each_expert_set_of_spine_has_a_recipe_that_says_how_many_steps_it_takes():
    names = {
        f"spine/expert/spine_{model}_{benchmark}.yaml": facts
        for model, benchmarks in EXPERT_SETS.items()
        for benchmark, facts in benchmarks.items()
    }
    assert [name for name in RECIPES if name.startswith("spine/expert/")] == list(names)
    for name, (size, epochs) in names.items():
        settings = RECIPES[name]
        assert settings["num_train_epochs"] == epochs
        assert BENCHMARKS[settings["dataset"]].size == size
        steps = size // settings["num_prompts"] * epochs
        header = " ".join((ROOT / "recipes" / name).read_text().split("\n#"))
        assert f"these are {steps}, one on each batch" in " ".join(header.split())


EXPERT = [name for name in RECIPES if RECIPES[name].get("dataset") in BENCHMARKS]


@pytest.mark.parametrize("name", EXPERT)
def test_a_recipe_on_a_known_benchmark_passes_its_dry_run_on_rows_of_its_schema(name, tmp_path):
    """The prompts, with a tiny model's tokenizer, of rows of ours: the hub is not asked."""
    settings = RECIPES[name]
    benchmark = settings["dataset"]
    rows = ROOT / f"tests/rl/evaluation/problems/fixtures/{benchmark}.jsonl"
    changes = {"dataset": f"{benchmark}={rows}", "output_dir": str(tmp_path), "num_prompts": 1}
    config = make_config({**settings, **changes})
    found = load_training_prompts(config)
    assert found.labels is not None
    assert len(found.labels) == len(found.dataset)
    assert ("images" in found.dataset.column_names) == (not config.freeze_vision_tower)
    for prompt, label in zip(found.dataset["prompt"], found.labels.values(), strict=True):
        text = text_of(prompt[-1]["content"])
        answer = extract_answer(
            rf"\boxed{{{label}}}", methods=config.answer_methods, choices=config.answer_choices
        )
        assert answer == label
        if config.answer_choices:
            assert f"\n{label}) " in text
        assert "boxed" in text or "Answer: $LETTER" in text
