"""Minus the mean token entropy, over all tokens or the answer's."""

import pickle

import pytest

from rewards.token_entropy import TokenEntropy, mean_or_none
from rl.errors import InputError
from rl.types import Group, Rollout, TokenStatistics


def make_group(*completions):
    """Make rollouts from (entropy, in_answer) pairs; None is a rollout without statistics."""
    rollouts = []
    for tokens in completions:
        statistics = None
        if tokens is not None:
            entropies, in_answer = zip(*tokens, strict=True) if tokens else ((), ())
            zeros = (0.0,) * len(tokens)
            statistics = TokenStatistics(
                logps=zeros, entropies=entropies, self_certainties=zeros, in_answer=in_answer
            )
        rollouts.append(Rollout(completion="", token_statistics=statistics))
    return Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts))


# Means over all: (1 + 2 + 0) / 3 = 1 and 0.5; over the answers: (2 + 0) / 2 = 1, none, 0.25.
GROUP = make_group(
    [(1.0, False), (2.0, True), (0.0, True)],
    [(0.5, False)],
    [(0.75, False), (0.25, True)],
)


@pytest.mark.parametrize(
    ("span", "expected"), [("all", [-1.0, -0.5, -0.5]), ("answer", [-1.0, None, -0.25])]
)
def test_minus_the_mean_entropy(span, expected):
    assert TokenEntropy(span=span)(GROUP) == expected


@pytest.mark.parametrize("span", ["all", "answer"])
def test_without_tokens_there_is_no_reward(span):
    reward = TokenEntropy(span=span)
    assert reward(make_group()) == []
    assert reward(make_group(None)) == [None]
    assert reward(make_group(None, [], None)) == [None, None, None]
    # A rollout without statistics leaves the others alone.
    assert reward(make_group(None, [(2.0, True)])) == [None, -2.0]
    assert reward(make_group([(2.0, True)], [(2.0, True)])) == [-2.0, -2.0]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_not_scored(bad):
    assert TokenEntropy()(make_group([(1.0, False), (bad, False)], [(1.0, False)])) == [None, -1.0]
    # Outside the span it does not matter.
    assert TokenEntropy(span="answer")(make_group([(1.0, True), (bad, False)])) == [-1.0]


def test_mean_or_none():
    assert mean_or_none((1.0, 2.0, 6.0)) == 3.0
    assert mean_or_none(()) is None
    assert mean_or_none((1.0, float("-inf"))) is None


def test_settings_pickling_and_order():
    with pytest.raises(InputError, match=r"TokenEntropy.span: got 'anser', .* mean 'answer'"):
        TokenEntropy(span="anser")
    reward = TokenEntropy(span="answer")
    assert pickle.loads(pickle.dumps(reward)) == reward
    assert TokenEntropy.needs_token_statistics
    backwards = Group(prompt_id="p", prompt="1+1=", rollouts=GROUP.rollouts[::-1])
    assert reward(backwards) == reward(GROUP)[::-1]
