"""Options that stand in chat messages are shuffled as those of a column are."""

import pytest

from rl.errors import InputError
from rl.evaluation.problems.kinds import RawRow, read_choice

LISTED = "Which is a metal?\n\nA) Neon\nB) Zinc\nC) Argon\nSay a letter."
OPTIONS = ["Neon", "Zinc", "Argon"]


def messages(content=LISTED):
    return [{"role": "system", "content": "A) first"}, {"role": "user", "content": content}]


def row(question, seed=None, options=(OPTIONS,), label="B"):
    return RawRow(
        id="q", question=question, label=label, options=options, option_seed=seed, where="row 0"
    )


def listed(found):
    """Letter -> option, as the last message says it."""
    lines = found.question[-1]["content"].split("\n")[2:5]
    return {line[0]: line[3:] for line in lines}


def test_messages_are_shuffled_as_a_text_is():
    orders = set()
    for seed in range(30):
        found, text = read_choice(row(messages(), seed)), read_choice(row("Which?", seed))
        assert listed(found)[found.label] == "Zinc"
        lines = text.question.split("\n\n")[1].split("\n")
        assert lines == [f"{letter}) {option}" for letter, option in listed(found).items()]
        assert (found.letters, found.label) == ("ABC", text.label)
        orders.add(tuple(listed(found).values()))
        # All else is as it was.
        assert found.question[0] == messages()[0]
        assert found.question[1]["content"].startswith("Which is a metal?\n\nA) ")
        assert found.question[1]["content"].endswith("\nSay a letter.")
    assert len(orders) == 6
    assert read_choice(row(messages())).question == messages()


def test_of_columns_of_wrong_options_the_messages_tell_the_order():
    for seed in range(10):
        found = read_choice(row(messages(), seed, options=["Argon", "Neon"], label="Zinc"))
        assert listed(found)[found.label] == "Zinc"


def test_an_image_before_the_text_stays_there():
    image = {"type": "image"}
    content = [image, {"type": "text", "text": LISTED}]
    found = read_choice(row(messages(content), 1))
    assert found.question[1]["content"][0] == image
    assert sorted(found.question[1]["content"][1]["text"]) == sorted(LISTED)


@pytest.mark.parametrize(
    "content",
    [
        "Which is a metal?",
        LISTED.replace("Zinc", "Tin"),
        LISTED.replace("Neon", "Argon").replace("C) Argon", "C) Neon"),  # another order
        [{"type": "text", "text": LISTED}, {"type": "image"}, {"type": "text", "text": "So?"}],
    ],
)
def test_options_that_cannot_be_shuffled_are_refused(content):
    with pytest.raises(InputError, match="options in row 0: got messages that list"):
        read_choice(row(messages(content), 1))


def test_messages_that_are_none_are_refused_before():
    with pytest.raises(InputError, match="expected an object with role and content"):
        read_choice(row([{"role": "user"}], 1))
