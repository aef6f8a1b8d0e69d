"""Chat messages whose content is parts, text and images in turn, beside those of plain text.

A part is {"type": "text", "text": ...} or {"type": "image"}, as chat templates of vision-language
models read them; in a data set an image's part may hold the image too, under "image", "url" or
"path".
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

Part: TypeAlias = dict[str, Any]
# A message's content: plain text, or its parts.
Content: TypeAlias = str | list[Part]
# In place of the row of a data set whose images a prompt has places for: it has none.
NO_IMAGES = -1


# Where an image stands in a text, in data sets that have no parts.
MARK = "<image>"


def text_of(content: Any) -> str:
    """Return a content's text; what stands between images is joined.

    Example:
        >>> text_of("3+5="), text_of([{"type": "image"}, {"type": "text", "text": "How many?"}])
        ('3+5=', 'How many?')
    """
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def with_text(content: Any, text: str) -> Any:
    """Put another text in a content's place; its images stay, those before it before it.

    Example:
        >>> with_text([{"type": "image"}, {"type": "text", "text": "How many?"}], "Count.")
        [{'type': 'image'}, {'type': 'text', 'text': 'Count.'}]
    """
    if isinstance(content, str):
        return text
    first = next((i for i, part in enumerate(content) if part["type"] == "text"), len(content))
    after = [part for part in content[first:] if part["type"] != "text"]
    return [*content[:first], {"type": "text", "text": text}, *after]


def with_more_text(content: Any, suffix: str) -> Any:
    """Put text after a content's last text.

    Example:
        >>> with_more_text([{"type": "text", "text": "How many?"}, {"type": "image"}], " Say it.")
        [{'type': 'text', 'text': 'How many? Say it.'}, {'type': 'image'}]
    """
    if isinstance(content, str):
        return content + suffix
    texts = [i for i, part in enumerate(content) if part["type"] == "text"]
    if not texts:
        return [*content, {"type": "text", "text": suffix}]
    last = texts[-1]
    longer = {"type": "text", "text": content[last]["text"] + suffix}
    return [*content[:last], longer, *content[last + 1 :]]


def asked_text(prompt: Any) -> str:
    """Return the text of a prompt, in a chat that of the last user message; of the last without."""
    return prompt if isinstance(prompt, str) else text_of(prompt[_last_user(prompt)]["content"])


def with_asked_text(prompt: Any, text: str) -> Any:
    """Put another text in the place of `asked_text`; images stay as in `with_text`."""
    if isinstance(prompt, str):
        return text
    place = _last_user(prompt)
    changed = {**prompt[place], "content": with_text(prompt[place]["content"], text)}
    return [*prompt[:place], changed, *prompt[place + 1 :]]


def _last_user(messages: Sequence[Mapping[str, Any]]) -> int:
    """Place of the last message of the user; of the last one where none is."""
    places = [i for i, message in enumerate(messages) if message["role"] == "user"]
    return places[-1] if places else len(messages) - 1


def in_parts(content: Any) -> list[Part]:
    """Write a content as parts, without what Arrow fills its records up with."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [{key: value for key, value in part.items() if value is not None} for part in content]


def num_images(messages: Sequence[Mapping[str, Any]]) -> int:
    """Count the images that messages have a place for."""
    contents = (message["content"] for message in messages)
    return sum(
        part["type"] == "image"
        for content in contents
        if not isinstance(content, str)
        for part in content
    )


def with_images_in_front(messages: Sequence[Mapping[str, Any]], number: int) -> list[dict]:
    """Write messages as parts, with places for images before the first user message's text.

    Where no message is the user's, they stand in the last one.

    Source: TRL 1.16, `prepare_multimodal_messages`. Differs: places that the messages have are kept
    whatever is in the other messages, and no further ones are added then; and where the texts say
    `<image>` as often as there are images, as data sets for verl and LLaVA do, those are the
    places.

    Args:
        messages: At least one.
        number: Images of the prompt.
    """
    missing = number - num_images(messages)
    num_marks = sum(text_of(message["content"]).count(MARK) for message in messages)
    is_marked = 0 < num_marks == missing
    of_user = (i for i, message in enumerate(messages) if message["role"] == "user")
    place = next(of_user, len(messages) - 1)
    prepared = []
    for i, message in enumerate(messages):
        parts = in_parts(message["content"])
        if is_marked:
            parts = [piece for part in parts for piece in _at_marks(part)]
        elif i == place:
            parts = [*({"type": "image"} for _ in range(missing)), *parts]
        prepared.append({**message, "content": parts})
    return prepared


def _at_marks(part: Part) -> list[Part]:
    """Cut a text where its marks are, and put places for images there."""
    if part["type"] != "text":
        return [part]
    pieces = []
    for number, text in enumerate(part["text"].split(MARK)):
        pieces += [{"type": "image"}] if number else []
        pieces += [{"type": "text", "text": text}] if text else []
    return pieces
