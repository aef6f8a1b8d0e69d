"""EVOL-RL's reward in its three readings; bands and edges counted by hand."""

import pickle

import numpy as np
import pytest

from rewards.evol_rl import EvolRL
from rl.answers.embedding import EmbeddingError, SentenceTransformerEmbedder, ServerEmbedder
from rl.errors import InputError
from rl.types import Group, Rollout

PRESETS = ("default", "paper", "reference_code")


class TableEmbedder:
    """Vectors chosen by hand: one per text, by default at right angles to all others."""

    def __init__(self, vectors=None):
        self.vectors = dict(vectors or {})
        self.texts = []

    def embed(self, texts):
        self.texts += texts
        for text in texts:
            self.vectors.setdefault(text, np.eye(64)[len(self.vectors)])
        return np.array([self.vectors[text] for text in texts], dtype=np.float32)


class FailingEmbedder:
    def embed(self, texts):
        raise EmbeddingError("embedder: got nothing, expected a vector.")


def by_hand(**settings):
    return EvolRL(**{"embedder": TableEmbedder(), "embedded_text": "completion", **settings})


def test_the_worked_example(make_group):
    # Similarities 1-2 .9, 1-3 .8, 1-4 .5, 1-5 .4, 2-3 .7, 2-4 .6, 2-5 .3, 3-4 .4, 3-5 .2, 4-5 .85
    # give the novelties .125 .15 .225 | .15 .15 (tests/rewards/test_novelty.py). All similarities
    # are taken times .9, so that there are vectors with them: u becomes 1 - .9 (1 - u), and the
    # positions stay 0, .25, 1 | equal.
    pairs = [0.9, 0.8, 0.5, 0.4, 0.7, 0.6, 0.3, 0.4, 0.2, 0.85]
    similarities = np.eye(5)
    similarities[np.triu_indices(5, 1)] = 0.9 * np.array(pairs)
    similarities = np.maximum(similarities, similarities.T)
    texts = [rf"way {i} \boxed{{{answer}}}" for i, answer in enumerate("77788")]
    vectors = dict(zip(texts, np.linalg.cholesky(similarities), strict=True))
    group = make_group(list("77788"), completions=texts)

    def scored(preset, order=range(5)):
        reward = by_hand(preset=preset, embedder=TableEmbedder(vectors))
        chosen = [group.rollouts[i] for i in order]
        return reward(Group(prompt_id="p", prompt="", rollouts=tuple(chosen)))

    majority = [0.5, 0.625, 1.0]
    expected = {"default": -0.75, "paper": -1.0, "reference_code": -0.75}
    for preset, minority in expected.items():
        assert scored(preset) == pytest.approx([*majority, minority, minority], abs=1e-5)
        # Another order of the rollouts only permutes the rewards, to the last digit.
        order = [3, 2, 0, 4, 1]
        assert scored(preset, order) == [scored(preset)[i] for i in order]


N = None  # not scored
EDGES = {
    # Answers, each in a box of its own text -> default, paper, reference_code. Equal answers are
    # equal texts, so novelties are equal within an answer; other texts are at right angles.
    "empty": ([], [], [], []),
    "singleton": (["7"], [0.75], [0.5], [1.0]),
    "silent_singleton": ([None], [N], [-1.0], [1.0]),  # TTRL's code: no answer wins
    "silent": ([None] * 3, [N] * 3, [-1.0] * 3, [-1.0] * 3),
    "one_valid": (["7", None], [0.75, -1.0], [0.5, -1.0], [-1.0, -1.0]),
    "all_equal": (["7"] * 3, [0.75] * 3, [0.5] * 3, [0.75] * 3),
    "all_different": (
        ["7", "8", "9"],
        [0.75, -0.75, -0.75],
        [0.5, -1.0, -1.0],
        [1.0, -0.75, -0.75],
    ),
    "tie": (["7", "8"], [0.75, -0.75], [0.5, -1.0], [1.0, -0.5]),
    "one_in_the_minority": (
        ["8", "7", "7"],
        [-0.75, 0.75, 0.75],
        [-1.0, 0.5, 0.5],
        [-0.5, 0.75, 0.75],
    ),
    "equal_minority": (
        ["7", "7", "7", "8", "8"],
        [0.75] * 3 + [-0.75] * 2,
        [0.5] * 3 + [-1.0] * 2,
        [0.75] * 3 + [-0.75] * 2,
    ),
    "no_digit_wins": (
        [r"\pi", r"\pi", "8", "9"],
        [0.75, 0.75, -0.75, -0.75],
        [-1.0, -1.0, 0.5, -1.0],
        [-1.0, -1.0, -0.75, -0.75],
    ),
    "silence_wins": (
        [None, None, None, "8", "8"],
        [-1.0] * 3 + [0.75] * 2,
        [-1.0] * 3 + [0.5] * 2,
        [-1.0] * 3 + [-0.75] * 2,
    ),
    "forms": (
        ["0.5", r"\frac{1}{2}", "7", "7", "1/2"],  # strings: the sevens win
        [0.75, 0.75, -0.75, -0.75, 0.75],  # classes: the halves win
        [-1.0, -1.0, 0.5, 0.5, -1.0],
        [0.75, 0.75, -0.75, -0.75, 0.75],  # the fractions are one spelling, equal to 0.5
    ),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("preset", PRESETS)
def test_edges(make_group, preset, edge):
    answers, *expected = EDGES[edge]
    assert by_hand(preset=preset)(make_group(answers)) == expected[PRESETS.index(preset)]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_dropped_tie_is_not_scored(make_group, preset):
    assert by_hand(preset=preset, tie="drop")(make_group(["7", "8", None])) == [None] * 3
    assert None not in by_hand(preset=preset, tie="drop")(make_group(["7", "8", "7"]))


def test_clusters_are_computed_where_there_are_none():
    rollouts = [Rollout(completion=text, answer=text) for text in ("0.5", "1/2", "7")]
    group = Group(prompt_id="p", prompt="", rollouts=tuple(rollouts))
    assert by_hand()(group) == [0.75, 0.75, -0.75]


@pytest.mark.parametrize(
    ("completion", "is_valid"),
    [
        (r"\boxed{\frac{1}{2}}", True),  # the first } comes after \frac{1
        (r"\boxed{7} and \boxed{\pi}", True),
        (r"\boxed{\boxed{7}", True),
        (r"<think>so \boxed{\pi}</think>\boxed{7}", True),
        # What the thought says does not count, unless it never ends.
        (r"<think>so \boxed{7}</think>", False),
        (r"\boxed{7}</think>it is 7</think>", False),
        (r"<think>\boxed{7}", True),
        (r"\boxed{\pi}", False),
        (r"\boxed{\text{a}7}", False),
        (r"\boxed {7}", False),
        (r"\boxed{7", False),
        ("7", False),
        ("\\boxed{" * 150_000, False),
        ("\\boxed{}" * 120_000, False),
    ],
)
def test_validity_of_the_reference_code(make_group, completion, is_valid):
    texts = [completion, r"\boxed{8}", r"\boxed{8}"]
    [first, *_] = by_hand(preset="reference_code")(make_group(["7", "8", "8"], completions=texts))
    assert first == (-0.5 if is_valid else -1.0)


def test_validity_of_the_paper_is_the_last_box(make_group):
    texts = [r"\boxed{7} or \boxed{\pi}", r"\boxed{8}", r"\boxed{\pi} or \boxed {8}", "8"]
    rewards = by_hand(preset="paper")(make_group(["7", "8", "8", "8"], completions=texts))
    assert rewards == [-1.0, 0.5, 0.5, -1.0]


def test_negative_similarities_are_clipped_by_the_reference_code_alone(make_group):
    # Three majority responses at 0, 120 and 180 degrees. Cosines: -.5, -1, .5.
    # u = 1 - .5 mean - .5 max: 1: 1 + .375 + .25 = 1.625; 2: 1 - 0 - .25 = .75;
    # 3: 1 + .125 - .25 = .875. Clipped cosines: 0, 0, .5: u = 1, .625, .625.
    texts = [rf"{i} \boxed{{7}}" for i in range(3)]
    vectors = dict(zip(texts, [(1, 0), (-0.5, 0.75**0.5), (-1, 0)], strict=True))
    group = make_group(["7"] * 3, completions=texts)
    plain = by_hand(embedder=TableEmbedder(vectors))(group)
    assert plain == pytest.approx([1.0, 0.5, 0.5 + 0.5 * 0.125 / 0.875])
    clipped = by_hand(preset="reference_code", embedder=TableEmbedder(vectors))(group)
    assert clipped == pytest.approx([1.0, 0.5, 0.5])


@pytest.mark.parametrize(
    ("part", "completion", "expected"),
    [
        ("completion", r"a</think>b \boxed{7}", r"a</think>b \boxed{7}"),
        ("after_think", r"a</think>b</think>\boxed{7}", r"b</think>\boxed{7}"),
        ("after_think", r"a \boxed{7}", r"a \boxed{7}"),
        ("after_think", "a</think>\n\nb ", "b"),
        ("after_think", r"\boxed{7}</think> ", r"\boxed{7}</think> "),
        ("reasoning", r"3+4. \boxed{7} done", "3+4. "),
        ("reasoning", r"\boxed{1}, no, \boxed{7}", r"\boxed{1}, no, "),
        ("reasoning", "the answer is 7", "the answer is 7"),
        ("reasoning", r"x<think>a</think>b \boxed{7}", "a"),
        ("reasoning", r"a</think>b</think> \boxed{7}", "a</think>b"),
        ("reasoning", r"<think>a \boxed{7}", r"a \boxed{7}"),
        ("reasoning", r"a</think><think>\boxed{7}", "a"),
        ("reasoning", r"\boxed{7}", r"\boxed{7}"),
        ("reasoning", r"<think> </think>\boxed{7}", r"<think> </think>\boxed{7}"),
    ],
)
def test_embedded_text(make_group, part, completion, expected):
    embedder = TableEmbedder()
    by_hand(embedded_text=part, embedder=embedder)(make_group(["7"], completions=[completion]))
    assert embedder.texts == [expected]


@pytest.mark.parametrize(
    ("preset", "expected"), [("default", "a"), ("paper", "a"), ("reference_code", r"\boxed{7}")]
)
def test_preset_chooses_the_embedded_text(make_group, preset, expected):
    embedder = TableEmbedder()
    texts = [r"a</think>\boxed{7}"] * 2
    group = make_group(["7"] * 2, completions=texts)
    EvolRL(preset=preset, embedder=embedder)(group)
    assert embedder.texts == [expected] * 2


def test_without_novelty_nothing_is_embedded(make_group):
    reward = EvolRL(novelty=False, embedder=FailingEmbedder())
    assert reward(make_group(["7", "7", "8", None])) == [0.75, 0.75, -0.75, -1.0]


def test_correct_answers_take_the_majoritys_place(make_group):
    group = make_group(["7", "7", "7", "8.0", "8", None])
    reward = by_hand(selection="correctness")
    assert reward.sees_labels
    assert not by_hand().sees_labels
    assert reward(group) == [None] * 6
    reward.set_labels({"p": "8", "q": "7"})
    # "8.0" and "8" are at right angles to all; the sevens are equal to one another.
    assert reward(group) == [-0.75] * 3 + [0.75, 0.75, -1.0]
    assert pickle.loads(pickle.dumps(reward))(group) == reward(group)
    reward.set_labels({})
    assert reward(group) == [None] * 6
    # Labels do not reach the vote.
    voting = by_hand()
    voting.set_labels({"p": "8"})
    assert voting(group) == [0.75] * 3 + [-0.75, -0.75, -1.0]


def test_a_failed_embedding_is_never_novel(make_group, caplog):
    group = make_group(["7", "7", "8", None])
    with pytest.raises(EmbeddingError):
        EvolRL(embedder=FailingEmbedder())(group)
    for preset in PRESETS:
        reward = EvolRL(preset=preset, embedder=FailingEmbedder(), on_embedding_failure="midpoint")
        assert reward(group) == [0.75, 0.75, -0.75, -1.0]
    assert "got nothing, expected a vector" in caplog.text


@pytest.mark.medium
def test_real_embeddings_pay_the_other_reasoning_most(make_group):
    usual = ["Add seven and five to get twelve.", "Seven plus five is twelve.", "7 + 5 is 12."]
    other = "Start at a dozen eggs; breaking five leaves seven, so the basket held a dozen."
    texts = [rf"{text} \boxed{{12}}" for text in [*usual, other]] + [r"Guess. \boxed{3}"]
    group = make_group(["12"] * 4 + ["3"], completions=texts)
    for preset in PRESETS:
        rewards = EvolRL(preset=preset)(group)
        assert rewards[3] == 1.0
        assert min(rewards[:3]) == 0.5
    # The same text may come up many times in a collapsed group.
    twins = make_group(["12"] * 6, completions=[texts[0]] * 6)
    assert EvolRL()(twins) == [0.75] * 6


def test_embedder_by_name_and_address():
    named = EvolRL(embedder="some/model", embedder_device="cpu", max_embedding_tokens=9)
    assert named._find_embedder() == SentenceTransformerEmbedder(
        model="some/model", device="cpu", max_tokens=9
    )
    served = EvolRL(embedder="some/model", embedder_url="http://h:1/v1", max_embedding_tokens=9)
    assert served._find_embedder() == ServerEmbedder(
        url="http://h:1/v1", model="some/model", max_tokens=9
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "papr"}, "Did you mean 'paper'"),
        ({"tie": "last"}, "tie: got 'last', expected 'first' or 'drop'"),
        ({"alpha": 1.5}, "EvolRL.alpha: got 1.5, expected at most 1"),
        ({"alpha": float("nan")}, "EvolRL.alpha: got nan"),
        ({"embedded_text": "reason"}, "Did you mean 'reasoning'"),
        ({"selection": "label"}, "expected 'majority' or 'correctness'"),
        ({"on_embedding_failure": "random"}, "expected 'stop' or 'midpoint'"),
        ({"embedder_url": "host"}, "embedder_url: got 'host'"),
        ({"max_embedding_tokens": 0}, "max_embedding_tokens: got 0"),
        ({"embedder": ""}, "model: got ''"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(InputError) as caught:
        EvolRL(**settings)
    assert message in str(caught.value)


def test_pickled_without_a_model(make_group):
    reward = EvolRL(preset="paper", alpha=0.3)
    rewards = reward(make_group(["7", "7", "8"]))
    pickled = pickle.dumps(reward)
    assert len(pickled) < 1000
    assert pickle.loads(pickled) == reward
    assert pickle.loads(pickled)(make_group(["7", "7", "8"])) == rewards
