"""When a vote is decided, by hand, and sampling that stops there."""

import pytest

from rl.answers.votes import leader_certainty
from rl.errors import InputError
from rl.rollouts.adaptive_votes import VoteBudget, count_saved, read_vote_budget, sample_votes
from rl.rollouts.engine import Sample, SamplingSettings

BUDGET = VoteBudget(min=4, max=12, confidence=0.95, chunk=4)
# Token i of a prompt's list is its i-th answer; 0 is no answer.
PROMPTS = {
    7: [1] * 12,
    8: [1, 2] * 6,
    9: [1, 2, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2],
    5: [0] * 12,
}


class ScriptedEngine:
    settings = SamplingSettings(max_completion_length=1)

    def __init__(self):
        self.calls = []

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0):
        self.calls.append(([ids[0] for ids in prompt_ids], num_samples, seeds, first_sample))
        return [
            [
                Sample(completion_ids=[token], truncated=False)
                for token in PROMPTS[ids[0]][first_sample : first_sample + num_samples]
            ]
            for ids in prompt_ids
        ]


def classify(samples):
    return [sample.completion_ids[0] or None for sample in samples]


def sample(prompts, budget=BUDGET, is_over=lambda is_over: is_over):
    engine = ScriptedEngine()
    seeds = [100 + prompt for prompt in prompts]
    found = sample_votes(engine, [[p] for p in prompts], seeds, budget, classify, is_over)
    return [[s.completion_ids[0] for s in samples] for samples in found], engine.calls


@pytest.mark.parametrize(
    ("counts", "certainty"),
    [
        ([], 0.5),
        ([5, 5, 1], 0.5),
        # One vote: q has the density 2 q, so P(q > 1/2) = 1 - 1/4.
        ([1], 0.75),
        # Four to none: 1 - 1/2^5. Four to one: 1 - (C(6, 5) + C(6, 6)) / 2^6 = 1 - 7/64.
        ([0, 4], 1 - 1 / 32),
        ([1, 4, 1], 1 - 7 / 64),
    ],
)
def test_certainty_by_hand(counts, certainty):
    assert leader_certainty(counts) == pytest.approx(certainty)


def test_certainty_grows_with_the_lead_and_never_is_one():
    lead = [leader_certainty([votes, 3]) for votes in range(3, 60)]
    assert lead == sorted(lead)
    assert 0.999 < lead[-1] < 1.0


def test_when_a_vote_is_decided():
    # Three to none, 0.9375, would not do; four to none, 0.969, does, from the least number on.
    assert not BUDGET.is_decided([1, 1, 1])
    assert BUDGET.is_decided([1, 1, 1, 1])
    assert not BUDGET.is_decided([1, 1, 1, None])
    assert not BUDGET.is_decided([1, 1, 2, 2] * 2)
    assert BUDGET.is_decided([None] * 12)


def test_undecided_prompts_go_on_where_they_stopped():
    answers, calls = sample([7, 8, 9, 5])
    # Prompt 9 after four: 3 to 1 is 0.81; after eight: 7 to 1 is 0.98.
    assert answers == [[1] * 4, [1, 2] * 6, [1, 2, 1, 1, 1, 1, 1, 1], [0] * 12]
    assert calls == [
        ([7, 8, 9, 5], 4, [107, 108, 109, 105], 0),
        ([8, 9, 5], 4, [108, 109, 105], 4),
        ([8, 5], 4, [108, 105], 8),
    ]


def test_a_fixed_number_is_one_call():
    answers, calls = sample([7, 9], read_vote_budget(6))
    assert answers == [[1] * 6, [1, 2, 1, 1, 1, 1]]
    assert calls == [([7, 9], 6, [107, 109], 0)]


def test_the_last_chunk_ends_at_the_maximum():
    _, calls = sample([8], VoteBudget(min=4, max=10, confidence=1.0, chunk=4))
    assert [call[1] for call in calls] == [4, 4, 2]


def test_a_rank_that_is_done_keeps_calling_until_all_are():
    rounds = iter([False, True])
    _, calls = sample([7], is_over=lambda is_over: next(rounds))
    assert [call[0] for call in calls] == [[7], []]


def test_no_prompts():
    assert sample([])[0] == []


def test_budgets_from_settings():
    assert read_vote_budget(16) == VoteBudget(min=16, max=16)
    found = read_vote_budget({"min": 16, "max": 64, "confidence": 0.9})
    assert found == VoteBudget(min=16, max=64, confidence=0.9, chunk=8)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"max": 8}, "num_votes.min: got none"),
        ({"min": 8, "max": 4}, "num_votes.max: got 4, expected at least num_votes.min"),
        (
            {"min": 8, "max": 64, "confidence": 0.3},
            "num_votes.confidence: got 0.3, expected at least 0.5",
        ),
        ({"min": 8, "max": 64, "confidence": "high"}, "num_votes.confidence: got 'high'"),
        ({"min": 8, "max": 64.5}, "num_votes.max: got 64.5"),
        ({"min": 8, "max": 64, "maximum": 1}, "setting of num_votes: got 'maximum', .*'max'"),
    ],
)
def test_a_wrong_budget(setting, message):
    with pytest.raises(InputError, match=message):
        read_vote_budget(setting)


def test_savings_are_counted_by_hand():
    # 8 - 2 = 6 completions of 3 tokens on average, and none of the prompt with all eight.
    saved = count_saved([[2, 4], [1] * 8], 8)
    assert (saved.num_completions, saved.num_tokens) == (6, 18.0)
    assert count_saved([], 8).num_completions == 0
