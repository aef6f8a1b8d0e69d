import pytest

from rl.errors import InputError
from rl.evaluation.evaluate import opens_thought
from rl.evaluation.problems.prompt_templates import TEMPLATES, apply_template

HOSTILE = r"What is {letters} of \frac{1}{2}? {problem}"


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_holds_the_problem_once_and_as_it_is(name):
    prompt = apply_template(name, HOSTILE, "ABCD", "here")
    assert isinstance(prompt, list) == TEMPLATES[name].is_chat
    text = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    assert text.count(HOSTILE) == 1


def test_the_system_message_stands_first():
    assert apply_template("qwen25-math-cot", "1+1=", None, "here") == [
        {
            "role": "system",
            "content": r"Please reason step by step, and put your final answer within \boxed{}.",
        },
        {"role": "user", "content": "1+1="},
    ]


def test_only_the_template_that_opens_a_thought_asks_for_its_end():
    opened = {n for n in TEMPLATES if opens_thought(apply_template(n, "1+1=", "AB", "here"))}
    assert opened == {"r1-zero"}


def test_messages_have_a_form_of_their_own():
    messages = [{"role": "user", "content": "1+1="}]
    assert apply_template("chat", messages, None, "here") == messages
    with pytest.raises(InputError, match="got 'qwen-boxed' for here, which holds chat messages"):
        apply_template("qwen-boxed", messages, None, "here")


def test_an_unknown_template_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'matharena'"):
        apply_template("math-arena", "1+1=", None, "here")
