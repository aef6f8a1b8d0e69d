"""A benchmark that the evaluator knows as prompts to train on, put to the policy as it puts them.

Options, documents and images are where an evaluation has them, and options in the same order, so
that a problem that was trained on is the one that is evaluated. The labels go to `audit/` metrics.
"""

from typing import TYPE_CHECKING, Any

from rl.data.prompts import PromptSet, load_prompts
from rl.data.tables import Table
from rl.data.views import get_view_maker
from rl.errors import InputError
from rl.evaluation.problems.benchmark_spec import BenchmarkSpec
from rl.evaluation.problems.labelled import Reading, load_named, stated_questions
from rl.evaluation.problems.numbered_images import place_numbered_images
from rl.evaluation.problems.prompt_templates import apply_template
from rl.evaluation.problems.registry import BENCHMARKS, split_name
from rl.evaluation.problems.rows import Layout, Row, find_layout, read_rows

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig

DEFAULT_COLUMN = "prompt"  # the setting's own value: the benchmark knows its column


def is_benchmark(dataset: str) -> bool:
    """Tell whether a data set is named as a benchmark, `NAME` or `NAME=FILE`."""
    return split_name(dataset)[0] is not None


def load_benchmark_prompts(dataset: str, config: "LabelFreeConfig") -> PromptSet:
    """Load the problems of a benchmark as prompts.

    A system prompt or a suffix of the run stands around the bare problem, in place of the
    benchmark's own template. Columns that the run names count as in an evaluation; rows need no
    label, but for multiple choices that list their wrong options alone. Views may be made of the
    source's further columns, not of those whose names say that they tell an answer; a wording takes
    the place of the whole text, template and options included.

    Args:
        dataset: `NAME`, or `NAME=FILE` for a local copy.
        config: Settings of the run; labels are kept where it has a label_column.

    Raises:
        InputError: If the source cannot be read, a row is incomplete, or the problems are multiple
            choices whose letters answer_choices lacks.
    """
    name, _ = split_name(dataset)
    assert name is not None
    spec = BENCHMARKS[name]
    reading: Reading = {"split": config.dataset_split, "config_name": config.dataset_config_name}
    source = load_named(dataset, reading)
    layout = find_layout(
        source.table,
        spec,
        prompt_column=None if config.prompt_column == DEFAULT_COLUMN else config.prompt_column,
        label_column=config.label_column,
        options_column=None,
        kind=None,
        image_column=config.image_column,
        needs_labels=False,
    )
    rows = read_rows(source.table, layout)
    placed, rows, layout = place_numbered_images(source.table, rows, layout)
    _check_letters(name, rows, config.answer_choices)
    words: Any = {"system_prompt": config.system_prompt, "prompt_suffix": config.prompt_suffix}
    template = spec.template if set(words.values()) == {None} else None
    asked = stated_questions(rows, template)
    if template is not None:
        asked = [
            apply_template(template, question, row.letters, name, row.documents)
            for question, row in zip(asked, rows, strict=True)
        ]
    table: Table = {**_other_columns(placed, layout, spec), "prompt": asked}
    if layout.image_column:
        table["images"] = placed[layout.image_column]
    if config.label_column is not None:
        table["label"] = [row.label for row in rows]
    return load_prompts(
        source.place,
        label_column=None if config.label_column is None else "label",
        image_column="images" if layout.image_column else "",
        views=None if config.views is None else get_view_maker(config.views),
        table=table,
        **words,
    )


def _check_letters(name: str, rows: list[Row], choices: str | None) -> None:
    """Check that the letters of every problem are answers; a set may have problems without."""
    letters = [row.letters for row in rows]
    needed = max((own for own in letters if own is not None), key=len, default="")
    is_mixed = choices is None and None in letters
    if needed and not is_mixed and not set(needed) <= set(choices or ""):
        raise InputError(
            f"answer_choices: got {choices or 'none'} for {name}, whose problems have options up "
            f"to {needed[-1]}, expected their letters. Set answer_choices: {needed}."
        )


def _other_columns(table: Table, layout: Layout, spec: BenchmarkSpec) -> Table:
    """Columns that views may be made of, without those whose meaning the benchmark knows."""
    hidden = {layout.label_column, spec.label_column, layout.aliases_column}
    hidden |= {layout.prompt_column, layout.image_column, *layout.options_columns}
    hidden |= {*layout.numbered_images.values()}
    return {name: cells for name, cells in table.items() if name not in hidden}
