"""Labelled problems, read from a file or the hub: what an evaluation samples and grades."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, Unpack

from datasets import Dataset

from rl.data.images import PromptImage
from rl.data.prompt_rows import Prompt, with_images
from rl.data.prompts import prompts_of
from rl.data.row_images import RowImages
from rl.errors import InputError
from rl.evaluation.problems.kinds import CHOICE_KINDS, DOCUMENT_KINDS
from rl.evaluation.problems.numbered_images import place_numbered_images
from rl.evaluation.problems.problem_images import read_problem_images
from rl.evaluation.problems.prompt_templates import apply_template, find_template, with_documents
from rl.evaluation.problems.registry import BENCHMARKS, check_name, short_name, split_name
from rl.evaluation.problems.rows import (
    Row,
    find_layout,
    image_column_if_there,
    kept_rows,
    read_rows,
    with_lists,
)
from rl.evaluation.problems.sources import Source, load_source

_COLUMNS = ("prompt_column", "label_column", "options_column", "documents_column", "kind")
_COLUMNS += ("image_column",)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One prompt with its label.

    Attributes:
        id: Names the problem within its benchmark.
        prompt: Text, or chat messages; messages of parts in a benchmark with images.
        label: The right answer, plain or LaTeX; the letter of a multiple choice.
        choices: Letters of a multiple choice, such as "ABCD"; None for any other problem.
        question: The problem as the source states it, without documents and the words of a template
            or a system prompt, `<image>` where it says that an image stands; None where the source
            gives messages.
        aliases: Further right answers, where the problem's rule knows several.
        rule: Key of `rl.evaluation.rules.RULES`; None for maths and multiple choices.
        strata: Groups of problems it is reported with, such as {"length": "short"}.
        images: In the order of their places in the prompt, which is messages of parts then
            (`rl.data.chat_parts`).
        documents: What the question is about; None for nothing.
    """

    id: str
    prompt: Prompt
    label: str
    choices: str | None = None
    question: str | None = field(default=None, compare=False)
    aliases: tuple[str, ...] = ()
    rule: str | None = None
    strata: Mapping[str, str] = field(default_factory=dict)
    images: tuple[PromptImage, ...] = ()
    documents: str | None = field(default=None, compare=False)

    @property
    def image_digests(self) -> tuple[str, ...]:
        """Names of the images, in order."""
        return tuple(image.digest for image in self.images)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The problems of one source and how they were read.

    Attributes:
        problems: At least one.
        prompt_column: Column of the prompts.
        label_column: Column of the labels.
        name: What its results are filed under.
        place: The file or the hub id.
        revision: Commit of the hub dataset, None if it is not known or a file.
        fingerprint: The `datasets` library's hash of what it loaded, None for a file.
        template: Prompt template, None where the prompts are put as they are.
        expected_size: Number of problems a named benchmark has, None for any other.
    """

    problems: list[Problem]
    prompt_column: str
    label_column: str
    name: str = ""
    place: str = ""
    revision: str | None = None
    fingerprint: str | None = None
    template: str | None = None
    expected_size: int | None = None


class Reading(TypedDict, total=False):
    """How a source is read; everything may be left out.

    Attributes:
        split: Split of a hub dataset; None takes the named benchmark's, or "test".
        config_name: Configuration of a hub dataset; None takes the named benchmark's.
        revision: Branch, tag or commit of a hub dataset; None takes the named benchmark's, or else
            the newest.
        prompt_column: Column with the prompt; None takes the named benchmark's if it is there, or
            else `prompt`, `problem` or `question`, in any letter case.
        label_column: Column with the label; None takes the named benchmark's if it is there, or
            else `label`, `answer` or `final_answer`.
        options_column: Column with the list of a multiple choice's options.
        documents_column: Column with what a question is about, for the kinds that have documents;
            None takes the named benchmark's, or else `context`, `documents`, `paragraphs` or
            `wiki_items`.
        image_column: Column with the problem's image or images; None takes the named benchmark's,
            or `images` or `image`, where there is one; an empty text takes none.
        must_have_image_column: Whether a source without the column named so is refused; True if
            left out. False reads it as if none were named.
        allow_remote_images: Whether links to images are fetched; False if left out.
        needs_labels: Whether a row without a label is refused; True if left out. A multiple choice
            that lists its wrong options alone needs one.
        kind: A key of `rl.evaluation.problems.kinds.KINDS`; None takes the named benchmark's, or
            "choice" with an `options_column`, or "maths".
        option_seed: Seed of the order of options, for benchmarks that shuffle them; 0 if left out.
    """

    split: str | None
    config_name: str | None
    revision: str | None
    prompt_column: str | None
    label_column: str | None
    options_column: str | None
    documents_column: str | None
    image_column: str | None
    must_have_image_column: bool
    allow_remote_images: bool
    needs_labels: bool
    kind: str | None
    option_seed: int


def load_benchmark(
    name_or_path: str,
    *,
    template: str | None = None,
    system_prompt: str | None = None,
    prompt_suffix: str | None = None,
    **reading: Unpack[Reading],
) -> Benchmark:
    """Load labelled problems.

    A problem's id is its value in the benchmark's own column, or else in `id` or `unique_id`, where
    those values are unique, and its row, from 0, otherwise.

    Args:
        name_or_path: A name of `rl.evaluation.problems.registry`, `NAME=FILE` for a local copy of
            one, a .jsonl, .json, .csv (also .gz) or .parquet file, a folder or a hub id.
        template: A name of `rl.evaluation.problems.prompt_templates`; None puts the problem as it
            is, after `system_prompt` and before `prompt_suffix`.
        system_prompt: As for `rl.data.prompts.load_prompts`; not with a template.
        prompt_suffix: As for `rl.data.prompts.load_prompts`; not with a template.
        reading: See `Reading`.

    Raises:
        InputError: If the source cannot be read, a column is missing, or a row lacks a prompt or a
            label, or has an image that cannot be read: an evaluation drops none.
    """
    name, _ = split_name(name_or_path)
    spec = BENCHMARKS[name] if name else None
    source = load_named(name_or_path, reading)
    columns = {key: reading.get(key) for key in _COLUMNS}
    if not reading.get("must_have_image_column", True):
        columns["image_column"] = image_column_if_there(source.table, columns["image_column"])
    layout = find_layout(
        source.table, spec, **columns, needs_labels=reading.get("needs_labels", True)
    )
    if template is not None:
        _check_template(template, layout.kind, system_prompt, prompt_suffix)
    rows = read_rows(source.table, layout, reading.get("option_seed", 0))
    table, rows, layout = place_numbered_images(source.table, rows, layout)
    allow_remote = reading.get("allow_remote_images", False)
    images = read_problem_images(table, layout, source.place, allow_remote)
    problems = _put(rows, images, layout.prompt_column, template, system_prompt, prompt_suffix)
    return Benchmark(
        problems=problems,
        prompt_column=layout.prompt_column,
        label_column=layout.label_column,
        name=short_name(name_or_path),
        place=source.place,
        revision=source.revision,
        fingerprint=source.fingerprint,
        template=template,
        expected_size=spec.size if spec else None,
    )


def unlabelled_problems(prompts: Dataset, allow_remote_images: bool = False) -> list[Problem]:
    """Turn prompts that `rl.data.prompts.load_prompts` returned into problems with empty labels.

    Raises:
        InputError: If an image cannot be read.
    """
    images = RowImages(prompts, allow_remote_images) if "images" in prompts.column_names else None
    return [
        Problem(
            id=str(row),
            # Arrow fills records up: an image's part has a text of None.
            prompt=prompt if images is None else with_images(prompt, 0),
            label="",
            images=images.of_row(row) if images else (),
        )
        for row, prompt in zip(prompts["row"], prompts["prompt"], strict=True)
    ]


def _put(
    rows: list[Row],
    images: list[tuple[PromptImage, ...]] | None,
    column: str,
    template: str | None,
    system_prompt: str | None,
    prompt_suffix: str | None,
) -> list[Problem]:
    """Turn what a source states into what a model is asked; `images` None: no row has any."""
    of_rows = images or [()] * len(rows)
    prompts = prompts_of(
        {column: stated_questions(rows, template)},
        column,
        system_prompt=system_prompt,
        prompt_suffix=prompt_suffix,
        num_images=None if images is None or template is not None else list(map(len, images)),
    )
    if template is not None:
        prompts = [
            apply_template(template, prompt, row.letters, column, row.documents)
            for prompt, row in zip(prompts, rows, strict=True)
        ]
        if images is not None:
            prompts = [
                with_images(prompt, len(of_row), column)
                for prompt, of_row in zip(prompts, of_rows, strict=True)
            ]
    return [
        Problem(
            id=row.id,
            prompt=prompt,
            label=row.label,
            choices=row.letters,
            question=row.question if isinstance(row.question, str) else None,
            aliases=row.aliases,
            rule=row.rule,
            strata=row.strata,
            images=of_row,
            documents=row.documents,
        )
        for prompt, row, of_row in zip(prompts, rows, of_rows, strict=True)
    ]


def stated_questions(rows: list[Row], template: str | None) -> list[Any]:
    """Return what each row asks: its documents before it where no template places them."""
    return [
        row.question
        if template or row.documents is None
        else with_documents(row.question, row.documents)
        for row in rows
    ]


def load_named(name_or_path: str, reading: Reading) -> Source:
    """Load the rows of a benchmark that is named, or of a file or hub dataset."""
    name, path = split_name(name_or_path)
    spec = BENCHMARKS[name] if name else None
    if name is None:
        check_name(name_or_path)
    source = load_source(
        path or (spec.hub_id if spec else name_or_path),
        split=reading.get("split") or (spec.split if spec else "test"),
        config_name=reading.get("config_name") or (spec.config_name if spec else None),
        revision=reading.get("revision") or (spec.revision if spec and path is None else None),
        local_way=f"pass {name}=FILE with its .jsonl, .json, .csv or .parquet file"
        if name
        else None,
    )
    return replace(source, table=with_lists(kept_rows(source.table, spec), spec))


def default_template(name_or_path: str) -> str | None:
    """Return the template a named benchmark is put with, None for any other source."""
    name, _ = split_name(name_or_path)
    return BENCHMARKS[name].template if name else None


def _check_template(
    template: str, kind: str, system_prompt: str | None, prompt_suffix: str | None
) -> None:
    if system_prompt is not None or prompt_suffix is not None:
        raise InputError(
            f"--template: got {template!r} beside a system prompt or a suffix, expected one or the "
            "other. Leave --template out to put your own words around the problem."
        )
    found = find_template(template)
    for asks, has_it, what in (
        (
            found.for_choices,
            kind in CHOICE_KINDS,
            "asks for a letter, for problems without options",
        ),
        (found.for_documents, kind in DOCUMENT_KINDS, "shows documents, for problems without any"),
    ):
        if asks and not has_it:
            raise InputError(
                f"--template: got {template!r}, which {what}, expected a template of another kind. "
                "Name another one."
            )
