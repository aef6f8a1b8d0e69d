"""What is known of a benchmark: where it is, how its rows are read, how a problem is put."""

from dataclasses import dataclass

from rl.evaluation.problems.choices import LabelIs


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """A named benchmark.

    Attributes:
        hub_id: Dataset on the hub.
        config_name: Its configuration, None for the only one.
        split: Its split.
        prompt_column: Column with the problem.
        label_column: Column with the answer.
        id_column: Column that names the problems, None for the row's number.
        options_columns: Columns of a choice's options: one with a list of them, or several that
            hold the wrong ones, to which the label is added.
        shuffles_options: Whether each problem's options are shuffled, by a seed of its own.
        label_is: What a label says of the right option; None: its letter or its text.
        question_ends_at: Words with which a question that repeats its options begins to; they and
            what follows are left out. None for none.
        documents_column: Column with what a question is about, None where it stands by itself.
        aliases_column: Column with further accepted answers.
        strata_columns: Columns by whose values results are reported as well.
        strata_of_id: Regular expression whose named groups in a problem's id are such values too.
        image_columns: Names of the column with the problem's images in copies of it, an image or a
            list; the first one that a table has counts.
        numbered_images: Names of the columns of a row's images, `{}` for the number by which its
            texts name them (`rl.evaluation.problems.numbered_images`); None: not numbered.
        lists_are_text: Whether options, or several right answers, are lists written as text.
        kept_rows: Column and value of the rows that belong to it, of a table that has the column.
        revision: Commit of the dataset that is read unless another is named; None: its newest.
        size: Number of problems.
        kind: How a row is read: a key of `rl.evaluation.problems.kinds.KINDS`.
        template: Prompt template it is put with unless another is named.
        is_gated: Whether the hub asks for an account that accepted its terms.
        note: What one should know about it.
    """

    hub_id: str
    config_name: str | None = None
    split: str = "test"
    prompt_column: str = "problem"
    label_column: str = "answer"
    id_column: str | None = None
    options_columns: tuple[str, ...] = ()
    shuffles_options: bool = False
    label_is: LabelIs | None = None
    question_ends_at: str | None = None
    documents_column: str | None = None
    aliases_column: str | None = None
    strata_columns: tuple[str, ...] = ()
    strata_of_id: str | None = None
    image_columns: tuple[str, ...] = ()
    numbered_images: str | None = None
    lists_are_text: bool = False
    kept_rows: tuple[tuple[str, str], ...] = ()
    revision: str | None = None
    size: int
    kind: str = "maths"
    template: str = "qwen25-math-cot"
    is_gated: bool = False
    note: str = ""
