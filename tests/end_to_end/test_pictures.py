"""Training on questions about pictures: the command, and that it teaches to look."""

import json
import random

import pytest
from launching import launch, one_process, read_metrics
from transformers import AutoModelForImageTextToText, AutoProcessor

from rl.data.pil_processors import show_pil_processors
from rl.testbed.pictures import DESCRIBE, describe, draw_picture, draw_problem
from rl.testbed.pictures_build import build_pictures


def run_on(testbed, output_dir, heldout, **settings):
    return launch(
        one_process(),
        "recipes/ttrl/ttrl_pictures.yaml",
        output_dir,
        model=str(testbed / "model"),
        dataset=str(testbed / "labelled.jsonl"),
        label_column="label",
        eval_benchmarks=[str(testbed / heldout)],
        save_strategy="no",
        **settings,
    )


def test_the_picture_testbed_is_trained_and_compared(tmp_path):
    testbed = tmp_path / "pictures"
    build_pictures(testbed, num_pretraining_steps=2, show_progress=False)
    run = run_on(
        testbed,
        tmp_path / "run",
        "heldout/comparing.jsonl",
        num_prompts=4,
        num_generations=4,
        per_device_train_batch_size=16,
        max_steps=2,
        max_completion_length=12,
        eval_num_samples=2,
    )
    summary = json.loads((run / "summary.json").read_text())
    assert {"before", "after", "controls"} <= summary.keys()
    assert len(summary["controls"]["differences"]) == 3  # greedy, temperature, majority
    steps = [line for line in read_metrics(run) if "vote/majority_ratio" in line]
    assert len(steps) == 2
    assert all(line["cost/num_sampled_tokens"] > 0 for line in steps)


def shares_read(model_folder):
    """Ask what is in each cell, of pictures and then of others in their place.

    Returns:
        How many signs of the descriptions are right: of the own pictures; with another shown, of
        the other; and then of the own one.
    """
    show_pil_processors()
    model = AutoModelForImageTextToText.from_pretrained(model_folder).eval()
    processor = AutoProcessor.from_pretrained(model_folder)
    rng = random.Random("held out")
    problems = [draw_problem(rng, "counting") for _ in range(24)]
    images = [[draw_picture(problem.pictures[0])] for problem in problems]
    next_images = images[1:] + images[:1]
    truths = [(describe(p, "rows"), describe(p, "columns")) for p in problems]
    next_truths = truths[1:] + truths[:1]

    def read(shown):
        inputs = processor(
            text=[f"<image>{DESCRIBE}"] * len(shown), images=shown, return_tensors="pt"
        )
        made = model.generate(**inputs, do_sample=False, max_new_tokens=12)
        return processor.batch_decode(made[:, inputs["input_ids"].shape[1] :])

    def share(texts, wanted):
        pairs = [
            pair
            for text, both in zip(texts, wanted, strict=True)
            for pair in zip(text, both[not text.startswith("rows")], strict=True)
        ]
        return sum(a == b for a, b in pairs) / len(pairs)

    swapped = read(next_images)
    return share(read(images), truths), share(swapped, next_truths), share(swapped, truths)


@pytest.mark.slow
def test_the_demo_of_pictures_passes_its_controls(tmp_path):
    testbed = tmp_path / "pictures"
    build_pictures(testbed, show_progress=False)
    own, other, own_when_swapped = shares_read(testbed / "model")
    assert min(own, other) > 0.95 > 0.8 > own_when_swapped
    run = run_on(testbed, tmp_path / "run", "heldout.jsonl")
    controls = json.loads((run / "summary.json").read_text())["controls"]
    assert all(found["ci_low"] > 0 for found in controls["differences"].values())
