"""Everything a run needs before a model is loaded: checked settings, tokenizer, prompts, files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from accelerate import PartialState
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from rl.answers import use_comparer
from rl.data.model_files import context_length, load_model_config, load_tokenizer
from rl.data.prompt_lengths import (
    PromptFacts,
    check_same_prompts,
    keep_short_prompts,
    prompt_limit,
)
from rl.data.prompts import (
    PromptSet,
    join_prompts,
    load_prompts,
    prompt_id,
    render_prompt,
    tokenize_rendered,
)
from rl.data.views import get_view_maker, num_views
from rl.errors import InputError
from rl.evaluation.problems.labelled import Benchmark
from rl.rollouts.branching.contract import takes_limits
from rl.rollouts.engines import engine_class
from rl.selfplay.game import Game
from rl.training.benchmark_prompts import is_benchmark, load_benchmark_prompts
from rl.training.changed_settings import check_changed_settings
from rl.training.checks import check_what_rewards_need
from rl.training.config import LabelFreeConfig
from rl.training.curriculum.registry import build_curricula
from rl.training.curriculum.stream import check_first_epoch
from rl.training.files import CONFIG_FILE, RunFiles
from rl.training.going_on import choose_checkpoint
from rl.training.model_init import check_model
from rl.training.own_code import try_own_code
from rl.training.prepare_evaluation import check_benchmarks, load_benchmarks
from rl.training.prepare_game import preview_game, seats
from rl.training.prepare_images import prepare_images, with_unreadable
from rl.training.run_images import RunImages
from rl.training.token_selection import TokenSelector
from rl.types import Reward

Loaded = TypeVar("Loaded")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A checked run.

    Attributes:
        config: Its settings.
        rewards: Reward name -> callable.
        reward_weights: Reward name -> weight.
        tokenizer: The policy's tokenizer.
        prompts: Columns `prompt`, `row`, `prompt_id` and `rendered_prompt`.
        images: Those of the prompts; None for a model of text alone.
        prompt_facts: How many of the source's prompts these are; None in self-play.
        labels: Row -> label, for audit/ metrics; None without a label column.
        token_selector: Chooses the tokens that are trained; None trains all.
        game: What is played in self-play, in place of prompts and rewards; else None.
        preview: What the game tells of itself, name -> text; empty on other ranks than the main.
        benchmarks: Name -> labelled problems, evaluated before and after training.
        run_files: Where the run's files go.
        checkpoint: Checkpoint to go on from; None for a new run.
    """

    config: LabelFreeConfig
    rewards: dict[str, Reward]
    reward_weights: dict[str, float]
    tokenizer: PreTrainedTokenizerBase
    prompts: Dataset
    images: RunImages | None
    prompt_facts: PromptFacts | None
    labels: dict[int, str] | None
    token_selector: TokenSelector | None
    game: Game | None
    preview: dict[str, str]
    benchmarks: dict[str, Benchmark]
    run_files: RunFiles
    checkpoint: Path | None


def prepare_run(
    config: LabelFreeConfig,
    rewards: Mapping[str, tuple[Reward, float]],
    token_selector: TokenSelector | None = None,
    game: Game | None = None,
    dry_run: bool = False,
) -> Run:
    """Check a run's input and load all of it but the model.

    Args:
        config: Settings of the run.
        rewards: Reward name -> callable and weight.
        token_selector: Chooses the tokens that are trained; None trains all.
        game: What is played in self-play.
        dry_run: Whether the run ends after this; then the output folder is not touched.

    Raises:
        InputError: For anything the user has to mend.
    """
    check_named(config, needs_dataset=game is None)
    use_comparer(config.answer_comparer)
    scoring = {name: reward for name, (reward, _) in rewards.items()}
    check_supervision(config, scoring)
    check_run_engine(config, list(scoring.values()))
    check_what_rewards_need(config, scoring)
    run_files = RunFiles(config.output_dir)
    checkpoint = choose_checkpoint(config.resume_from_checkpoint, run_files, dry_run)
    if checkpoint is not None:
        check_changed_settings(checkpoint, config)
    prompt_set = load_training_prompts(config) if game is None else seats(config, game)
    benchmarks = load_benchmarks(config)
    source = _model_source(config)
    tokenizer = load_tokenizer(config.model, "model", **source)
    model = check_model(config, model_config := load_run_model_config(config), tokenizer)
    context = model_context(config, model_config)
    found = prepare_images(config, prompt_set.dataset, model_config, tokenizer, model, **source)
    prompts, facts = add_prompt_ids(found.prompts, tokenizer), None
    if game is None:
        prompts, facts = choose_prompts(config, prompts, tokenizer, context, found.images)
        facts = with_unreadable(facts, found.unreadable_rows)
        check_against_start(config, checkpoint, prompts, facts)
        show_labels(scoring, prompts, prompt_set)
        try_own_code(config, scoring, token_selector, prompts)
    check_benchmarks(config, benchmarks, tokenizer, context, found.images)
    return Run(
        config=config,
        rewards=scoring,
        reward_weights={name: weight for name, (_, weight) in rewards.items()},
        tokenizer=tokenizer,
        prompts=prompts,
        images=found.images,
        prompt_facts=facts,
        labels=prompt_set.labels,
        token_selector=token_selector,
        game=game,
        preview={} if game is None else preview_game(config, game, tokenizer, context),
        benchmarks=benchmarks,
        run_files=run_files,
        checkpoint=checkpoint,
    )


def check_named(config: LabelFreeConfig, needs_dataset: bool) -> None:
    """Check that a model and, without a game, a data set is named.

    Raises:
        InputError: If one is not.
    """
    if not config.model or (needs_dataset and not config.dataset):
        missing = "dataset" if config.model else "model"
        raise InputError(f"{missing}: got none, expected a value. Set {missing} in the recipe.")


def check_against_start(
    config: LabelFreeConfig, checkpoint: Path | None, prompts: Dataset, facts: PromptFacts
) -> None:
    """Check that a resumed run has the prompts it began with, and that a curriculum can order them.

    Raises:
        InputError: If not.
    """
    if checkpoint is not None and "dataset" not in config.accept_changes:
        check_same_prompts(checkpoint / CONFIG_FILE, facts)
    check_first_epoch(prompts, config)


def check_run_engine(config: LabelFreeConfig, rewards: Sequence[Reward]) -> None:
    """Check that the engine is there and, where it is asked ahead, that it and rewards allow that.

    Raises:
        InputError: If it is not.
    """
    engine = engine_class(config.engine_name, "for_run", "engine")
    if config.max_staleness and not getattr(engine, "samples_beside_updates", False):
        raise InputError(
            f"max_staleness: got {config.max_staleness} with the engine {config.engine_name}, "
            "expected one that samples beside the trainer. Set use_vllm: true and vllm_mode: "
            "server, or max_staleness: 0."
        )
    if config.branching is not None and not takes_limits(engine):
        raise InputError(
            f"branching: got the engine {config.engine_name}, expected one whose generate takes "
            "max_lengths, by which a branch ends where its whole completion must. Add it, or leave "
            "branching out."
        )
    if config.max_staleness and any(getattr(r, "needs_token_statistics", False) for r in rewards):
        raise InputError(
            f"max_staleness: got {config.max_staleness} beside a reward that reads token "
            "statistics, expected 0: they would be of another policy than the one that sampled. "
            "Set max_staleness: 0, or choose another reward."
        )


def load_run_model_config(config: LabelFreeConfig) -> Any:
    """Load the configuration of the model that a run trains."""
    return load_model_config(config.model, "model", **_model_source(config))


def model_context(config: LabelFreeConfig, model_config: Any) -> int | None:
    """Most tokens of a prompt with its completion; None if the model names no limit."""
    if config.use_vllm and config.vllm_max_model_length is not None:
        return config.vllm_max_model_length
    return context_length(model_config)


def _model_source(config: LabelFreeConfig) -> dict[str, Any]:
    revision = (config.model_init_kwargs or {}).get("revision", "main")
    return {"revision": revision, "trust_remote_code": config.trust_remote_code}


def load_training_prompts(config: LabelFreeConfig) -> PromptSet:
    """Load the prompts and their labels."""
    names = [config.dataset] if isinstance(config.dataset, str) else config.dataset
    parts = [
        load_benchmark_prompts(name, config)
        if is_benchmark(name)
        else load_prompts(
            name,
            split=config.dataset_split or "train",
            config_name=config.dataset_config_name,
            prompt_column=config.prompt_column,
            label_column=config.label_column,
            image_column=config.image_column,
            system_prompt=config.system_prompt,
            prompt_suffix=config.prompt_suffix,
            views=None if config.views is None else get_view_maker(config.views),
        )
        for name in names
    ]
    return join_prompts(parts)


def check_supervision(config: LabelFreeConfig, rewards: Mapping[str, Reward]) -> None:
    """Check that no reward sees labels in a run that is not declared a supervised control.

    Raises:
        InputError: If one does, if none does in a run declared so, or if there are no labels.
    """
    rules = build_curricula(config.curriculum).rules
    told = [name for name, rule in rules.items() if getattr(rule, "sees_labels", False)]
    seeing = [name for name, reward in rewards.items() if getattr(reward, "sees_labels", False)]
    if (seeing or told) and not config.supervised:
        raise InputError(
            f"{'rewards' if seeing else 'curriculum'}: got {[*seeing, *told][0]!r}, which sees "
            "labels, expected label-free ones. Set supervised: true if the run is meant as a "
            "supervised control."
        )
    if config.supervised and not told and not (seeing and config.label_column):
        missing = "label_column" if seeing else "rewards"
        raise InputError(
            f"{missing}: got none for labels in a supervised run, expected a reward that sees "
            "labels and a label_column. Set both, or remove supervised."
        )


def show_labels(rewards: Mapping[str, Reward], prompts: Dataset, prompt_set: PromptSet) -> None:
    """Give the labels to the rewards that declare to see them.

    Raises:
        InputError: If rows with the same prompt have different labels.
    """
    seeing: list[Any] = [r for r in rewards.values() if getattr(r, "sees_labels", False)]
    if not seeing:
        return
    labels: dict[str, str] = {}
    for row, prompt in zip(prompts["row"], prompts["prompt_id"], strict=True):
        label = (prompt_set.labels or {}).get(row)
        if label is None:
            continue
        if labels.setdefault(prompt, label) != label:
            raise InputError(
                f"label in row {row}: got {label!r}, expected {labels[prompt]!r} as in an earlier "
                "row with the same prompt. Mend one of them."
            )
    for reward in seeing:
        reward.set_labels(labels)


def add_prompt_ids(dataset: Dataset, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """Add the columns `rendered_prompt`, the text the policy continues, and its `prompt_id`."""
    rendered = [render_prompt(prompt, tokenizer) for prompt in dataset["prompt"]]
    has_images = "image_digests" in dataset.column_names
    digests = dataset["image_digests"] if has_images else [()] * len(dataset)
    with_text = dataset.add_column("rendered_prompt", rendered)
    return with_text.add_column("prompt_id", list(map(prompt_id, rendered, digests)))


def choose_prompts(
    config: LabelFreeConfig,
    prompts: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    context: int | None,
    images: RunImages | None = None,
) -> tuple[Dataset, PromptFacts]:
    """Drop the prompts that are too long and say how many, or refuse them as the settings say.

    Raises:
        InputError: If the settings refuse them, or fewer are left than a batch takes.
    """
    limit = prompt_limit(config.max_prompt_length, context, config.max_completion_length)
    is_text = isinstance(prompts["prompt"][0], str)
    lengths = list(map(len, tokenize_rendered(prompts["rendered_prompt"], is_text, tokenizer)))
    if images is not None and images.rows is not None:
        of_rows = [images.rows.sizes[row] for row in prompts["row"]]
        lengths = list(map(images.inputs.num_tokens, lengths, of_rows))
    views = num_views(prompts)
    # A problem is left out whole: by its longest wording.
    problems = [lengths[start : start + views] for start in range(0, len(lengths), views)]
    lengths = [max(problem) for problem in problems for _ in problem]
    refuse = config.overlong_prompts == "refuse"
    prompts, facts = keep_short_prompts(prompts, lengths, limit, refuse)
    if facts.dropped_rows and PartialState().is_main_process:
        logger.warning("%s: %s", config.dataset, facts)
    if len(prompts) < config.num_prompts:
        dropped = f" ({facts})" if facts.dropped_rows else ""
        raise InputError(
            f"num_prompts: got {config.num_prompts}, expected at most the {len(prompts)} prompts "
            f"in {config.dataset}{dropped}. Lower num_prompts."
        )
    if config.num_prompts % views:
        raise InputError(
            f"num_prompts: got {config.num_prompts}, expected a multiple of the {views} wordings "
            "of a problem, each of which is a prompt. Change it."
        )
    return prompts, facts
