"""Words that set two answers apart, whatever an embedding thinks; and those that do not."""

import pytest

from rl.answers.distinctions import are_set_apart


@pytest.mark.parametrize(
    ("left", "right"),
    [
        # numbers: digits, words, Roman, in names
        ("5 lesions", "6 lesions"),
        ("two lesions", "three lesions"),
        ("two lesions", "lesions"),
        ("stage ii", "stage iii"),
        ("cranial nerve VII", "cranial nerve VIII"),
        ("type I", "type II"),
        ("type I", "type 2 diabetes"),
        ("hepatitis X", "hepatitis 10"),
        ("a single mass", "a mass"),
        ("vitamin B12", "vitamin B6"),
        ("1,200 people", "12,00.5 people"),
        # letters that stand alone
        ("vitamin C", "vitamin D"),
        ("vitamin C", "vitamin"),
        ("hepatitis A", "hepatitis B"),
        ("E. coli", "C. coli"),
        # units
        ("5 mg daily", "5 g daily"),
        ("3 days later", "3 weeks later"),
        ("20 kg of it", "20 percent of it"),
        # negations
        ("visible", "not visible"),
        ("fever", "no fever"),
        ("it helps", "it doesn't help"),
        ("stable", "unstable"),
        ("reversible change", "irreversible change"),
        ("symptomatic", "asymptomatic"),
        # opposites
        ("increased", "decreased"),
        ("it rises", "it falls"),
        ("the left lung", "the right lung"),
        ("hyperkalemia", "hypokalemia"),
        ("tachycardia", "bradycardia"),
        ("abduction", "adduction"),
        ("yes", "no"),
        ("acute pain", "chronic pain"),
    ],
)
def test_set_apart(left, right):
    assert are_set_apart(left, right)
    assert are_set_apart(right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("heart attack", "myocardial infarction"),
        ("two lesions", "2 lesions"),
        ("world war II", "the second world war"),
        ("type I diabetes", "type 1 diabetes"),
        ("stage V", "stage 5"),
        ("cranial nerve X", "the tenth cranial nerve"),
        ("5 mg daily", "5 milligrams daily"),
        ("5 daily", "5 mg daily"),
        ("1,200 people", "1200 people"),
        ("not enough sleep", "lack of sleep"),
        ("coli", "E. coli"),
        ("a mass", "mass"),
        ("A mass", "mass"),
        ("into the lung", "to the lung"),
        # Both name both sides.
        ("from left to right", "right from the left"),
        ("increase and decrease", "decrease, then increase"),
        ("", ""),
    ],
)
def test_left_to_the_model(left, right):
    assert not are_set_apart(left, right)
    assert not are_set_apart(right, left)


def test_a_long_text_takes_no_time():
    text = "not a " * 20_000
    assert not are_set_apart(text, text)
