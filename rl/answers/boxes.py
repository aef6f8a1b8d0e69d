r"""Find what a completion put into `\boxed{}`.

The last balanced, non-empty box is the answer. Where the closing sentence lists several, as in
`\boxed{2} and \boxed{3}`, all of them are, in their order and separated by commas; a box of an
earlier sentence or of another quantity never is.
"""

import re

SPECIAL_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_ ./-]{1,40}\|>|<\uff5c[^<>\n]{1,40}\uff5c>"
    r"|</?s>|<(?:pad|eos|bos|unk|end_of_turn)>|\[/?INST\]"
)
_MAX_BOX_CHARACTERS = 10_000
_MAX_LISTED_BOXES = 16
_MAX_LISTED_CHARACTERS = 300  # of a listed box with the words that follow it
_MAX_GAP_CHARACTERS = 80
_BOX = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])(\s*\{)?")
_BOX_SCAN = re.compile(r"\\f?box(?:ed)?(?![A-Za-z])\s*(\{)?|\\.|[{}]", re.DOTALL)
_EMPTY_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{\s*\}")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BARE_BOX = re.compile(r"[ \t]*([^\s{}$\\]{1,40})")
_NOTHING = re.compile(
    r"(?:\\(?:text|mathrm)\s*\{\s*\}|\\q?quad(?![A-Za-z])|[\s{}()[\]$\\,;:!.?_~-])*"
)
# Between two boxes of one list: nothing, or a comma or a connector, before it up to three words
# about the first box (its unit), after it the second one's name.
_GAP_LAYOUT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{([^{}]*)\}|\\q?quad|\\[()\[\],;:! ]|[$~*\s]")
_GAP = re.compile(
    r"(?:(?: ?(?!not\b|no\b|is\b|was\b|which\b|that\b|so\b|but\b|then\b|wrong\b)[a-z()]+){0,3}"
    r" (?:and|or)|[,;](?: ?(?:and|or))?|(?:and|or)|&)?"
    r" ?(?:\\?[A-Za-z]+(?:_\{?\w{1,3}\}?)?(?:\([a-z]\))? ?=)?"
)


def find_boxed(text: str) -> str | None:
    r"""Return the content of the last box, or of the boxes that the closing sentence lists.

    Looks at the last box, the common case, before reading the whole text once.

    Args:
        text: A completion without its thought; any characters.

    Returns:
        The content without special tokens and surrounding whitespace; None if there is no box that
        closes and holds more than punctuation.

    Example:
        >>> find_boxed(r"First \boxed{7}. The roots are $\boxed{2}$ and $\boxed{3}$.")
        '2, 3'
    """
    start = text.rfind("\\boxed")
    start = max(start, text.rfind("\\fbox", max(start, 0)))
    if start < 0:
        return None
    found = _box_at(text, start)
    answer = clean_content(found[0]) if found else None
    if answer is None:
        return last_box(text)
    is_alone = text.rfind("\\boxed", max(0, start - _MAX_LISTED_CHARACTERS), start) < 0
    return answer if is_alone else _with_listed(text, start, answer)


def clean_content(content: str) -> str | None:
    """Drop special tokens and whitespace; None if nothing but punctuation is left."""
    content = SPECIAL_TOKEN.sub("", content).strip()
    return None if _NOTHING.fullmatch(content) else content


def balanced(text: str, start: int) -> str | None:
    """Return what stands before the brace that closes the one before `start`."""
    end = text.find("}", start, start + _MAX_BOX_CHARACTERS)
    if text.find("{", start, end) < 0:  # most boxes hold no further braces
        return text[start:end] if end >= 0 else None
    depth = 1
    for match in _BRACE.finditer(text, start, start + _MAX_BOX_CHARACTERS):
        token = match.group()
        depth += (token == "{") - (token == "}")
        if depth == 0:
            return text[start : match.start()]
    return None


def _box_at(text: str, start: int) -> tuple[str, int] | None:
    """Read the box that starts at a position: its content and where it ends."""
    box = _BOX.match(text, start)
    if box is None:
        return None
    content = balanced(text, box.end()) if box[1] else _bare(text, box.end())
    return None if content is None else (content, box.end() + len(content) + 1)


def _with_listed(text: str, start: int, answer: str) -> str:
    """Put the boxes of the same list before the last one, as far as the list reaches back."""
    contents = [answer]
    for _ in range(_MAX_LISTED_BOXES - 1):
        earlier = text.rfind("\\boxed", max(0, start - _MAX_LISTED_CHARACTERS), start)
        if earlier < 0:
            break
        found = _box_at(text, earlier)
        content = clean_content(found[0]) if found else None
        if found is None or content is None or found[1] > start:
            break
        if not _is_gap_of_list(text[found[1] : start]):
            break
        if content not in contents:
            contents.insert(0, content)
        start = earlier
    return ", ".join(contents)


def _is_gap_of_list(gap: str) -> bool:
    if len(gap) > _MAX_GAP_CHARACTERS or "\n\n" in gap:
        return False
    plain = " ".join(_GAP_LAYOUT.sub(r" \1 ", gap).split())
    # Displays that follow each other without a word are steps of a derivation.
    return _GAP.fullmatch(plain) is not None and (plain != "" or "\n" not in gap)


def _bare(text: str, start: int) -> str | None:
    match = _BARE_BOX.match(text, start)
    return match[1].rstrip(".,;:!?") if match else None


def last_box(text: str) -> str | None:
    """Return the box that opens last of those that close and are not empty, in linear time."""
    open_braces: list[int | None] = []  # where a box's content starts, None for other braces
    best_start, best = -1, None
    text = text.replace("\\boxed{}", "")  # collapsed policies repeat it hundreds of times
    text = _EMPTY_BOX.sub("", text) if "box" in text else ""
    for match in _BOX_SCAN.finditer(text):
        token = match.group()
        start, content = match.end(), None
        if token == "}":
            opened = open_braces.pop() if open_braces else None
            is_short = opened is not None and match.start() - opened < _MAX_BOX_CHARACTERS
            if opened is not None and is_short and opened > best_start:
                start, content = opened, text[opened : match.start()]
        elif match[1]:
            open_braces.append(match.end())
        elif token == "{":
            open_braces.append(None)
        elif token.startswith(("\\box", "\\fbox")):
            content = _bare(text, match.end())
        answer = clean_content(content) if content else None
        if answer is not None:
            best_start, best = start, answer
    return best
