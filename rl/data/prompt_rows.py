"""Prompts as the rows of a data set have them, checked one by one: text, or chat messages."""

from typing import Any, TypeAlias

from rl.data.chat_parts import text_of, with_images_in_front, with_more_text
from rl.data.tables import has_half_surrogate, short_repr
from rl.errors import InputError

# Plain text, or chat messages {"role": ..., "content": ...}; where a data set has images, contents
# are parts (`rl.data.chat_parts`), in which an image has a place and no more.
Prompt: TypeAlias = str | list[dict[str, Any]]


def checked_text(value: Any, where: str) -> str:
    """Return a text that is one, not empty, and valid Unicode; `where` is for the message."""
    if not isinstance(value, str):
        raise InputError(
            f"{where}: got {short_repr(value)}, expected text or a list of messages. Correct the "
            "row or name another column."
        )
    if not value.strip():
        raise InputError(f"{where}: got empty text, expected a prompt. Remove or fill the row.")
    if has_half_surrogate(value):
        raise InputError(
            f"{where}: got half a surrogate pair, expected valid Unicode. Correct the row."
        )
    return value


def checked_messages(value: list[Any], where: str) -> list[dict[str, Any]]:
    """Return messages with role and content alone, of which the assistant's is not the last."""
    messages = []
    for message in value:
        fields = message if isinstance(message, dict) else {}
        given = {name for name, content in fields.items() if content is not None}
        if given != {"role", "content"}:
            raise InputError(
                f"{where}: got the message {short_repr(message)}, expected an object with role and "
                "content, both text, or content in parts. Correct the row."
            )
        role, content = (
            checked_text(fields["role"], where),
            _checked_content(fields["content"], where),
        )
        messages.append({"role": role, "content": content})
    if not messages or messages[-1]["role"] == "assistant":
        raise InputError(
            f"{where}: got {'messages that end with the assistant' if messages else 'no messages'},"
            " expected the last one to be the user's. Correct the row."
        )
    return messages


def _checked_content(value: Any, where: str) -> Any:
    """Check a message's content; parts without an image are joined to plain text."""
    if not isinstance(value, list):
        return checked_text(value, where)
    parts = []
    for part in value:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in ("text", "image"):
            raise InputError(
                f"{where}: got the part {short_repr(part)}, expected one of type text or image. "
                "Correct the row."
            )
        if kind == "text" and not isinstance(part.get("text"), str):
            raise InputError(
                f"{where}: got the part {short_repr(part)}, expected text in it. Correct the row."
            )
        parts.append(
            {"type": "image"} if kind == "image" else {"type": "text", "text": part["text"]}
        )
    return (
        parts
        if any(part["type"] == "image" for part in parts)
        else checked_text(text_of(parts), where)
    )


def with_images(prompt: Prompt, num_images: int, where: str = "prompt") -> list[dict[str, Any]]:
    """Turn a prompt into messages of parts, images in front of the first user message's text."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if num_images and all(message["role"] != "user" for message in messages):
        raise InputError(
            f"{where}: got no user message, expected one for the images to stand in. Correct the "
            "row."
        )
    return with_images_in_front(messages, num_images)


def with_system_prompt(prompt: Prompt, system_prompt: str, where: str) -> Prompt:
    """Put a system message before a prompt; an empty one leaves the user message alone."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if not system_prompt:
        return messages
    if messages[0]["role"] == "system":
        raise InputError(
            f"{where}: got a system message of its own, expected none beside system_prompt. Drop "
            "one of the two."
        )
    return [{"role": "system", "content": system_prompt}, *messages]


def with_suffix(prompt: Prompt, suffix: str, where: str) -> Prompt:
    """Put text after a prompt; in a chat, after the last user message's text."""
    if isinstance(prompt, str):
        return prompt + suffix
    positions = [i for i, message in enumerate(prompt) if message["role"] == "user"]
    if not positions:
        raise InputError(
            f"{where}: got no user message, expected one for prompt_suffix. Leave the suffix out."
        )
    last = positions[-1]
    changed = {"role": "user", "content": with_more_text(prompt[last]["content"], suffix)}
    return [*prompt[:last], changed, *prompt[last + 1 :]]
