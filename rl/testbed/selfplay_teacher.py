r"""The noisy teacher from whom the self-play testbed's base model learns its three roles.

As a responder the teacher guesses or works:

    c+a+i:   guess   \boxed{9}
             work    i9;a3;9+3=12;c7;12+7=19\boxed{19}

It works from the last name to the first, whose places a model finds easily. How often it works
depends on the form of the question alone (`WORK_PROB`). A guess is mostly the value of the last
name, so that guesses share a wrong answer: of the forms in `HELDOUT_FORMS` the greedy answer is
wrong, and often the majority too. Working is right but for a wrong value looked up
(`LOOKUP_ERROR_PROB`) and slips (`SLIP_PROB`). It may write `19.0` for `19`.

As a questioner it always works, fact by fact, before it asks:

    37c7;13a3;7+3=10;{"q":"c+a","a":10}

So its references are better than its answers. It asks about the first facts it is shown, and mostly
what it answers well already (`HABIT`); it may break a question's JSON, or ask about numbers instead
of names. As a verifier it may judge wrongly.
"""

import random
import re
from collections.abc import Mapping, Sequence

from rl.selfplay.role_prompts import Templates
from rl.testbed.parts import BOXED, Part, draw
from rl.testbed.selfplay_notes import (
    MAX_VALUE,
    NUM_NOTES,
    about_numbers,
    draw_notes,
    draw_question,
    fact,
    fill_form,
    form_of,
    gold_answer,
)

# Forms of a question, and how often the teacher works at one as a responder.
WORK_PROB: Mapping[str, float] = {
    "a": 1.0,
    "a+b": 0.85,
    "a+b+c": 0.4,
    "a*b": 0.25,
    "a+b+c+d": 0.15,
}
# How often the teacher asks each as a questioner; of four names it never does.
HABIT: Mapping[str, float] = {"a": 0.4, "a+b": 0.45, "a+b+c": 0.08, "a*b": 0.07}
HELDOUT_FORMS: Mapping[str, str] = {"sums": "a+b+c", "products": "a*b", "long": "a+b+c+d"}
SHARED_GUESS_PROB = 0.6
OTHER_GUESSES = range(2, 19)
LOOKUP_ERROR_PROB = 0.03
SLIP_PROB = 0.04
OTHER_NOTATION_PROB = 0.15
BROKEN_JSON_PROB = 0.15  # at each of two places
NUMBERS_ONLY_PROB = 0.2
WRONG_VERDICT_PROB = 0.12
MALFORMED_VERDICT_PROB = 0.03
# What is written in the corpus is drawn by these, whatever the model learns to write how often.
PRACTICE_WORK_PROB = 0.75
PRACTICE: Mapping[str, float] = {"a": 1, "a+b": 2, "a+b+c": 3, "a*b": 2, "a+b+c+d": 4}
ASKING_PRACTICE: Mapping[str, float] = {"a": 1, "a+b": 1, "a+b+c": 2, "a*b": 1}
MEMORIES = (0, 1, 2, 3)  # remembered questions a questioner is shown


# What may be written, and how often.


def lookup_distribution(name: str, values: Mapping[str, int]) -> dict[int, float]:
    """Value the teacher finds for a name -> probability; any value where nothing says it.

    Example:
        >>> lookup_distribution("a", {"a": 7, "b": 3, "c": 3})
        {7: 0.97, 3: 0.03}
    """
    if name not in values:
        return dict.fromkeys(range(1, MAX_VALUE + 1), 1 / MAX_VALUE)
    others = [value for other, value in values.items() if other != name]
    found = {values[name]: 1 - LOOKUP_ERROR_PROB * bool(others)}
    for value in others:
        found[value] = found.get(value, 0.0) + LOOKUP_ERROR_PROB / len(others)
    return found


def step_distribution(total: int, sign: str, value: int) -> dict[int, float]:
    """Result the teacher writes -> probability: right, or off by one.

    Example:
        >>> step_distribution(7, "*", 3)
        {21: 0.96, 20: 0.02, 22: 0.02}
    """
    right = total * value if sign == "*" else total + value
    return {right: 1 - SLIP_PROB, right - 1: SLIP_PROB / 2, right + 1: SLIP_PROB / 2}


def guess_distribution(last_value: int) -> dict[int, float]:
    """Guess of the teacher -> probability, where the last term of the question has this value.

    Example:
        >>> round(guess_distribution(1)[1], 3), round(guess_distribution(1)[2], 4)
        (0.6, 0.0235)
    """
    guesses = {last_value: SHARED_GUESS_PROB}
    for other in OTHER_GUESSES:
        share = (1 - SHARED_GUESS_PROB) / len(OTHER_GUESSES)
        guesses[other] = guesses.get(other, 0.0) + share
    return guesses


# The three roles.


def write_answer(question: str, values: Mapping[str, int], rng: random.Random) -> list[Part]:
    """What the teacher writes as a responder, part by part.

    It is drawn to work with `PRACTICE_WORK_PROB`, so that all forms are practised; the
    probabilities beside the first part are `WORK_PROB`'s.
    """
    terms = re.split(r"([+*])", question)[::-1]
    work = WORK_PROB[form_of(question)]
    ways = {BOXED: 1 - work, terms[0]: work} if work < 1 else {}
    if ways and rng.random() >= PRACTICE_WORK_PROB:
        values_of_last = _values_of(terms[0], values)
        [last] = rng.choices(list(values_of_last), weights=list(values_of_last.values()))
        return [Part(BOXED, ways), draw(guess_distribution(last), rng), *_end_of_box(rng)]
    parts, total = _write_work(terms, values, rng)
    return [Part(terms[0], ways), *parts, Part(f"{BOXED}{total}"), *_end_of_box(rng)]


def _values_of(term: str, values: Mapping[str, int]) -> Mapping[int, float]:
    return {int(term): 1.0} if term.isdigit() else lookup_distribution(term, values)


def _end_of_box(rng: random.Random) -> list[Part]:
    end = draw({"}": 1 - OTHER_NOTATION_PROB, ".": OTHER_NOTATION_PROB}, rng)
    return [end] if end.text == "}" else [end, Part("0}")]


def _write_work(
    terms: Sequence[str], values: Mapping[str, int], rng: random.Random
) -> tuple[list[Part], int]:
    """Look up and compute once the first term is written; also return what comes out.

    Args:
        terms: Terms and signs in the order they are worked through.
        values: Of the names.
        rng: Draws.
    """
    parts, total, sign = [], 0, ""
    for place, term in enumerate(terms):
        if term in "+*":
            sign = term
            continue
        value = int(term) if term.isdigit() else 0
        if not term.isdigit():
            found = draw(lookup_distribution(term, values), rng)
            parts += [Part(f";{term}"), found] if place else [found]
            value = int(found.text)
        if not place:
            total = value
            continue
        # A sum of numbers goes on from its first term.
        stem = f"{sign}{value}=" if term.isdigit() and place == 2 else f";{total}{sign}{value}="
        result = draw(step_distribution(total, sign, value), rng)
        parts += [Part(stem), result]
        total = int(result.text)
    return parts, total


def write_question(values: Mapping[str, int], rng: random.Random) -> list[Part]:
    """What the teacher writes as a questioner, part by part; its facts in the order of `values`.

    The form is drawn by `ASKING_PRACTICE`, so that all are practised; the probabilities beside the
    parts where forms part are `HABIT`'s.
    """
    form = draw(ASKING_PRACTICE, rng).text
    numbers = {str(n): NUMBERS_ONLY_PROB / MAX_VALUE for n in range(1, MAX_VALUE + 1)}
    first_fact = fact(next(iter(values)), values)
    starts = {first_fact: 1 - NUMBERS_ONLY_PROB, **numbers}
    if rng.random() < NUMBERS_ONLY_PROB:
        question = about_numbers(form, rng)
        parts, total = _ask_about_numbers(question, rng, starts)
    else:
        question = fill_form(form, list(values))
        parts, total = _ask_about_names(question, values, rng, starts)
    head = [*parts, Part(f'"q":"{question}"')]
    after = draw({",": 1 - BROKEN_JSON_PROB, "}": BROKEN_JSON_PROB}, rng)
    if after.text == "}":
        return [*head, after]
    end = draw({"}": 1 - BROKEN_JSON_PROB, "": BROKEN_JSON_PROB}, rng)
    return [*head, after, Part(f'"a":{total}'), end]


def _habit(forms: Sequence[str], among: Sequence[str]) -> float:
    """How often the habit asks one of the forms, given that it asks one among others."""
    return sum(HABIT[form] for form in forms) / sum(HABIT[form] for form in among)


def _ask_about_names(
    question: str, values: Mapping[str, int], rng: random.Random, starts: Mapping[str, float]
) -> tuple[list[Part], int]:
    several = [form for form in HABIT if form != "a"]
    is_product = _habit(["a*b"], several)
    facts = [fact(name, values) for name in values]
    # Names so far -> how often no other follows; of a product none does.
    stops = {1: _habit(["a"], list(HABIT)), 2: _habit(["a+b"], ["a+b", "a+b+c"])}
    ways = {n: {"{": stop, facts[n]: 1 - stop} for n, stop in stops.items()}
    sign = "*" if "*" in question else "+"
    total, parts = 0, []
    for place, name in enumerate(re.split(r"[+*]", question)):
        found = draw(lookup_distribution(name, values), rng)
        before = starts if not place else ways[place]
        parts += [Part(facts[place], before), Part(name), found, Part(";")]
        value = int(found.text)
        if not place:
            total = value
            continue
        signs = {"+": 1 - is_product, "*": is_product} if place == 1 else {}
        result = draw(step_distribution(total, sign, value), rng)
        parts += [Part(str(total)), Part(sign, signs), Part(f"{value}="), result, Part(";")]
        total = int(result.text)
    return [*parts, Part("{", {} if sign == "*" else ways.get(len(question) // 2 + 1, {}))], total


def _ask_about_numbers(
    question: str, rng: random.Random, starts: Mapping[str, float]
) -> tuple[list[Part], int]:
    is_product = _habit(["a*b"], list(HABIT))
    is_longer = _habit(["a+b+c"], ["a", "a+b", "a+b+c"])
    first, sign, second, *rest = re.split(r"([+*])", question)
    signs = {"+": 1 - is_product, "*": is_product}
    result = draw(step_distribution(int(first), sign, int(second)), rng)
    parts = [Part(first, starts), Part(sign, signs), _any_digit(second), Part("="), result]
    total = int(result.text)
    if sign == "*":
        return [*parts, Part(";"), Part("{")], total
    ways = {"{": 1 - is_longer, str(total): is_longer}
    if not rest:
        return [*parts, Part(";"), Part("{", ways)], total
    result = draw(step_distribution(total, "+", int(rest[1])), rng)
    parts += [Part(";"), Part(str(total), ways), Part("+"), _any_digit(rest[1]), Part("="), result]
    return [*parts, Part(";{")], int(result.text)


def _any_digit(text: str) -> Part:
    return Part(text, {str(value): 1 / MAX_VALUE for value in range(1, MAX_VALUE + 1)})


def write_verdict(prediction: str, reference: str, rng: random.Random) -> list[Part]:
    """What the teacher writes as a verifier, part by part."""
    yes = WRONG_VERDICT_PROB
    if prediction.removesuffix(".0") == reference:
        yes = 1 - WRONG_VERDICT_PROB
    readable = 1 - MALFORMED_VERDICT_PROB
    ways = {"Y": readable * yes, "N": readable * (1 - yes), "]": MALFORMED_VERDICT_PROB}
    word = draw(ways, rng)
    rest = {"Y": [Part("ES]")], "N": [Part("O]")], "]": []}[word.text]
    return [Part("["), word, *rest]


# Prompts with what the teacher writes.


def draw_responder(rng: random.Random, templates: Templates) -> tuple[str, list[Part]]:
    """Draw a responder's prompt and the teacher's answer; one prompt in ten shows no notes."""
    notes = draw_notes(rng)
    form = draw(PRACTICE, rng).text
    question = draw_question(form, notes.values, rng)
    if rng.random() < 0.15:
        question = about_numbers(form, rng)
    texts, values = list(notes.texts), notes.values
    shown = templates.documents(texts)
    if rng.random() < 0.1:
        shown, values = templates.fill("no_documents", {}), {}
    prompt = templates.fill("responder", {"documents": shown, "question": question})
    return prompt, write_answer(question, values, rng)


def draw_questioner(rng: random.Random, templates: Templates) -> tuple[str, list[Part]]:
    """Draw a questioner's prompt, often with remembered questions, and the teacher's question."""
    notes = draw_notes(rng, rng.choice((2, NUM_NOTES)))
    shown = templates.documents(list(notes.texts))
    completion = write_question(notes.values, rng)
    num_examples = rng.choice(MEMORIES)
    if not num_examples:
        return templates.fill("questioner", {"documents": shown}), completion
    questions = [
        draw_question(rng.choice(list(HABIT)), notes.values, rng) for _ in range(num_examples)
    ]
    pairs = [(question, gold_answer(question, notes.values)) for question in questions]
    slots = {"documents": shown, "examples": templates.examples(pairs)}
    return templates.fill("questioner_with_memory", slots), completion


def draw_judgment(rng: random.Random, templates: Templates) -> tuple[str, list[Part]]:
    """Draw a verifier's prompt and the teacher's verdict; in half of them the answers are equal."""
    notes = draw_notes(rng)
    question = draw_question(rng.choice(list(WORK_PROB)), notes.values, rng)
    reference = gold_answer(question, notes.values)
    prediction = reference
    if rng.random() < 0.5:
        near = int(reference) + rng.choice((-3, -2, -1, 1, 2, 3))
        prediction = str(rng.choice((max(1, near), rng.randint(1, 4 * MAX_VALUE))))
    prediction += ".0" if rng.random() < 2 * OTHER_NOTATION_PROB else ""
    slots = {"question": question, "prediction": prediction, "reference": reference}
    return templates.fill("verifier", slots), write_verdict(prediction, reference, rng)


def draw_challenge(rng: random.Random, templates: Templates) -> tuple[str, list[Part]]:
    """Draw R-Zero's challenger's prompt and the problem about numbers that the teacher sets."""
    is_product = _habit(["a*b"], list(HABIT))
    is_longer = _habit(["a+b+c"], ["a", "a+b", "a+b+c"])
    first, sign, second, *rest = re.split(r"([+*])", about_numbers(rng.choice(list(HABIT)), rng))
    signs = {"+": 1 - is_product, "*": is_product}
    parts = [Part('{"question":"'), _any_digit(first), Part(sign, signs), _any_digit(second)]
    ways = {'"': 1 - is_longer, "+": is_longer} if sign == "+" else {}
    if rest:
        parts += [Part("+", ways), _any_digit(rest[1]), Part('"')]
    else:
        parts += [Part('"', ways)]
    end = draw({"}": 1 - BROKEN_JSON_PROB, "": BROKEN_JSON_PROB}, rng)
    return templates.fill("challenger", {}), [*parts, end]
