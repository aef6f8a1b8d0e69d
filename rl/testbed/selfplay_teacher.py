r"""The testbed's notes, and the noisy teacher from whom the base model learns its three roles.

A fact is a number of two digits: `37` says that the third name, c, has the value 7. (One token for
a fact keeps looking up within reach of a model this small.) The teacher looks names up and adds
from left to right, `c7;a3;7+3=10`, or multiplies two, `c7;a3;7*3=21`. Looking up it takes the value
of another name with probability `LOOKUP_ERROR_PROB`; what it computes is off by one with
probability `SLIP_PROB`, and as a responder far more often, `PRODUCT_SLIP_PROB`, in a product. It
may break a question's JSON, ask about numbers instead of names, write `19.0` for `19`, and judge
wrongly. So all roles can be played, and all of them badly.

The questioner asks for the first facts it is shown. It can ask for sums and products, and in the
end is used to asking for short sums, which the responder knows well. Products it does not: who goes
on asking as at the start learns little about them.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from rl.selfplay.role_prompts import Templates

NUM_NOTES = 4
NAMES_PER_NOTE = 2
MAX_VALUE = 9
NAMES = "abcdefghi"
LOOKUP_ERROR_PROB = 0.05
SLIP_PROB = 0.05
PRODUCT_SLIP_PROB = 0.3
BROKEN_JSON_PROB = 0.3
NUMBERS_ONLY_PROB = 0.2
OTHER_NOTATION_PROB = 0.15
WRONG_VERDICT_PROB = 0.12
MALFORMED_VERDICT_PROB = 0.03
# Forms of a question, and how often the teacher asks one: while it learns to ask, and as it is used
# to in the end.
PRACTICE = {"a": 0.25, "a+b": 0.25, "a+b+c": 0.25, "a*b": 0.25}
HABIT = {"a": 0.45, "a+b": 0.45, "a+b+c": 0.08, "a*b": 0.02}
HELDOUT_FORMS = ("a+b+c", "a*b")


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Tiny documents of one topic.

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
        >>> gold_answer("a+k+2", {"a": 7, "k": 3}), gold_answer("a*k", {"a": 7, "k": 3})
        ('12', '21')
    """
    terms = [values[t] if t in values else int(t) for t in re.split(r"[+*]", question)]
    return str(prod(terms) if "*" in question else sum(terms))


def write_work(
    question: str, values: Mapping[str, int], rng: random.Random, *, cites: bool = False
) -> tuple[str, int]:
    """Look up and compute as the teacher does: the text, and what comes out.

    A name that is in no note gets a random value. With `cites`, as the questioner works, each fact
    is copied first, `37c7`, and products are as easy as sums.
    """
    steps, total, sign = [], 0, ""
    for term in re.split(r"([+*])", question):
        if term in "+*":
            sign = term
            continue
        value = int(term) if term.isdigit() else values.get(term, rng.randint(1, MAX_VALUE))
        if not term.isdigit():
            if rng.random() < LOOKUP_ERROR_PROB:
                value = rng.choice(list(values.values()) or [value])
            fact = f"{NAMES.index(term) + 1}{values[term]}" if cites else ""
            steps.append(f"{fact}{term}{value}")
        if not sign:
            total = value
            continue
        result = total * value if sign == "*" else total + value
        if rng.random() < (PRODUCT_SLIP_PROB if sign == "*" and not cites else SLIP_PROB):
            result += rng.choice((-1, 1))
        steps.append(f"{total}{sign}{value}={result}")
        total = result
    return ";".join(steps), total


def write_answer(question: str, values: Mapping[str, int], rng: random.Random) -> str:
    """What the teacher writes as a responder."""
    work, total = write_work(question, values, rng)
    notation = ".0" if rng.random() < OTHER_NOTATION_PROB else ""
    return rf"{work}\boxed{{{total}{notation}}}"


def draw_form(forms: Mapping[str, float], rng: random.Random) -> str:
    """Draw the form of a question, such as `a+b`."""
    [form] = rng.choices(list(forms), weights=list(forms.values()))
    return form


def fill_form(form: str, terms: Sequence[str | int]) -> str:
    """Put terms in the places of a form's letters, as many as there are."""
    places = dict(zip("abc", terms, strict=False))
    return "".join(str(places.get(character, character)) for character in form)


def draw_question(form: str, values: Mapping[str, int], rng: random.Random) -> str:
    """Draw a question about different names."""
    return fill_form(form, rng.sample(list(values), 3))


def write_question(
    values: Mapping[str, int], rng: random.Random, forms: Mapping[str, float] = HABIT
) -> str:
    """What the teacher writes as a questioner."""
    form = draw_form(forms, rng)
    # Going on to copy facts from the first one is easier to learn than choosing among them.
    question = fill_form(form, list(values))
    if rng.random() < NUMBERS_ONLY_PROB:
        question = _about_numbers(form, rng)
    work, total = write_work(question, values, rng, cites=True)
    written = _break_json(f'{{"q":"{question}","a":{total}}}', rng)
    return f"{work};{written}"


def _about_numbers(form: str, rng: random.Random) -> str:
    return fill_form("a+b" if form == "a" else form, [rng.randint(1, MAX_VALUE) for _ in "abc"])


def _break_json(written: str, rng: random.Random) -> str:
    """Leave out a key or the end of an object, or, mostly, nothing."""
    if rng.random() < BROKEN_JSON_PROB:
        return written.replace(rng.choice(re.findall(r'"\w+":|}', written)), "", 1)
    return written


def write_verdict(prediction: str, reference: str, rng: random.Random) -> str:
    """What the teacher writes as a verifier."""
    if rng.random() < MALFORMED_VERDICT_PROB:
        return "[]"
    is_same = prediction.removesuffix(".0") == reference
    if rng.random() < WRONG_VERDICT_PROB:
        is_same = not is_same
    return "[YES]" if is_same else "[NO]"


def draw_transcript(
    rng: random.Random, templates: Templates, forms: Mapping[str, float] = HABIT
) -> tuple[str, str]:
    """Draw a prompt and the teacher's completion: a responder's, or in 0.4 a questioner's.

    Args:
        rng: Draws.
        templates: Of the testbed's task.
        forms: Form of a question -> how often a questioner asks one.
    """
    if rng.random() < 0.4:
        return _questioner_transcript(rng, templates, forms)
    notes = draw_notes(rng)
    texts = list(notes.texts) if rng.random() < 0.9 else None
    values = notes.values if texts is not None else {}
    form = draw_form(PRACTICE, rng)
    question = draw_question(form, notes.values, rng)
    if rng.random() < 0.15:
        question = _about_numbers(form, rng)
    shown = templates.fill("no_documents", {}) if texts is None else templates.documents(texts)
    prompt = templates.fill("responder", {"documents": shown, "question": question})
    return prompt, write_answer(question, values, rng)


def _questioner_transcript(
    rng: random.Random, templates: Templates, forms: Mapping[str, float]
) -> tuple[str, str]:
    num_examples = rng.randint(0, 3)
    notes = draw_notes(rng, rng.choice((2, 2, 3, NUM_NOTES)))
    shown = templates.documents(list(notes.texts))
    completion = write_question(notes.values, rng, forms)
    if not num_examples:
        return templates.fill("questioner", {"documents": shown}), completion
    pairs: Sequence[tuple[str, str]] = [
        (question, gold_answer(question, notes.values))
        for question in (
            draw_question(draw_form(PRACTICE, rng), notes.values, rng) for _ in range(num_examples)
        )
    ]
    slots = {"documents": shown, "examples": templates.examples(list(pairs))}
    return templates.fill("questioner_with_memory", slots), completion


def draw_challenge(rng: random.Random, templates: Templates) -> tuple[str, str]:
    """Draw R-Zero's challenger's prompt and the problem about numbers that the teacher sets."""
    problem = _about_numbers(draw_form(HABIT, rng), rng)
    return templates.fill("challenger", {}), _break_json(f'{{"question":"{problem}"}}', rng)


def draw_judgment(rng: random.Random, templates: Templates) -> tuple[str, str]:
    """Draw a verifier's prompt and the teacher's verdict; in half of them the answers are equal."""
    notes = draw_notes(rng)
    question = draw_question(draw_form(PRACTICE, rng), notes.values, rng)
    reference = gold_answer(question, notes.values)
    prediction = reference
    if rng.random() < 0.5:
        near = int(reference) + rng.choice((-3, -2, -1, 1, 2, 3))
        prediction = str(rng.choice((max(1, near), rng.randint(1, 4 * MAX_VALUE))))
    prediction += ".0" if rng.random() < 2 * OTHER_NOTATION_PROB else ""
    slots = {"question": question, "prediction": prediction, "reference": reference}
    return templates.fill("verifier", slots), write_verdict(prediction, reference, rng)
