"""A benchmark that the evaluator knows as prompts to train on, put to the policy as it puts them.

Options, documents and images are where an evaluation has them, and options in the same order, so
that a problem that was trained on is the one that is evaluated. The labels go to `audit/` metrics.
"""

from typing import TYPE_CHECKING, Any

from rl.data.prompts import PromptSet, load_prompts
from rl.data.tables import Table
from rl.data.views import get_view_maker
from rl.errors import InputError
from rl.evaluation.problems.labelled import Reading, load_named, stated_questions
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
    benchmark's own template. Columns that the run names count as in an evaluation.

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
    )
    rows = read_rows(source.table, layout)
    _check_letters(name, rows, config.answer_choices)
    words: Any = {"system_prompt": config.system_prompt, "prompt_suffix": config.prompt_suffix}
    template = spec.template if set(words.values()) == {None} else None
    asked = stated_questions(rows, template)
    if template is not None:
        asked = [
            apply_template(template, question, row.letters, name, row.documents)
            for question, row in zip(asked, rows, strict=True)
        ]
    images = _images(source.table, layout, len(rows))
    return load_prompts(
        source.place,
        label_column=None if config.label_column is None else "label",
        image_column="images" if images else "",
        views=None if config.views is None else get_view_maker(config.views),
        table={"prompt": asked, "label": [row.label for row in rows], **images},
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


def _images(table: Table, layout: Layout, num_rows: int) -> dict[str, list[list[object]]]:
    """The column `images` of a set that has images, a list a row; nothing for any other."""
    if not layout.image_columns:
        return {}
    found: list[list[object]] = [[] for _ in range(num_rows)]
    for column in layout.image_columns:
        for of_row, cell in zip(found, table[column], strict=True):
            cells = cell if isinstance(cell, list | tuple) else [cell]
            of_row += [image for image in cells if image is not None]
    return {"images": found}
