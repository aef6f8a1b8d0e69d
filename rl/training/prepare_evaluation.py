"""What a run is evaluated on, loaded and checked before a model is."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerBase

from rl.data.image_inputs import prompt_length
from rl.data.prompt_lengths import check_problem_lengths, prompt_limit
from rl.data.prompts import load_prompts
from rl.data.tables import load_table
from rl.evaluation.problems.labelled import (
    Benchmark,
    default_template,
    load_benchmark,
    unlabelled_problems,
)
from rl.evaluation.problems.problem_images import check_images_are_read
from rl.evaluation.problems.rows import image_column_if_there
from rl.processes import each_from_main_process
from rl.rollouts.engines import check_takes_images, engine_class
from rl.training.config import LabelFreeConfig
from rl.training.run_images import RunImages


def load_benchmarks(config: LabelFreeConfig) -> dict[str, Benchmark]:
    """Load what the run is evaluated on; prompts have empty labels.

    Its system prompt and suffix stand around every problem. Without either, a named benchmark is
    put as it is trained on and as `scripts/evaluate.py` puts it: in its own template. An
    `image_column` is that of the sources that have it; an empty text takes none of any.

    Raises:
        InputError: If a source cannot be read, or a row is incomplete.
    """
    words: Any = {"system_prompt": config.system_prompt, "prompt_suffix": config.prompt_suffix}
    has_own_words = set(words.values()) != {None}
    benchmarks = {
        name: load_benchmark(
            name,
            template=None if has_own_words else default_template(name),
            image_column=config.image_column,
            must_have_image_column=False,
            allow_remote_images=config.allow_remote_images,
            share_images=each_from_main_process,
            **words,
        )
        for name in config.eval_benchmarks
    }
    for name in config.eval_prompts:
        table = load_table(name)
        prompts = load_prompts(
            name,
            table=table,
            prompt_column=config.prompt_column,
            image_column=image_column_if_there(table, config.image_column),
            **words,
        ).dataset
        benchmarks[name] = Benchmark(
            problems=unlabelled_problems(
                prompts, config.allow_remote_images, each_from_main_process
            ),
            prompt_column=config.prompt_column,
            label_column="",
        )
    return benchmarks


def check_benchmarks(
    config: LabelFreeConfig,
    benchmarks: Mapping[str, Benchmark],
    tokenizer: PreTrainedTokenizerBase,
    context: int | None,
    images: RunImages | None = None,
) -> None:
    """Check that model and engine read the problems, and that they fit; none is ever dropped.

    Raises:
        InputError: If not.
    """
    inputs = images and images.inputs
    problems = [problem for benchmark in benchmarks.values() for problem in benchmark.problems]
    check_images_are_read(config.model, "model", problems, inputs)
    if any(problem.images for problem in problems):
        engine = engine_class(config.engine_name, "for_run", "engine")
        check_takes_images(engine, config.engine_name, "engine")
    room = prompt_limit(0, context, config.max_completion_length)
    for name, benchmark in benchmarks.items():
        lengths = {
            p.id: prompt_length(p.prompt, p.images, tokenizer, inputs) for p in benchmark.problems
        }
        check_problem_lengths(name, lengths, room)
