"""Settings of a run's prompts: where they are, what is put around them, how answers are read."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from rl.answers.extraction import DEFAULT_METHODS
from rl.settings import Letters, Named, StepsOrNone


@dataclass(kw_only=True)
class PromptSettings:
    """The part of `rl.training.config.LabelFreeConfig` about prompts and their answers."""

    dataset: str | list[str] = field(
        default="",
        metadata={
            "help": "Prompts: a .jsonl, .json, .csv or .parquet file, a hub id, or a benchmark of "
            "evaluate.py's list, as it asks it (NAME, or NAME=FILE); or several."
        },
    )
    dataset_split: str | None = field(
        default=None,
        metadata={"help": "Split of a hub dataset; none: train, or a known benchmark's own."},
    )
    dataset_config_name: str | None = field(
        default=None, metadata={"help": "Configuration of a hub dataset."}
    )
    prompt_column: str = field(
        default="prompt", metadata={"help": "Column with the prompt: text or chat messages."}
    )
    label_column: str | None = field(
        default=None,
        metadata={"help": "Column with a label; it reaches audit/ metrics only, never a reward."},
    )
    image_column: str | None = field(
        default=None,
        metadata={
            "help": "Column with a prompt's image or images, for a vision-language model; none: "
            "`images` or `image`, if there is one; an empty text: leave images out."
        },
    )
    allow_remote_images: bool = field(
        default=False, metadata={"help": "Fetch images that a data set has as links, once a run."}
    )
    system_prompt: str | None = field(
        default=None, metadata={"help": "System message put before each prompt."}
    )
    prompt_suffix: str | None = field(
        default=None, metadata={"help": "Text put after each prompt, exactly as written."}
    )
    views: Named | None = field(
        default=None,
        metadata={
            "help": "Other wordings of each prompt, sampled in the same batch, such as {column: "
            "{name: paraphrases}} (rl/data/views.py); each counts as one of num_prompts."
        },
    )
    max_prompt_length: StepsOrNone = field(
        default=0,
        metadata={
            "help": "Most tokens of a prompt, its chat template included; 0: what the context "
            "leaves beside max_completion_length."
        },
    )
    overlong_prompts: Literal["drop", "refuse"] = field(
        default="drop",
        metadata={"help": "Prompts longer than that are dropped with a count, or stop the run."},
    )
    answer_methods: Annotated[list[str], Field(min_length=1)] = field(
        default_factory=lambda: list(DEFAULT_METHODS),
        metadata={
            "help": "Where an answer is looked for, in order: boxed and final_answer_phrase, which "
            "are the default, or last_number (rl/answers/extraction.py); an extractor of your own "
            "as file.py:function."
        },
    )
    answer_comparer: str | dict[str, dict[str, Any] | None] | None = field(
        default=None,
        metadata={
            "help": "What tells equal answers: meaning, for answers in words, with settings as "
            "{meaning: {threshold: 0.8}}, or your own as file.py:function; none: ours."
        },
    )
    answer_choices: Letters | None = field(
        default=None,
        metadata={"help": "Letters of a multiple-choice task, such as ABCD; none for maths."},
    )
