r"""Other keys that an answer may stand for, which only the other answers of its prompt can tell.

`50\%` is 1/2, and it is 50 where the prompt asks "what percent"; `x=1, y=2` is the pair (1,2), and
where only values are asked for it is `1, 2`. Such keys stay apart by themselves: what one of them
stands for is looked up among the answers of the group.
"""

import re
from collections.abc import Collection, Sequence
from fractions import Fraction

from rl.answers.keys import AnswerKey, answer_key, approximate_value
from rl.answers.text import clean_answer

_ONE = AnswerKey("number", Fraction(1))
_DECIMAL_COMMA = re.compile(r"-?\d+,\d{2,}")


def other_reading(
    key: AnswerKey, spellings: Sequence[str], others: Collection[AnswerKey]
) -> tuple[int, AnswerKey] | None:
    r"""Find the key that this key stands for among the keys of the same prompt.

    A percentage stands for its hundredth, else for the bare number; `1011_2` for 1011; named values
    for a tuple in order of their names, else for the list; an equation such as
    `\frac{x}{y} = 2`, constant on the right, for that constant; `3:2` for 3/2; `1,25`, if it is
    never spelled with a space, for 1.25; `\approx 3.14` for 3.14, else for the only value that
    rounds to it.

    Args:
        key: The key of an answer.
        spellings: The answers that have it, as extracted.
        others: Keys of the prompt's answers.

    Returns:
        The rank of the reading, 0 for the most literal one, and the key among `others`; None if no
        reading occurs.

    Example:
        >>> half, fifty = answer_key("1/2"), answer_key("50")
        >>> other_reading(answer_key("50%"), ["50%"], [fifty, half])[1] == half
        True
    """
    readings = _readings(key, spellings)
    for rank, reading in enumerate(readings):
        if reading in others:
            return rank, reading
    if key.kind == "rounded":
        exact = [other for other in others if _rounds_to(other, key)]
        return (len(readings), exact[0]) if len(exact) == 1 else None
    return None


def _readings(key: AnswerKey, spellings: Sequence[str]) -> tuple[AnswerKey, ...]:
    content = key.content
    if key.kind == "percent" and isinstance(content, Fraction):
        return (AnswerKey("number", content / 100), AnswerKey("number", content))
    if key.kind == "based" and isinstance(content, tuple):
        return (AnswerKey("number", Fraction(content[0])),)
    if key.kind == "ratio" and isinstance(content, tuple) and len(content) == 2:
        return content[:1] if content[1] == _ONE else ()
    if key.kind == "rounded" and isinstance(content, tuple):
        return (AnswerKey("number", content[0]),)
    if key.kind == "named" and isinstance(content, tuple):
        values = tuple(value for _, value in content)
        is_list = len(set(values)) == len(values)
        listed = (AnswerKey("set", frozenset(values)),) if is_list else ()
        return (AnswerKey("()", values), *listed)
    if key.kind == "equation":
        left, _, right = clean_answer(spellings[0]).partition("=")
        value = answer_key(right)
        is_constant = approximate_value(value) is not None
        return (value,) if is_constant and not re.search(r"\d", left) else ()
    if key.kind == "set":
        texts = [clean_answer(spelling) for spelling in spellings]
        if all(_DECIMAL_COMMA.fullmatch(text) for text in texts):
            return (AnswerKey("number", Fraction(texts[0].replace(",", "."))),)
    return ()


def _rounds_to(key: AnswerKey, rounded: AnswerKey) -> bool:
    if not isinstance(rounded.content, tuple):
        return False
    decimal, num_decimals = rounded.content
    value = approximate_value(key)
    return value is not None and abs(value - complex(decimal)) <= 0.5 * 10.0**-num_decimals
