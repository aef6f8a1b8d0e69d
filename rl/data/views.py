"""Views of a problem: its prompt in other wordings, all of which are sampled in one batch.

A view maker is a callable `(prompt, columns) -> [text, ...]`: of a prompt's text and the other
columns of its row it makes the other wordings, as many for every problem. It sees neither the
label's column nor those whose names say that they tell an answer. A run's `views` names one of
`VIEWS`, or a function or class of one's own as `file.py:name`. In a chat the text is that of the
last user message. System prompt and suffix are put to every wording alike.

Where a wording changes what an answer is called, as shuffled options do, the maker returns a `View`
that says how its answers are read. Wordings that the policy writes itself during training would be
another place where texts come from: what follows here needs texts and nothing else.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from string import ascii_uppercase
from typing import Any, NamedTuple, TypeAlias

from rl.data.chat_parts import MARK, asked_text, with_asked_text
from rl.data.option_order import listed_options, option_order, with_option_order
from rl.data.tables import Table, short_repr
from rl.errors import InputError, unknown_name
from rl.plugins import Contract, call_plugin, find
from rl.settings import Count, Seed, build, checked


class View(NamedTuple):
    """Another wording of a problem.

    Attributes:
        prompt: Its text.
        letters: Where it has options in another order: letter i of this text is what the i-th
            letter (A, B, ...) of this wording is called in the data set's own. Empty: as there.
    """

    prompt: str
    letters: str = ""


ViewMaker: TypeAlias = Callable[[str, Mapping[str, Any]], Sequence[str | View]]

VIEW_MAKER = Contract(takes=("prompt", "columns"))
# Labels, named as such or not, and what explains them: MMLU-Pro's `cot_content`, GPQA's notes.
_TELLS_ANSWERS = re.compile(
    r"answer|label|solution|decision|expla|rationale|reasoning|(?:^|_)(?:cot|gold)(?:_|$)",
    re.IGNORECASE,
)
_SLOT = "{prompt}"
_MAX_DRAWS = 64  # of two options each draw is the other order with probability 1/2


@checked
@dataclass(frozen=True, kw_only=True)
class Column:
    """Takes the other wordings from a column of the data: a text, or a list of texts.

    Attributes:
        name: The column's.
        num: How many of the texts are taken, the first ones; every row needs as many.

    Raises:
        InputError: If the name says that the column tells an answer.

    Example:
        >>> Column(name="other", num=1)("3+5=", {"other": ["3 plus 5 is", "add 3,5:"]})
        ['3 plus 5 is']
    """

    name: str
    num: Count = 1

    def __post_init__(self) -> None:
        if _TELLS_ANSWERS.search(self.name):
            raise InputError(
                f"views.column.name: got {self.name!r}, expected a name that does not speak of "
                "labels, answers or solutions, which no view may show. If it holds other wordings, "
                "rename it in the data."
            )

    def __call__(self, prompt: str, columns: Mapping[str, Any]) -> list[str]:
        """Return the first texts of the row's column."""
        if self.name not in columns:
            raise unknown_name("views.column.name", self.name, list(columns))
        value = columns[self.name]
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or len(texts) < self.num:
            raise InputError(
                f"column {self.name!r}: got {short_repr(value)}, expected {self.num} or more texts "
                "in a list. Fill the row, or lower views.column.num."
            )
        return texts[: self.num]


@dataclass(frozen=True)
class Template:
    """Puts the prompt into other words around it, such as a request to rephrase it first.

    Args:
        texts: One text for each other wording, with {prompt} where the prompt stands.

    Raises:
        InputError: If a text has no place for the prompt, or there is none.

    Example:
        >>> Template(texts=["Say it in your own words, then solve it: {prompt}"])("3+5=", {})
        ['Say it in your own words, then solve it: 3+5=']
    """

    texts: list[str]

    def __post_init__(self) -> None:
        for text in self.texts or [""]:
            if _SLOT not in text:
                raise InputError(
                    f"views.template.texts: got {text!r}, expected texts with {_SLOT} in them. Add "
                    "it where the prompt is to stand."
                )

    def __call__(self, prompt: str, columns: Mapping[str, Any]) -> list[str]:
        """Fill the prompt in."""
        return [text.replace(_SLOT, prompt) for text in self.texts]


@checked
@dataclass(frozen=True, kw_only=True)
class OptionShuffle:
    r"""Puts the options of a multiple choice into another order; answers are read back.

    Options are lines (`rl.data.option_order.listed_options`). The order depends on the prompt and
    the seed alone, and is never the data set's own where another is possible: "None of the above"
    stands last, and options that name others by letter keep all in their places.

    Attributes:
        num: How many other orders; they may be alike where there are few options.
        seed: Of the orders.

    Example:
        >>> OptionShuffle(seed=1)("Which is even?\nA. 3\nB. 4", {})
        [View(prompt='Which is even?\nA. 4\nB. 3', letters='BA')]
    """

    num: Count = 1
    seed: Seed = 0

    def __call__(self, prompt: str, columns: Mapping[str, Any]) -> list[View]:
        """Shuffle the options.

        Raises:
            InputError: If the prompt has no two options, or two of them have images.
        """
        texts = listed_options(prompt)
        if texts is None:
            raise InputError(
                f"views.option_shuffle: got the prompt {short_repr(' '.join(prompt.split()))}, "
                "expected two or more lines that begin with A., B. and so on. Take another view "
                "maker."
            )
        if sum(MARK in text for text in texts) > 1:
            raise InputError(
                f"views.option_shuffle: got options with {MARK} in them, expected texts, because "
                "the images of a prompt keep their order. Take another view maker."
            )
        rng = Random(f"{self.seed} {prompt}")
        orders = [_other_order(texts, rng) for _ in range(self.num)]
        return [
            View(with_option_order(prompt, order), "".join(ascii_uppercase[i] for i in order))
            for order in orders
        ]


VIEWS: dict[str, Callable[..., Any] | str] = {
    "column": Column,
    "template": Template,
    "option_shuffle": OptionShuffle,
}


def get_view_maker(views: Mapping[str, Mapping[str, Any] | None]) -> ViewMaker:
    """Build the view maker that a run's `views` names.

    Args:
        views: One name -> its settings.

    Raises:
        InputError: If it is not one, or the name or a setting is unknown or wrong.
    """
    if len(views) != 1:
        raise InputError(
            f"views: got {len(views)} names, expected one. Write `views: {{NAME: {{setting: "
            "value}}`."
        )
    [(name, settings)] = views.items()
    target = find(name, VIEWS, "views", contract=VIEW_MAKER)
    return build(f"views.{name}", target, settings or {}, filled_in=VIEW_MAKER.takes)


def other_views(
    table: Table, prompt_column: str, label_column: str | None, maker: ViewMaker
) -> list[list[tuple[Any, str]]]:
    """Make the other wordings of every row.

    Args:
        table: Columns of a source, its prompts checked.
        prompt_column: Column with the prompts: texts, or lists of messages.
        label_column: Column that the maker must not see, whatever its name.
        maker: Makes them.

    Returns:
        For each row, in order, its wordings: a text, or messages as in the row, and `View.letters`.

    Raises:
        InputError: If the maker raises, returns anything but texts, or not as many as for row 0.
    """
    others = [name for name in table if name not in (prompt_column, label_column)]
    names = [name for name in others if not _TELLS_ANSWERS.search(name)]
    found: list[list[tuple[Any, str]]] = []
    for row, prompt in enumerate(table[prompt_column]):
        where = f"views of row {row} (from 0)"
        columns = {name: table[name][row] for name in names}
        try:
            made = call_plugin("view maker", maker, asked_text(prompt), columns)
        except InputError as error:
            raise InputError(f"{where}, {error}") from error
        is_list = isinstance(made, list | tuple) and not isinstance(made, View)
        views = [View(view) if isinstance(view, str) else view for view in made] if is_list else []
        if not views or not all(isinstance(view, View) for view in views):
            raise InputError(
                f"{where}: got {short_repr(made)}, expected a list of texts, one or more. Mend "
                "what makes them."
            )
        if found and len(views) != len(found[0]):
            raise InputError(
                f"{where}: got {len(views)}, expected {len(found[0])} as of row 0. Make as many "
                "for every problem."
            )
        found.append([(with_asked_text(prompt, view.prompt), view.letters) for view in views])
    return found


def num_views(prompts: Any) -> int:
    """Return how many wordings each problem of a training set has, the data set's own among them.

    Args:
        prompts: As `rl.data.prompts.load_prompts` returns them: the wordings of a problem in turn.
    """
    has_views = "view" in (getattr(prompts, "column_names", None) or ())
    return prompts[-1]["view"] + 1 if has_views and len(prompts) else 1


def read_back(answer: str | None, letters: str) -> str | None:
    """Say what an answer to a wording with shuffled options is called in the data set's own.

    Args:
        answer: As it was extracted.
        letters: `View.letters`.

    Example:
        >>> read_back("A", "BA"), read_back("7", "BA"), read_back("A", ""), read_back(None, "BA")
        ('B', '7', 'A', None)
    """
    if answer is None or len(answer) != 1 or not 0 <= ord(answer) - ord("A") < len(letters):
        return answer
    return letters[ord(answer) - ord("A")]


def _other_order(texts: Sequence[str], rng: Random) -> list[int]:
    """Draw an order until it is another than the texts have; that one where there is no other."""
    drawn = (option_order(texts, rng) for _ in range(_MAX_DRAWS))
    own = list(range(len(texts)))
    return next((order for order in drawn if order != own), own)
