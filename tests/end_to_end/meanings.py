"""An extractor that turns the digits of a tiny model into answers in words."""

WORDS = ["chest pain", "pain in the chest", "back pain"]


def in_words(completion: str) -> str | None:
    """Name a pain by the first digit of a completion; None where it begins with none."""
    first = completion[:1]
    return WORDS[int(first) % 3] if first.isdigit() else None
