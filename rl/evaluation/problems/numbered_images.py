"""Images in columns of their own that texts name by number: `<image 2>` means column image_2.

MMMU has its images so, up to seven a row, named in questions and in options. Where options are
shuffled an image stays with the option that names it, because images are put in the order in which
the text names them when the options have theirs.

Source: MMMU-Benchmark/MMMU at 40b550c, mmmu-pro/infer/infer_transformers.py: an image is shown
wherever it is named, and not where it is not. Differs: images stand in the places of their names,
where that code puts all behind the text; of a text that names none, all stand before it.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rl.data.chat_parts import MARK
from rl.data.tables import Table
from rl.errors import InputError
from rl.evaluation.problems.kinds import Row
from rl.evaluation.problems.rows import Layout

COLUMN = "images"  # of a row's images in the order of their places
_NAME = re.compile(r"<image\s+(\d{1,2})>")


def place_numbered_images(
    table: Table, rows: Sequence[Row], layout: Layout
) -> tuple[Table, list[Row], Layout]:
    """Turn names of images in questions and options into places, and put the images in order.

    Args:
        table: Columns of a source.
        rows: Its rows as `rl.evaluation.problems.rows.read_rows` read them, options in order.
        layout: What the columns mean.

    Returns:
        The table with a column `images`, the rows with `<image>` for each name, and the layout with
        that column; all as they were where images are not numbered.

    Raises:
        InputError: If a text names an image that its row does not have.
    """
    columns = layout.numbered_images
    if not columns:
        return table, list(rows), layout
    placed, images = [], []
    for number, row in enumerate(rows):
        given = {i: table[column][number] for i, column in columns.items()}
        given = {i: image for i, image in given.items() if image not in (None, "")}
        is_text = isinstance(row.question, str)
        named = [int(name) for name in _NAME.findall(row.question)] if is_text else []
        if missing := [i for i in named if i not in given]:
            raise InputError(
                f"images of row {number} (from 0): got none for <image {missing[0]}> in the text, "
                f"expected one in its column. Fill the row, or remove it."
            )
        images.append([given[i] for i in named] if named else list[Any](given.values()))
        placed.append(replace(row, question=_NAME.sub(MARK, row.question)) if named else row)
    return {**table, COLUMN: images}, placed, replace(layout, image_column=COLUMN)
