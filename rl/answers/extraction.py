r"""Find the final answer in a completion.

Methods are tried in a fixed, named order. What they find:

    boxed                the last balanced, non-empty `\boxed{}` (`rl.answers.boxes`)
    final_answer_phrase  what follows the last "the answer is", "Answer:" or a heading "Final
                         Answer": the formula that comes next, or else the words up to the end of
                         the sentence, without an explanation. Words that say nothing about it
                         (therefore, actually, simply, given by, ...) are passed over, and prose
                         is no answer: "the answer is found by adding 3 and 4" holds none.
                         Without such a phrase, the number of a last line `#### 12`, or the value
                         that the last sentence states if it starts with so, therefore, thus or
                         hence, ends, and holds no other number or formula before the value
    last_number          the last number, on request only: in unfinished text it is any
                         intermediate result
    first_phrase         the first phrase, on request only: for prompts that are answered in a word
                         or two

The first two are the default. No other sentence is read: "It is 5." holds no answer.
"""

import re
from collections import deque
from collections.abc import Collection, Sequence
from typing import Literal

from rl.answers.boxes import SPECIAL_TOKEN, balanced, clean_content, find_boxed
from rl.answers.plugins import EXTRACTOR, extract_with, is_plugin
from rl.answers.species import NOT_A_SPECIES
from rl.answers.text import strip_introduction
from rl.errors import unknown_name
from rl.plugins import find

BOX_ONLY = ("boxed",)
DEFAULT_METHODS = ("boxed", "final_answer_phrase")
METHODS = ("boxed", "final_answer_phrase", "last_number", "first_phrase")

CompletionState = Literal["answered", "no_answer", "truncated"]

_MAX_PHRASE_CHARACTERS = 200
# After "answer" in "the answer is", "**Answer:**", "Answer**:".
_ANSWER_IS = (
    r"(?:(?:\*\*)?\s*(?:(?:is|are|equals|(?:should|must|would|will) be|(?:comes|turns) out to be)\b"
    r"(?:\*\*)?\s*:?|[:=])(?:\*\*)?[ \t]*\n{0,2}|(?<=inal [Aa]nswer)(?:\*\*)?[ \t]*\n{1,2})"
)
# What they start with is literal: such expressions are found several times as fast.
_PHRASES = (
    re.compile(r"nswer(?<=\b[Aa]nswer)" + _ANSWER_IS),
    re.compile(r"NSWER(?<=\bANSWER)" + _ANSWER_IS),
)
_CHOICE_PHRASE = re.compile(r"\b(?:[Aa]nswer|ANSWER|[Oo]ption|[Cc]hoice)" + _ANSWER_IS)
# Words between "is" and the answer that say nothing about it.
_FILLER = re.compile(
    r"(?:[\s,:*]{0,9}\b(?:therefore|thus|hence|so|then|now|consequently|accordingly|finally|actually"
    r"|simply|just|clearly|obviously|indeed|really|still|again|exactly|precisely|in fact|of course"
    r"|as follows|the following|given by|equal to|found to be|calculated to be|(?:just )?the number"
    r"|below|here)\b)+[\s,:*]{0,9}",
    re.IGNORECASE,
)
_APPROXIMATELY = re.compile(r"(?:about|approximately|roughly) \$?[-\d.\\]", re.IGNORECASE)
# A last sentence that draws a conclusion and ends, so that it is not one that was cut off.
_THEREFORE = re.compile(
    r"(?:^|[.!?:,$\])]\s|\n)\s{0,9}\**"
    r"(?=(?:[Ss]o|[Tt]herefore|[Tt]hus|[Hh]ence|[Cc]onsequently|[Ii]n conclusion)\b)"
    r"|\s(?=(?:Therefore|Thus|Hence|Consequently|In conclusion)\b)"
)
_CONCLUDING_WORDS = ("So", "so", "herefore", "hus", "ence", "onsequently", "onclusion")
_INTENTION = re.compile(r"\b(?:need|want|let|find|consider|suppose|assume|try|could|would)\b")
_CLOSING_WORDS = re.compile(r"\s{0,9}I hope (?:it|this) is correct\.?$")
_HASHES = re.compile(r"####[ \t]{0,9}\$?([-+]?[\d][\d,./]{0,40})[ \t]{0,9}%?$")
_DOLLARS = re.compile(r"\\[()\[\]]|\$")
_MAX_CONCLUSION_CHARACTERS = 400
_MATH_SPAN = re.compile(
    r"[ \t(*]*(?:\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\])(\s*\\?%)?", re.DOTALL
)
_LIST_GOES_ON = re.compile(r",? ?(?:and|or)? ?(?:\$|\\\()(?![.,]?$)")
_SENTENCE_END = re.compile(r"\n|[.;!?](?=\s|\*|$)|,(?=\s*[A-Za-z]{2})|<")
_PROSE_WORD = re.compile(r"\s\(?(?!and\b|or\b|percent\b|mod\b)[A-Za-z]{2,}\b")
_FIRST_PHRASE_END = re.compile(r"[\n;:!?(]|[.,](?=\s|$)")
_NUMBER = re.compile(r"(?<![\w.])-?\$?(\d[\d,]*(?:\.\d+)?(?:/\d+)?|\.\d+)(\s?\\?%)?")
_OPTION_WORD = r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer)[\s:*]+)?"
# After a letter: "A proton", "I think" and "E. coli" are prose; "A because", "E. cold" are not.
_NOT_PROSE = rf"(?!(?<=[AI])[ \t]+(?!because\b|since\b|as\b|and\b|or\b)[a-z]){NOT_A_SPECIES}"
# After a letter: "and B", "or (C)", "/D", ", E".
_ANOTHER_LETTER = re.compile(
    r"[).*$}]*\s*(?:(?:/|&|and\b|or\b)\s*(?:[Oo]ption\s|[Cc]hoice\s)?[(*$]*[A-Z](?![\w'\u2019-])"
    r"|,\s*[(*$]*[A-Z](?![\w'\u2019-])(?!\s+[a-z]))"
)
_FONT = re.compile(r"\\(?:text|math)[a-z]*\s*(?=\{)")


def extract_answer(
    text: str,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    choices: Collection[str] | None = None,
) -> str | None:
    r"""Extract the final answer from a completion.

    If the text holds `</think>`, only what follows the last one counts; a thought that was opened
    and never closed holds no answer. Special tokens (`<|im_end|>`, `</s>`, ...) are dropped.

    Args:
        text: A completion; any characters.
        methods: Names from `METHODS` and of extractors of one's own (`rl.answers.plugins`), tried
            in this order. `BOX_ONLY` accepts boxes alone. Where phrases count as well, a "final
            answer is" after the last box comes before the boxes.
        choices: Letters of a multiple-choice prompt, such as "ABCD". Then only one of them is an
            answer: the letter a box starts with, or a stand-alone capital after an answer phrase
            or on the last line. The article "a", the letters of words and the genus of a species
            (E. coli; `rl.answers.species`) are never a choice, nor are two letters, as in "A or B".
            The text of an option without its letter is no answer: prompts ask for a letter, and
            texts of options may be each other's parts. What an extractor of one's own returns is
            taken as it is.

    Returns:
        The answer without surrounding whitespace, LaTeX left as it is; the letter in upper case if
        `choices` is given. None if there is no answer; empty boxes are none.

    Raises:
        InputError: If a method is unknown.

    Example:
        >>> extract_answer(r"So \boxed{7}, or rather $\boxed{\frac{1}{2}}$.")
        '\\frac{1}{2}'
        >>> extract_answer("It is C because a proton moves.", choices="ABCD") is None
        True
    """
    text = after_thought(text)
    for method in methods:
        if is_plugin(method):
            answer = extract_with(method, text)
        elif method not in _FINDERS:
            raise unknown_name("answer extraction method", method, list(METHODS))
        elif method == "final_answer_phrase" and choices is not None:
            answer = _choice_in_prose(text, choices)
        elif method == "boxed" and choices is None and "final_answer_phrase" in methods:
            answer = _find_statement_after_boxes(text) or find_boxed(text)
        elif method in ("last_number", "first_phrase") and choices is not None:
            answer = None
        else:
            answer = _FINDERS[method](text)
            if choices is not None and answer is not None:
                answer = _choice_in_box(answer, choices)
        if answer is not None:
            return answer
    return None


def check_methods(methods: Sequence[str]) -> None:
    """Check that every method is a built-in one or can be loaded.

    Raises:
        InputError: If one is not.
    """
    for method in methods:
        find(method, _FINDERS, "answer_methods", contract=EXTRACTOR)


def completion_state(answer: str | None, truncated: bool) -> CompletionState:
    """Tell why a completion has an answer or none.

    Args:
        answer: What `extract_answer` returned.
        truncated: Whether sampling stopped at the length limit.

    Returns:
        "answered" if there is an answer, also in a truncated completion; else "truncated" or
        "no_answer".
    """
    if answer is not None:
        return "answered"
    return "truncated" if truncated else "no_answer"


def after_thought(text: str) -> str:
    """Return what follows the last `</think>`; of a thought that is never closed, what is before.

    Example:
        >>> after_thought("<think>7?</think>8"), after_thought("so <think>7"), after_thought("8")
        ('8', 'so ', '8')
    """
    if "think>" not in text:
        return text
    _, closed, rest = text.rpartition("</think>")
    return rest if closed or "<think>" not in text else text.partition("<think>")[0]


def _find_phrase(text: str) -> str | None:
    ends = [last.end() for phrase in _PHRASES if (last := _last_match(phrase, text))]
    if not ends:
        return _find_conclusion(text)
    rest = text[max(ends) : max(ends) + _MAX_PHRASE_CHARACTERS]
    if filler := _FILLER.match(rest):
        rest = rest[filler.end() :]
    span = _MATH_SPAN.match(rest)
    if span and not _LIST_GOES_ON.match(rest, span.end()):
        return clean_content((span[1] or span[2] or span[3]) + (span[4] or ""))
    rest = SPECIAL_TOKEN.sub("\n", rest).lstrip(" *:")
    sentence = _before(_SENTENCE_END, rest).strip(" *`")
    words = sentence.split()
    is_prose = len(words) > 1 and re.fullmatch(r"[A-Za-z]{2,}|a", words[0])  # such as "found by"
    if is_prose and not _APPROXIMATELY.match(sentence):
        return _stated_value(sentence)
    answer = clean_content(_before(_PROSE_WORD, sentence))
    return answer if answer and balanced(answer + "}", 0) == answer else None


def _before(pattern: re.Pattern[str], text: str) -> str:
    """Cut the text at the first match outside of brackets, or at all if one never closes."""
    first = None
    for match in pattern.finditer(text):
        first = match if first is None else first
        before = text[: match.start()]
        if sum(map(before.count, "([{")) <= sum(map(before.count, ")]}")):
            return before
    is_closed = sum(map(text.count, "([{")) <= sum(map(text.count, ")]}"))
    return text if first is None or is_closed else text[: first.start()]


def _stated_value(sentence: str) -> str | None:
    """Return the value that a sentence states, `5` of `so the largest n is $5$`, or None."""
    sentence = _DOLLARS.sub("", sentence)
    stated = strip_introduction(sentence)
    return None if stated == sentence else clean_content(stated)


def _find_conclusion(text: str) -> str | None:
    """Read `#### 12` on the last line, or the value that a concluding last sentence states."""
    end = _last_turn(text[-_MAX_CONCLUSION_CHARACTERS:])
    if hashes := _HASHES.match(end[end.rfind("\n") + 1 :]):
        return clean_content(hashes[1])
    if not end.endswith((".", "!", "$", "\\)", "\\]", "*")):
        return None
    end = _CLOSING_WORDS.sub("", end)
    is_hopeless = not any(word in end for word in _CONCLUDING_WORDS)  # the usual case, and faster
    last = None if is_hopeless else _last_match(_THEREFORE, end)
    if last is None:
        return None
    sentence = " ".join(_DOLLARS.sub("", end[last.end() :]).replace("**", "").split()).strip(".! ")
    is_one = _SENTENCE_END.search(sentence.replace(",", "")) is None
    return _stated_value(sentence) if is_one and not _INTENTION.search(sentence) else None


def _last_turn(text: str) -> str:
    """Return what stands before the special tokens at the end, and the role they announce."""
    turns = [turn.strip() for turn in SPECIAL_TOKEN.split(text)]
    return next((turn for turn in reversed(turns) if turn not in ("", "user", "assistant")), "")


def _find_statement_after_boxes(text: str) -> str | None:
    """Read "final answer is ..." behind the last box, which then held an intermediate result."""
    end = text.rfind("\\boxed")
    start = text.find("inal answer is", end) if end >= 0 else -1
    return _find_phrase(text[start:]) if start >= 0 else None


def _last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    newest = deque(pattern.finditer(text), maxlen=1)
    return newest[0] if newest else None


def _find_last_number(text: str) -> str | None:
    last = _last_match(_NUMBER, text)
    return last.group().replace("$", "").rstrip(",") if last else None


def _choice_in_box(content: str, choices: Collection[str]) -> str | None:
    r"""Read `C`, `(C)`, `\text{C}`, `C. 12` or `\textbf{(C)}\ 12`; a lone letter in either case."""
    plain = _FONT.sub("", content).replace("{", " ").replace("}", " ").strip(" $*")
    pattern = rf"{_OPTION_WORD}\(?\s*([A-Za-z])(?![A-Za-z]){_NOT_PROSE}\s*(?:[).:]|\s|\\ |$)"
    match = re.match(pattern, plain)
    if match is None or _ANOTHER_LETTER.match(plain, match.end(1)):
        return None
    is_alone = not re.search(r"[A-Za-z0-9]", plain[match.end(1) :])
    letter = match[1].upper() if is_alone else match[1]
    return letter if letter in choices else None


def _choice_in_prose(text: str, choices: Collection[str]) -> str | None:
    letters = "".join(re.escape(letter) for letter in choices if len(letter) == 1)
    font = r"[\s*$]*(?:\\(?:text|math)[a-z]*\{)?"
    standing = rf"{font}{_OPTION_WORD}{font}[(\[\"']?([{letters}])(?![\w\u2019-]|'\w){_NOT_PROSE}"
    for phrase in reversed(list(_CHOICE_PHRASE.finditer(text))):
        after = text[phrase.end() : phrase.end() + 60]
        if match := re.match(standing, after):
            return None if _ANOTHER_LETTER.match(after, match.end(1)) else match[1]
    last_line = SPECIAL_TOKEN.sub("", text.rstrip().rpartition("\n")[2])
    match = re.fullmatch(rf"[\s*$]*\(?([{letters}])[).]?[\s*$.]*", last_line)
    return match[1] if match else None


def _find_first_phrase(text: str) -> str | None:
    text = SPECIAL_TOKEN.sub("\n", text).strip()
    return clean_content(_FIRST_PHRASE_END.split(text, maxsplit=1)[0].strip(" \"'*`"))


_FINDERS = {
    "boxed": find_boxed,
    "final_answer_phrase": _find_phrase,
    "last_number": _find_last_number,
    "first_phrase": _find_first_phrase,
}
