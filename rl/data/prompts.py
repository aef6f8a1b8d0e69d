"""Prompts, read from files or the hub; a label, if there is one, is split off here."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from datasets import Dataset, concatenate_datasets
from jinja2 import TemplateError

from rl.data.chat_parts import in_parts
from rl.data.prompt_rows import (
    Prompt,
    checked_messages,
    checked_text,
    with_images,
    with_suffix,
    with_system_prompt,
)
from rl.data.row_images import images_of_rows, stored
from rl.data.tables import Table, load_table, short_repr
from rl.data.views import ViewMaker, other_views
from rl.errors import InputError, unknown_name

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class PromptSet:
    """The prompts of a source and, apart from them, its labels.

    Attributes:
        dataset: Exactly the columns `prompt` (text, or messages where the source is chat, has
            images, or a system prompt is given) and `row` (position in the source, from 0). With
            views, all wordings of a row in turn, and two more columns: `view` (number of the
            wording, 0 is the source's) and `letters` (`rl.data.views.View`). With images one more:
            `images`, as the source has them, neither decoded nor checked (`rl.data.row_images`).
        labels: Row -> label of the rows that have one; None where no label column was named. They
            never travel with the prompts, so that no reward can see them.
    """

    dataset: Dataset
    labels: dict[int, str] | None


def load_prompts(
    dataset: str,
    *,
    split: str = "train",
    config_name: str | None = None,
    prompt_column: str = "prompt",
    label_column: str | None = None,
    image_column: str | None = None,
    system_prompt: str | None = None,
    prompt_suffix: str | None = None,
    views: ViewMaker | None = None,
    table: Table | None = None,
) -> PromptSet:
    """Load prompts and keep the labels, if a column of them is named, apart.

    Args:
        dataset: A .jsonl, .json, .csv (also .gz) or .parquet file, a folder or a hub id.
        split: Split of a hub dataset; a file has none.
        config_name: Configuration of a hub dataset.
        prompt_column: Column with the prompt: text, or a list of chat messages.
        label_column: Column with the label; numbers become text.
        image_column: Column with the prompt's image or images; None: `images` or `image`, if there
            is one; an empty text: none. They stand before the first user message's text, or in the
            places that the messages have for them.
        system_prompt: System message put before each prompt; turns plain text into chat messages.
            An empty string gives the user message alone.
        prompt_suffix: Put after the prompt's text exactly as written; in a chat, after the last
            user message.
        views: Makes other wordings of each prompt.
        table: What was read from there, if it was; None: it is read.

    Returns:
        One prompt per row, in the source's order, each followed by its other wordings.

    Raises:
        InputError: If the source cannot be read, is empty, lacks a column, or a prompt is neither
            text nor messages, is empty, or has not as many images as places for them.
    """
    if table is None:
        table = load_table(dataset, split=split, config_name=config_name)
    images = images_of_rows(table, prompt_column, image_column)
    words: Any = {"system_prompt": system_prompt, "prompt_suffix": prompt_suffix}
    words["num_images"] = None if images is None else list(map(len, images))
    prompts = prompts_of(table, prompt_column, **words)
    labels = _labels_by_row(table, prompt_column, label_column)
    if views is None:
        columns = {"prompt": prompts, "row": range(len(prompts))}
    else:
        others = other_views(table, prompt_column, label_column, views)
        columns = _with_views(prompts, others, words)
    if images is not None:
        as_stored = [
            stored(of_row, dataset, f"images of row {i}") for i, of_row in enumerate(images)
        ]
        columns["images"] = [as_stored[row] for row in columns["row"]]
    return PromptSet(dataset=Dataset.from_dict(columns), labels=labels)


def _labels_by_row(
    table: Table, prompt_column: str, label_column: str | None
) -> dict[int, str] | None:
    if label_column is None:
        return None
    if label_column == prompt_column:
        raise InputError(
            f"label_column: got {label_column!r}, expected another column than the prompt's. Name "
            "the column with the label, or none."
        )
    texts = enumerate(labels_of(table, label_column))
    return {row: text for row, text in texts if text is not None}


def join_prompts(parts: Sequence[PromptSet]) -> PromptSet:
    """Put the prompts of several sources behind each other.

    Args:
        parts: At least one.

    Returns:
        A single one as it is. Of several, rows are counted on, and a further column `part` has the
        number of the source, from 0.

    Raises:
        InputError: If some are text and some are messages.
    """
    if len(parts) == 1:
        return parts[0]
    parts = _all_with_images(parts)
    if len({isinstance(part.dataset[0]["prompt"], str) for part in parts}) > 1:
        raise InputError(
            "dataset: got prompts that are text in one file and messages in another, expected one "
            "kind. Write all prompts as text or all as messages, or set system_prompt."
        )
    start, joined, labels = 0, [], {}
    for number, part in enumerate(parts):
        rows = [start + row for row in part.dataset["row"]]
        columns = {name: part.dataset[name][:] for name in part.dataset.column_names}
        joined.append(Dataset.from_dict({**columns, "row": rows, "part": [number] * len(rows)}))
        labels |= {start + row: label for row, label in (part.labels or {}).items()}
        start = rows[-1] + 1
    has_labels = parts[0].labels is not None
    return PromptSet(dataset=concatenate_datasets(joined), labels=labels if has_labels else None)


def _all_with_images(parts: Sequence[PromptSet]) -> Sequence[PromptSet]:
    """Give those without images the form of the others, if there are such."""
    if not any("images" in part.dataset.column_names for part in parts):
        return parts
    alike = []
    for part in parts:
        data = part.dataset
        if "images" not in data.column_names:
            columns = {name: data[name][:] for name in data.column_names}
            columns["prompt"] = [with_images(prompt, 0) for prompt in columns["prompt"]]
            data = Dataset.from_dict({**columns, "images": [[] for _ in range(len(data))]})
        alike.append(PromptSet(dataset=data, labels=part.labels))
    return alike


def _with_views(
    prompts: Sequence[Prompt], others: Sequence[Sequence[tuple[Any, str]]], words: Mapping[str, Any]
) -> dict[str, list[Any]]:
    """Put the other wordings behind each prompt."""
    wordings = [list(prompts)]
    for number in range(len(others[0])):
        name = f"view {number + 1}"
        wordings.append(prompts_of({name: [views[number][0] for views in others]}, name, **words))
    letters = [["", *(own for _, own in views)] for views in others]
    rows = range(len(prompts))
    return {
        "prompt": [wording[row] for row in rows for wording in wordings],
        "row": [row for row in rows for _ in wordings],
        "view": [view for _ in rows for view in range(len(wordings))],
        "letters": [own for of_row in letters for own in of_row],
    }


def prompts_of(
    table: Table,
    column: str,
    *,
    system_prompt: str | None = None,
    prompt_suffix: str | None = None,
    num_images: Sequence[int] | None = None,
) -> list[Prompt]:
    """Return the prompts of a table, with the system prompt, the suffix and images in place.

    Args:
        table: Columns of a source, as `load_table` returns them.
        column: The prompts' column.
        system_prompt: As for `load_prompts`.
        prompt_suffix: As for `load_prompts`.
        num_images: Of each row, as `images_of_rows` found them, where some row has one; then all
            prompts become messages of parts.

    Raises:
        InputError: If there is no such column or a row does not hold a prompt.
    """
    prompts: list[Prompt] = []
    for row, value in enumerate(_column(table, column, "prompt_column")):
        where = f"prompt in row {row} (from 0), column {column!r}"
        prompt = (
            checked_messages(value, where)
            if isinstance(value, list)
            else checked_text(value, where)
        )
        if system_prompt is not None:
            prompt = with_system_prompt(prompt, system_prompt, where)
        if num_images is not None:
            prompt = with_images(prompt, num_images[row], where)
        if prompts and isinstance(prompt, str) != isinstance(prompts[0], str):
            raise InputError(
                f"{where}: got {'text' if isinstance(prompt, str) else 'messages'}, expected the "
                "same kind as in row 0. Write all prompts as text or all as messages."
            )
        prompts.append(with_suffix(prompt, prompt_suffix, where) if prompt_suffix else prompt)
    return prompts


def labels_of(table: Table, column: str) -> list[str | None]:
    """Return the labels of a table as text, None where a row has none (null, NaN or empty).

    A list of one label stands for that label.

    Args:
        table: Columns of a source, as `load_table` returns them.
        column: The labels' column.

    Raises:
        InputError: If there is no such column or a label is neither text nor a number.
    """
    return [
        _label(value, f"label in row {row} (from 0), column {column!r}")
        for row, value in enumerate(_column(table, column, "label_column"))
    ]


def render_prompt(
    prompt: Prompt,
    tokenizer: "PreTrainedTokenizerBase",
    template_arguments: Mapping[str, Any] | None = None,
) -> str:
    """Return the text the policy continues: messages through the chat template, text as it is.

    Args:
        prompt: Text or chat messages.
        tokenizer: The policy's.
        template_arguments: What the chat template is given beside the messages.

    Raises:
        InputError: If the prompt is a chat and the tokenizer has no chat template.
    """
    if isinstance(prompt, str):
        return prompt
    if tokenizer.chat_template is None:
        raise InputError(
            "chat template: got none in the model's tokenizer, expected one because the prompts "
            "are chat messages. Use plain-text prompts and no system_prompt."
        )
    if not _reads_plain_contents(tokenizer):
        prompt = [{**message, "content": in_parts(message["content"])} for message in prompt]
    rendered = tokenizer.apply_chat_template(
        prompt, add_generation_prompt=True, tokenize=False, **(template_arguments or {})
    )
    return str(rendered)


def tokenize_prompt(
    prompt: Prompt,
    tokenizer: "PreTrainedTokenizerBase",
    template_arguments: Mapping[str, Any] | None = None,
) -> list[int]:
    """Return the prompt's token ids, the same ones TRL's `GRPOTrainer` feeds to the policy.

    A chat template writes its special tokens itself; plain text gets the tokenizer's own.
    """
    rendered = render_prompt(prompt, tokenizer, template_arguments)
    return tokenize_rendered([rendered], isinstance(prompt, str), tokenizer)[0]


def tokenize_rendered(
    rendered: Sequence[str], is_text: bool, tokenizer: "PreTrainedTokenizerBase"
) -> list[list[int]]:
    """Return the token ids of rendered prompts, all at once, as `tokenize_prompt` does of one.

    Args:
        rendered: What `render_prompt` returned.
        is_text: Whether the prompts are plain text, not chat messages.
        tokenizer: The policy's.
    """
    return tokenizer(list(rendered), add_special_tokens=is_text)["input_ids"]  # type: ignore[return-value]


def prompt_id(rendered: str, image_digests: Sequence[str] = ()) -> str:
    """Hash a rendered prompt: the first 16 hex digits of SHA-256 over its UTF-8 text.

    Args:
        rendered: What `render_prompt` returned.
        image_digests: Of the prompt's images, in order; they are hashed behind the text.

    Example:
        >>> prompt_id(""), prompt_id("", ["e3b0c44298fc1c14"])
        ('e3b0c44298fc1c14', '7d4f247dab91f5fa')
    """
    parts = [rendered, *image_digests]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _reads_plain_contents(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Whether a chat template writes contents that are plain text; some look for parts alone."""
    return _writes_plain_contents(tokenizer, str(tokenizer.chat_template))


@lru_cache(maxsize=8)
def _writes_plain_contents(tokenizer: Any, template: str) -> bool:
    word = "9d1f4b"
    try:
        probe = [{"role": "user", "content": word}]
        return word in tokenizer.apply_chat_template(probe, tokenize=False, chat_template=template)
    except (TemplateError, TypeError):
        return False


def _column(table: Table, name: str, setting: str) -> Sequence[Any]:
    if name not in table:
        raise unknown_name(setting, name, list(table))
    return table[name]


def _label(value: Any, where: str) -> str | None:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or (isinstance(value, float) and math.isnan(value)) or value == "":
        return None
    if not isinstance(value, str | int | float):
        raise InputError(
            f"{where}: got {short_repr(value)}, expected text or a number. Correct the row or name "
            "another column."
        )
    return str(value)
