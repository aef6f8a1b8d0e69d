"""Weights of votes, each computed by hand; degenerate groups first."""

import math
import pickle

import pytest

from rewards.vote_weights import (
    VOTE_WEIGHTS,
    Borda,
    Finished,
    History,
    Length,
    Repetition,
    StepConfidence,
    equal,
    get_vote_weight,
    split_steps,
    token_probability,
)
from rl.errors import InputError
from rl.types import Group, Rollout, TokenStatistics


def make_group(*rollouts, prompt_id="p"):
    return Group(prompt_id=prompt_id, prompt="1+1=", rollouts=rollouts)


def sure(*certainties, logps=None, pieces=()):
    """Make a rollout from its tokens' self-certainties."""
    zeros = (0.0,) * len(certainties)
    statistics = TokenStatistics(
        logps=zeros if logps is None else logps,
        entropies=zeros,
        self_certainties=certainties,
        in_answer=(False,) * len(certainties),
        pieces=pieces,
    )
    return Rollout(completion="", token_statistics=statistics)


def said(*texts):
    return make_group(*(Rollout(completion=text, answer=text) for text in texts))


@pytest.mark.parametrize("name", VOTE_WEIGHTS)
def test_every_weight_is_a_number_from_0_on_or_none(name):
    weigh = get_vote_weight(name, "by")
    assert weigh(make_group()) == []
    group = make_group(Rollout(completion=""), sure(2.0), sure(), sure(math.inf))
    weights = weigh(group)
    assert len(weights) == 4
    assert all(w is None or (math.isfinite(w) and w >= 0) for w in weights)
    assert pickle.loads(pickle.dumps(weigh))(group) == weights


def test_equal():
    assert equal(said("1", "2")) == [1.0, 1.0]


def test_borda_goes_by_rank():
    # Means 3, 1, 5 of N = 3: ranks 2, 3, 1, so 2, 1 and 3 votes to the power.
    group = make_group(sure(2.0, 4.0), sure(1.0), sure(5.0))
    assert Borda(power=1.0)(group) == [2.0, 1.0, 3.0]
    assert Borda(power=2.0)(group) == [4.0, 1.0, 9.0]
    assert Borda(power=0.0)(group) == [1.0, 1.0, 1.0]
    assert Borda()(group) == pytest.approx([2**0.3, 1.0, 3**0.3])
    # Two share ranks 1 and 2: 2.5 votes each. What has no statistics is not ranked.
    tied = make_group(sure(4.0), Rollout(completion=""), sure(1.0), sure(4.0))
    assert Borda(power=1.0)(tied) == [2.5, None, 1.0, 2.5]


@pytest.mark.parametrize(("size", "power"), [(16, 0.3), (31, 0.3), (32, 1.2), (64, 1.2)])
def test_borda_s_power_goes_by_the_size_of_the_group(size, power):
    group = make_group(*(sure(float(i)) for i in range(size)))
    assert max(Borda()(group)) == pytest.approx(size**power)


def test_steps_end_with_the_separator():
    assert split_steps((), "\n\n") == []
    assert split_steps(("a",), "\n\n") == [(0, 1)]
    assert split_steps(("a.\n\n", "b", "\n\n"), "\n\n") == [(0, 1), (1, 3)]
    assert split_steps(("\n", "\n"), "\n\n") == [(0, 2)]  # only a token can end a step, as there


def test_each_step_counts_alike():
    # Steps (1, 3) and (8): (2 + 8) / 2 = 5; the mean over tokens would be 4.
    rollout = sure(1.0, 3.0, 8.0, logps=(-0.5, -1.5, -4.0), pieces=("a", "\n\n", "b"))
    assert StepConfidence()(make_group(rollout)) == [5.0]
    assert StepConfidence(separator="b")(make_group(rollout)) == [4.0]
    # The code's: (1 + 4) / 2 = 2.5, more for the less likely text.
    assert StepConfidence(confidence="reference_code")(make_group(rollout)) == [2.5]
    # Without the tokens' text all are one step; without tokens, or statistics, nothing is known.
    assert StepConfidence()(make_group(sure(1.0, 3.0), sure(), Rollout(completion=""))) == [
        2.0,
        None,
        None,
    ]


def test_token_probability_is_a_geometric_mean():
    # sqrt(1/2 * 1/8) = 1/4.
    group = make_group(sure(0.0, 0.0, logps=(math.log(0.5), math.log(0.125))), sure())
    assert token_probability(group) == [pytest.approx(0.25), None]


def test_length_beside_the_median():
    # Lengths 2, 4, 8 with median 4; an empty text counts as one character.
    group = said("ab", "abcd", "abcdefgh")
    assert Length()(group) == [2.0, 1.0, 0.5]
    assert Length(power=1.0)(group) == [0.5, 1.0, 2.0]
    assert Length(power=0.0)(said("", "abc")) == [1.0, 1.0]
    assert Length(power=1.0)(said("", "a")) == [1.0, 1.0]


def test_repetition():
    # "a a a a" has 3 pairs, 1 distinct: 2/3 repeat; "a b" has none that does.
    group = said("a a a a", "a b", "")
    assert Repetition(ngram=2)(group) == pytest.approx([1 / 3, 1.0, 1.0])
    assert Repetition(ngram=2, power=2.0)(group) == pytest.approx([1 / 9, 1.0, 1.0])


def test_finished_wants_a_box_and_an_end():
    group = make_group(
        Rollout(completion=r"\boxed{2}"),
        Rollout(completion=r"\boxed{2}", truncated=True),
        Rollout(completion="2"),
    )
    assert Finished()(group) == [1.0, 0.0, 0.0]
    assert Finished(otherwise=0.5)(group) == [1.0, 0.5, 0.5]


def test_history_adds_what_was_said_before():
    weigh = History(strength=2.0, decay=0.5)
    first, second = said("2", "2.0", "3", "3"), said("3", "3", "4", "5")
    assert weigh(first) == [1.0] * 4
    weigh.observe([first])
    # 2 and 3 had half of the votes each: 1 + 2 * 1/2.
    assert weigh(said("2", "3", "4")) == [2.0, 2.0, 1.0]
    weigh.observe([second])
    # 2: 1/4. 3: 1/4 + 1/2 * 1/2 = 1/2. 4 and 5: 1/8.
    assert weigh(said("2.0", "3", "4", "6")) == [1.5, 2.0, 1.25, 1.0]
    assert weigh(make_group(Rollout(completion="", answer="2"), prompt_id="other")) == [1.0]
    resumed = History(strength=2.0)
    resumed.load_state_dict(weigh.state_dict())
    assert resumed(said("3", "4")) == [2.0, 1.25]


def test_history_forgets_and_is_not_moved_by_silence():
    weigh = History(decay=0.1)
    weigh.observe([said("2")])
    before = weigh.state_dict()
    weigh.observe([make_group(Rollout(completion="?"))])
    assert weigh.state_dict() == before
    weigh.observe([said("3"), said("3")])  # 2 is left with 0.1 * 0.1 = 0.01, then with less
    weigh.observe([said("3")])
    assert weigh.state_dict()["shares"]["p"].keys() == {"3"}


def test_what_can_be_named(tmp_path, monkeypatch):
    assert get_vote_weight({"length": {"power": 2}}, "by") == Length(power=2.0)
    assert get_vote_weight({"equal": None}, "by")(said("1")) == [1.0]
    with pytest.raises(InputError, match=r"by: got 'lenght', expected one of .*length"):
        get_vote_weight("lenght", "by")
    with pytest.raises(InputError, match=r"setting of by.length: got 'powr'"):
        get_vote_weight({"length": {"powr": 1}}, "by")
    for several in ({}, {"equal": {}, "length": {}}):
        with pytest.raises(InputError, match=r"by: got .*, expected one weight"):
            get_vote_weight(several, "by")
    path = tmp_path / "mine.py"
    path.write_text("def late(group):\n    return [float(i) for i, _ in enumerate(group.rollouts)]")
    monkeypatch.setattr("rl.plugins._allowed", set())
    with pytest.raises(InputError, match="--allow_code"):
        get_vote_weight(f"{path}:late", "by")


def test_your_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def late(group):\n    return [float(i) for i, _ in enumerate(group.rollouts)]")
    assert get_vote_weight(f"{path}:late", "by")(said("1", "2")) == [0.0, 1.0]
    path = tmp_path / "other.py"
    path.write_text("def late(rows):\n    return rows")
    with pytest.raises(InputError, match="takes group first"):
        get_vote_weight(f"{path}:late", "by")
