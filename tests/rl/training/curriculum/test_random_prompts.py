"""A random share of the prompts: how many, and always the same ones."""

from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.random_prompts import RandomPrompts

PROMPTS = [PromptFact(prompt_id=str(row), rendered="", row=row) for row in range(100)]


def test_a_share_is_drawn_whatever_the_order():
    rule = RandomPrompts(share=0.29)
    first = rule.order(range(100), PROMPTS)
    assert len(set(first)) == len(first) == 29
    assert sorted(first) == first
    again = rule.order(list(reversed(range(100))), PROMPTS)
    assert again == first[::-1]
    assert RandomPrompts(share=0.29, seed=1).order(range(100), PROMPTS) != first
    assert RandomPrompts(share=1.0).order(range(100), PROMPTS) == list(range(100))
    assert RandomPrompts(share=0.1).order(range(9), PROMPTS) == []
