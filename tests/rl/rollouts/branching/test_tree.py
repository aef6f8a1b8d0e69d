"""Trees: what is asked of the engine, by hand; and with a real one, what they depend on."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch

from rl.errors import InputError
from rl.rollouts.branching.contract import Fork, TokenRow
from rl.rollouts.branching.entropy_fork import EntropyFork
from rl.rollouts.branching.tree import cut, join, plan_forks, sample_trees
from rl.rollouts.engine import Sample, SamplingSettings, derive_seed
from rl.rollouts.transformers_engine import TransformersEngine
from rl.types import Branch

PROMPTS = [[3, 4, 5], [6, 7, 8, 9, 10], [11]]
SEEDS = [11, 12, 2**63 - 1]
LENGTH = 12


@dataclass
class ForkAt:
    """Forks of these positions and widths, where the root is long enough."""

    positions: dict[int, int]
    num_roots: int = 2

    def forks(self, root):
        return [
            Fork(position=p, num_branches=b)
            for p, b in self.positions.items()
            if p < root.num_positions
        ]


class CutAt(ForkAt):
    def num_kept(self, row):
        return 2


def row(length, is_over=True):
    return TokenRow(entropies=[1.0] * length, confidences=(), is_over=is_over)


def measure(rows, images=None):
    return [row(len(sample.completion_ids), not sample.truncated) for _, sample in rows]


def sample(ids, truncated=False, logps=None):
    return Sample(completion_ids=ids, truncated=truncated, sampling_per_token_logps=logps)


# By hand.


def test_forks_of_all_roots_fit_into_the_room_there_is():
    rule, roots = ForkAt({2: 2, 0: 1}), [row(4), row(4)]
    first, second = Fork(position=2, num_branches=2), Fork(position=0, num_branches=1)
    assert plan_forks(rule, roots, 0) == []
    # The first forks of both roots come before the second ones; the last one is cut.
    assert plan_forks(rule, roots, 3) == [(0, first), (1, replace(first, num_branches=1))]
    assert plan_forks(rule, roots, 5) == [(0, first), (0, second), (1, first)]
    assert plan_forks(rule, roots, 9) == [(0, first), (0, second), (1, first), (1, second)]
    assert plan_forks(rule, [row(1)], 9) == []


@pytest.mark.parametrize("forks", [[(3, 1)], [(-1, 1)], [(1, 1), (1, 2)]])
def test_forks_that_are_not_there(forks):
    class Wrong:
        num_roots = 1

        def forks(self, root):
            return [Fork(position=p, num_branches=b) for p, b in forks]

    with pytest.raises(InputError, match=r"forks at the positions .*, expected some of 0 to 2"):
        plan_forks(Wrong(), [row(4)], 9)


def test_joining():
    root, branch = sample([5, 6, 7], logps=[-0.5, -0.6, -0.7]), Branch(root=1, position=2)
    whole = join(root, branch, sample([8, 9], truncated=True, logps=[-0.8, -0.9]))
    assert whole.completion_ids == [5, 6, 8, 9]
    assert whole.sampling_per_token_logps == [-0.5, -0.6, -0.8, -0.9]
    assert (whole.truncated, whole.branch, whole.num_pruned) == (True, branch, 0)
    assert join(root, branch, sample([8])).sampling_per_token_logps is None
    assert join(root, Branch(root=0, position=0), sample([8])).completion_ids == [8]


def test_cutting():
    short = cut(sample([5, 6, 7], logps=[-0.5, -0.6, -0.7]), 1)
    assert (short.completion_ids, short.sampling_per_token_logps) == ([5], [-0.5])
    assert (short.truncated, short.num_pruned) == (True, 2)


class RecordingEngine:
    """Ends every completion after as many tokens as its prompt's first token says."""

    settings = SamplingSettings(max_completion_length=4)

    def __init__(self):
        self.calls = []

    def generate(self, prompt_ids, num_samples, seeds, first_sample=0, max_lengths=None):
        self.calls.append((prompt_ids, num_samples, seeds, first_sample, max_lengths))
        limits = max_lengths or [4] * len(prompt_ids)
        return [
            [
                sample([100 + first_sample + i] * min(ids[0], limit), truncated=ids[0] > limit)
                for i in range(num_samples)
            ]
            for ids, limit in zip(prompt_ids, limits, strict=True)
        ]


def test_what_the_engine_is_asked_for():
    engine = RecordingEngine()
    found = sample_trees(
        engine, [[3], [1]], [7, 8], 5, ForkAt({1: 2}), measure, lambda numbers: [*numbers, 0, 1]
    )
    seeds = [derive_seed(7, "branch", root, 1, number) for root in (0, 1) for number in (0, 1)]
    assert engine.calls == [
        ([[3], [1]], 2, [7, 8], 0, None),
        # Of the second prompt's roots, one token each, nothing branches: no fork at an end.
        ([[3, 100], [3, 100], [3, 101]], 1, seeds[:3], 0, [3, 3, 3]),
        # Another rank's prompt lacks one completion, and none of this rank: its call is made too.
        ([], 1, [], 2, None),
        ([[1]], 3, [8], 2, None),
    ]
    assert [s.completion_ids for s in found[0]] == [
        [100] * 3,
        [101] * 3,
        [100] * 4,
        [100] * 4,
        [101, 100, 100, 100],
    ]
    assert [s.completion_ids for s in found[1]] == [[100], [101], [102], [103], [104]]
    branches = [s.branch for s in found[0]]
    assert branches == [None, None, *[Branch(root=r, position=1) for r in (0, 0, 1)]]


def test_no_completion_is_longer_than_allowed():
    found = sample_trees(
        RecordingEngine(), [[9]], [7], 4, ForkAt({3: 1, 0: 1}), measure, lambda numbers: numbers
    )
    assert [(len(s.completion_ids), s.truncated) for s in found[0]] == [(4, True)] * 4


def test_pruning_counts_what_it_throws_away():
    found = sample_trees(
        RecordingEngine(), [[3], [2]], [7, 8], 3, CutAt({1: 1}), measure, lambda numbers: numbers
    )
    assert [[(len(s.completion_ids), s.num_pruned) for s in group] for group in found] == [
        [(2, 1), (2, 1), (2, 2)],
        [(2, 0), (2, 0), (2, 0)],
    ]


# With a real engine and model.


@pytest.fixture(scope="module")
def engine(make_tiny_model, tiny_tokenizer):
    model = make_tiny_model(tied=False)
    with torch.no_grad():
        model.lm_head.weight.mul_(8.0)
    return TransformersEngine(model, tiny_tokenizer, SamplingSettings(max_completion_length=LENGTH))


def draw(engine, rule, number, prompts=PROMPTS, seeds=SEEDS):
    return sample_trees(engine, prompts, seeds, number, rule, measure, lambda numbers: numbers)


def test_without_forks_it_is_plain_sampling(engine):
    plain = engine.generate(PROMPTS, 5, SEEDS)
    assert draw(engine, EntropyFork(num_trees=5, num_forks=0), 5) == plain
    assert draw(engine, EntropyFork(num_trees=2, num_forks=0), 5) == plain
    assert draw(engine, ForkAt({}, num_roots=3), 5) == plain


def test_a_tree_does_not_depend_on_the_batch(engine):
    rule = ForkAt({3: 2, 1: 1})
    together = draw(engine, rule, 9)
    assert draw(engine, rule, 9, PROMPTS[::-1], SEEDS[::-1])[::-1] == together
    alone = [draw(engine, rule, 9, [p], [s])[0] for p, s in zip(PROMPTS, SEEDS, strict=True)]
    assert alone == together
    # A fork does not depend on the others either.
    other = draw(engine, ForkAt({3: 2}), 9)
    assert [s for s in together[0] if s.branch and s.branch.position == 3] == [
        s for s in other[0] if s.branch
    ]


def test_branches_begin_as_their_roots_and_end_like_any_completion(engine):
    for group in draw(engine, ForkAt({3: 2, 1: 1}), 9):
        assert len(group) == 9
        for one in group:
            assert 1 <= len(one.completion_ids) <= LENGTH
            assert one.truncated == (one.completion_ids[-1] != 1)
            assert 1 not in one.completion_ids[:-1]
            if one.truncated:
                assert len(one.completion_ids) == LENGTH
            if one.branch is not None:
                at, root = one.branch.position, group[one.branch.root]
                assert one.completion_ids[:at] == root.completion_ids[:at]


def test_a_branch_goes_on_as_the_engine_would_from_there(engine):
    # The first token of 1000 branches against the model's own distribution, which it is drawn from.
    number = 1000
    [group] = draw(engine, ForkAt({2: number}, num_roots=1), number + 1, PROMPTS[:1], SEEDS[:1])
    prefix = PROMPTS[0] + group[0].completion_ids[:2]
    with torch.no_grad():
        expected = engine.model(torch.tensor([prefix])).logits[0, -1].softmax(-1)
    counts = Counter(s.completion_ids[2] for s in group if s.branch)
    for token, probability in enumerate(expected.tolist()):
        deviation = (probability * (1 - probability) / number) ** 0.5
        assert abs(counts[token] / number - probability) < 5 * deviation + 1e-4
