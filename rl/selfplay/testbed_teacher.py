r"""The testbed's notes, and the noisy teacher from whom the base model learns its three roles.

A fact is a number of two digits: `37` says that the third name, c, has the value 7. (One token for
a fact keeps looking up within reach of a model this small.) The teacher looks names up and adds
from left to right, `c7;a3;7+3=10`. Looking up it takes the value of another name with probability
`LOOKUP_ERROR_PROB`; adding it is off by one with probability `SLIP_PROB`. It may break a question's
JSON, ask about numbers instead of names, write `19.0` for `19`, and judge wrongly. So all roles can
be played, and all of them badly.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl.selfplay.templates import Templates

NUM_NOTES = 4
NAMES_PER_NOTE = 2
MAX_VALUE = 9
NAMES = "abcdefghi"
LOOKUP_ERROR_PROB = 0.08
SLIP_PROB = 0.1
BROKEN_JSON_PROB = 0.2
NUMBERS_ONLY_PROB = 0.1
OTHER_NOTATION_PROB = 0.15
WRONG_VERDICT_PROB = 0.12
MALFORMED_VERDICT_PROB = 0.03
# Terms of a question and how often the teacher asks for so many.
QUESTION_TERMS = {1: 0.3, 2: 0.4, 3: 0.2, 4: 0.1}
HELDOUT_TERMS = (2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Tiny documents of one cluster.

    Attributes:
        texts: The notes, such as `37 13`.
        values: Name -> value, of all notes.
    """

    texts: tuple[str, ...]
    values: Mapping[str, int]


def draw_notes(rng: random.Random, num_notes: int = NUM_NOTES) -> Notes:
    """Draw notes whose names differ."""
    names = rng.sample(NAMES, num_notes * NAMES_PER_NOTE)
    values = {name: rng.randint(1, MAX_VALUE) for name in names}
    texts = [
        " ".join(
            f"{NAMES.index(name) + 1}{values[name]}"
            for name in names[start : start + NAMES_PER_NOTE]
        )
        for start in range(0, len(names), NAMES_PER_NOTE)
    ]
    return Notes(texts=tuple(texts), values=values)


def gold_answer(question: str, values: Mapping[str, int]) -> str:
    """The right answer.

    Example:
        >>> gold_answer("a+k+2", {"a": 7, "k": 3})
        '12'
    """
    return str(sum(values[t] if t in values else int(t) for t in question.split("+")))


def write_work(question: str, values: Mapping[str, int], rng: random.Random) -> tuple[str, int]:
    """Look up and add as the teacher does: the text, and what comes out.

    A name that is in no note gets a random value.
    """
    steps, total = [], 0
    for number, term in enumerate(question.split("+")):
        if term.isdigit():
            value = int(term)
        else:
            value = values.get(term, rng.randint(1, MAX_VALUE))
            if rng.random() < LOOKUP_ERROR_PROB:
                value = rng.choice(list(values.values()) or [value])
            steps.append(f"{term}{value}")
        if number == 0:
            total = value
            continue
        result = total + value
        if rng.random() < SLIP_PROB:
            result += rng.choice((-1, 1))
        steps.append(f"{total}+{value}={result}")
        total = result
    return ";".join(steps), total


def write_answer(question: str, values: Mapping[str, int], rng: random.Random) -> str:
    """What the teacher writes as a responder."""
    work, total = write_work(question, values, rng)
    notation = ".0" if rng.random() < OTHER_NOTATION_PROB else ""
    return rf"{work}\boxed{{{total}{notation}}}"


def draw_question(values: Mapping[str, int], num_terms: int, rng: random.Random) -> str:
    """Draw a sum of different names."""
    return "+".join(rng.sample(list(values), min(num_terms, len(values))))


def write_question(values: Mapping[str, int], rng: random.Random) -> str:
    """What the teacher writes as a questioner."""
    [num_terms] = rng.choices(list(QUESTION_TERMS), weights=list(QUESTION_TERMS.values()))
    # In the order of the notes, which is easier to learn than any order.
    asked = draw_question(values, num_terms, rng).split("+")
    question = "+".join(name for name in values if name in asked)
    if rng.random() < NUMBERS_ONLY_PROB:
        question = "+".join(str(rng.randint(1, MAX_VALUE)) for _ in range(max(2, num_terms)))
    work, total = write_work(question, values, rng)
    written = f'{{"q":"{question}","a":{total}}}'
    if rng.random() < BROKEN_JSON_PROB:
        written = written.replace(rng.choice(('"q":', '"a":', "}")), "", 1)
    return f"{work};{written}"


def write_verdict(prediction: str, reference: str, rng: random.Random) -> str:
    """What the teacher writes as a verifier."""
    if rng.random() < MALFORMED_VERDICT_PROB:
        return "[]"
    is_same = prediction.removesuffix(".0") == reference
    if rng.random() < WRONG_VERDICT_PROB:
        is_same = not is_same
    return "[YES]" if is_same else "[NO]"


def draw_transcript(rng: random.Random, templates: Templates) -> tuple[str, str]:
    """Draw a prompt and the teacher's completion: a responder's, or in 0.4 a questioner's."""
    if rng.random() < 0.4:
        return _questioner_transcript(rng, templates)
    notes = draw_notes(rng)
    texts = list(notes.texts) if rng.random() < 0.9 else None
    values = notes.values if texts is not None else {}
    num_terms = rng.randint(1, 4)
    if rng.random() < 0.15:
        question = "+".join(str(rng.randint(1, MAX_VALUE)) for _ in range(num_terms))
    else:
        question = draw_question(notes.values, num_terms, rng)
    shown = templates.fill("no_documents", {}) if texts is None else templates.documents(texts)
    prompt = templates.fill("responder", {"documents": shown, "question": question})
    return prompt, write_answer(question, values, rng)


def _questioner_transcript(rng: random.Random, templates: Templates) -> tuple[str, str]:
    num_examples = rng.randint(0, 3)
    notes = draw_notes(rng, rng.choice((2, 2, 3, NUM_NOTES)))
    shown = templates.documents(list(notes.texts))
    completion = write_question(notes.values, rng)
    if not num_examples:
        return templates.fill("questioner", {"documents": shown}), completion
    pairs: Sequence[tuple[str, str]] = [
        (question, gold_answer(question, notes.values))
        for question in (
            draw_question(notes.values, rng.randint(1, 4), rng) for _ in range(num_examples)
        )
    ]
    slots = {"documents": shown, "examples": templates.examples(list(pairs))}
    return templates.fill("questioner_with_memory", slots), completion


def draw_judgment(rng: random.Random, templates: Templates) -> tuple[str, str]:
    """Draw a verifier's prompt and the teacher's verdict; in half of them the answers are equal."""
    notes = draw_notes(rng)
    question = draw_question(notes.values, rng.randint(1, 4), rng)
    reference = gold_answer(question, notes.values)
    prediction = reference
    if rng.random() < 0.5:
        near = int(reference) + rng.choice((-3, -2, -1, 1, 2, 3))
        prediction = str(rng.choice((max(1, near), rng.randint(1, 4 * MAX_VALUE))))
    prediction += ".0" if rng.random() < 2 * OTHER_NOTATION_PROB else ""
    slots = {"question": question, "prediction": prediction, "reference": reference}
    return templates.fill("verifier", slots), write_verdict(prediction, reference, rng)
