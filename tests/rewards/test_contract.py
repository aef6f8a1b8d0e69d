"""What every registered reward keeps to, and that the checks of it can fail."""

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from rewards import REWARDS, get_reward_for_run
from rewards.contract import (
    CHECKS,
    EXAMPLE_ANSWERS,
    EXAMPLE_TEACHERS,
    EXAMPLE_VIEWS,
    WARNINGS,
    check_reward,
    example_groups,
    reordered,
    with_token_statistics,
)
from rl.answers.votes import vote_over_classes
from rl.errors import InputError

GROUPS = example_groups()
each_reward = pytest.mark.parametrize("name", REWARDS)


class LetterCounts:
    """Embeds a text as the counts of a few characters: a model that needs no download."""

    def embed(self, texts):
        counts = [[1.0, *(text[:10_000].count(c) for c in "aeost x=+")] for text in texts]
        vectors = np.array(counts, dtype=np.float32).reshape(len(texts), -1)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


SETTINGS: dict[str, dict] = {"evol_rl": {"embedder": LetterCounts()}}


def build(name):
    run_settings = {"max_completion_length": 256}
    reward, _ = get_reward_for_run(name, SETTINGS.get(name, {}), run_settings)
    if getattr(reward, "sees_labels", False):
        reward.set_labels({group.prompt_id: "2" for group in GROUPS.values()})
    return reward


@each_reward
@pytest.mark.parametrize("group_name", GROUPS)
def test_every_reward_keeps_the_contract(name, group_name):
    findings = check_reward(build(name), {group_name: GROUPS[group_name]})
    assert [finding for finding in findings if finding.problem] == []


@each_reward
@pytest.mark.parametrize("group_name", GROUPS)
def test_one_float_or_none_per_rollout(name, group_name):
    rewards = build(name)(GROUPS[group_name])
    assert len(rewards) == len(GROUPS[group_name].rollouts)
    assert all(reward is None or type(reward) is float for reward in rewards)


@each_reward
def test_another_object_gives_the_same_rewards(name):
    reward, other = build(name), build(name)
    for group in GROUPS.values():
        assert other(group) == reward(group)


def test_example_groups_are_what_their_names_say():
    assert example_groups() == GROUPS
    assert GROUPS.keys() == {*EXAMPLE_ANSWERS, *EXAMPLE_VIEWS, *EXAMPLE_TEACHERS}
    clusters = {name: [r.cluster for r in group.rollouts] for name, group in GROUPS.items()}
    assert Counter(clusters["majority"]) == {0: 9, 1: 4, 2: 2, None: 1}
    assert clusters["forms"] == [0, 0, 0, 1, None, 1]
    assert clusters["tie"] == [0, 1, 1, 0]
    assert clusters["all_silent"] == [None] * 8
    assert all(len(r.completion) > 990_000 for r in GROUPS["long"].rollouts)


def test_made_up_statistics_are_possible_ones():
    for group in GROUPS.values():
        for rollout in group.rollouts:
            statistics = rollout.token_statistics
            assert statistics is not None
            lists = (statistics.logps, statistics.entropies, statistics.self_certainties)
            assert {len(values) for values in lists} == {rollout.num_tokens}
            assert max(statistics.logps) <= 0 <= min(statistics.entropies)
            assert min(statistics.self_certainties) >= 0
            assert sum(statistics.in_answer) == (0 if rollout.answer is None else 3)
        assert with_token_statistics(group) == group


def test_another_order_keeps_the_classes():
    group = reordered(GROUPS["forms"], GROUPS["forms"].rollouts[::-1])
    assert [r.cluster for r in group.rollouts] == [0, None, 0, 1, 1, 1]
    # Of 2 2 2 3 3 - and 3 3 3 2 5 5.
    group = reordered(GROUPS["views"], GROUPS["views"].rollouts[::-1])
    assert [r.cluster for r in group.rollouts] == [None, 0, 0, 1, 1, 1]
    assert [[r.cluster for r in view.rollouts] for view in group.views] == [[0, 0, 0, 1, 2, 2]]


class Remembering:
    """Pays 1.0; what it does wrong is set by the test."""

    def __init__(self, **broken):
        self.broken = broken
        self.calls = 0
        self.seen = []

    def __call__(self, group) -> list[float | None]:
        self.calls += 1
        if "remembers_calls" in self.broken:
            return [float(self.calls)] * len(group.rollouts)
        if "remembers_scoring" in self.broken:
            self.seen.append(group.prompt_id)
        return [float(len(self.seen))] * len(group.rollouts)

    def observe(self, groups):
        self.seen += [group.prompt_id for group in groups]

    def state_dict(self):
        return {"seen": tuple(self.seen) if "tuple" in self.broken else list(self.seen)}

    def load_state_dict(self, state):
        if "forgets" not in self.broken:
            self.seen = state["seen"]


@dataclass
class Between:
    """Changes its mind after another group."""

    names: list = field(default_factory=list)

    def __call__(self, group):
        if group.prompt_id not in self.names:
            self.names.append(group.prompt_id)
        return [float(len(self.names))] * len(group.rollouts)


def rewrite(group) -> list[float | None]:
    object.__setattr__(group, "prompt", "changed")
    return [0.0] * len(group.rollouts)


class Telling:
    """Pays the last rollout, and tells of the group what the test says."""

    def __init__(self, **told):
        self.told = told

    def __call__(self, group) -> list[float | None]:
        return [float(rollout is group.rollouts[-1]) for rollout in group.rollouts]

    def vote(self, group):
        return replace(vote_over_classes([], []), **self.told)

    def group_weight(self, group):
        return self.told["weight"]

    def group_metrics(self, group):
        return self.told["metrics"]


def fail(group):
    raise ZeroDivisionError("nobody voted")


BROKEN = {
    "returned tuple, expected a list": ("one value per rollout", lambda g: (1.0,) * 16),
    "returned 1 values for 16 rollouts": ("one value per rollout", lambda g: [1.0]),
    "raised ZeroDivisionError: nobody voted": ("one value per rollout", fail),
    "rollout 0 got nan": ("finite or None", lambda g: [float("nan")] * 16),
    "rollout 0 got 'good'": ("finite or None", lambda g: ["good"] * 16),
    "the second call returned": ("same group, same rewards", Remembering(remembers_calls=True)),
    "a call with another group": ("same group, same rewards", Between()),
    "the group was changed": ("input untouched", rewrite),
    "raised": ("picklable", lambda g: [1.0] * 16),
    "in another order": ("order of rollouts plays no part", lambda g: [*map(float, range(16))]),
    "scoring changed the memory": (
        "memory is plain JSON and changes in observe alone",
        Remembering(remembers_scoring=True),
    ),
    "a trip through JSON changed it": (
        "memory is plain JSON and changes in observe alone",
        Remembering(tuple=True),
    ),
    "differs from the one that goes on": (
        "memory is plain JSON and changes in observe alone",
        Remembering(forgets=True),
    ),
    "selected 0 values for 16 rollouts": ("vote says what is paid", Telling()),
    "without a pseudo-label": ("vote says what is paid", Telling(selected=(True,) * 16)),
    "is paid less than one it does not": (
        "vote says what is paid",
        Telling(pseudo_label="2", selected=(True,) + (False,) * 15),
    ),
    "group_weight returned -1.0": ("group weight is a factor", Telling(weight=-1.0)),
    "group_metrics returned {'share': None}": (
        "group metrics are numbers",
        Telling(metrics={"share": None}),
    ),
    "whether a rollout is trained": (
        "trained or not plays no part",
        lambda g: [float(r.trained) for r in g.rollouts],
    ),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_each_check_can_fail(problem):
    check, reward = BROKEN[problem]
    findings = {f.check: f for f in check_reward(reward, {"majority": GROUPS["majority"]})}
    assert (findings[check].problem or "").startswith("group 'majority': ")
    assert problem in findings[check].problem
    assert findings[check].is_warning == (check in WARNINGS)


def test_every_check_is_shown_to_fail():
    assert {check for check, _ in BROKEN.values()} == CHECKS.keys()


def test_checks_leave_reward_and_groups_alone():
    reward = Remembering()
    check_reward(reward, GROUPS)
    check_reward(rewrite, GROUPS)
    assert reward.seen == []
    assert example_groups() == GROUPS


def test_what_the_user_must_mend_is_no_finding():
    def without_model(group):
        raise InputError("embedder: got none, expected a model. Name one.")

    with pytest.raises(InputError, match="expected a model"):
        check_reward(without_model, GROUPS)


def test_ties_may_be_decided_by_the_order():
    def pay_the_first(group) -> list[float | None]:
        return [float(g == 0) for g in range(len(group.rollouts))]

    checked = check_reward(pay_the_first, {name: GROUPS[name] for name in ("tie", "all_different")})
    problems = {finding.check: finding.problem for finding in checked}
    assert problems["order of rollouts plays no part"] is None
    # Texts are tied here, classes are not: rewards that count texts may go by the order.
    forms = replace(GROUPS["forms"], rollouts=GROUPS["forms"].rollouts[:4])
    problems = {f.check: f.problem for f in check_reward(pay_the_first, {"forms": forms})}
    assert problems["order of rollouts plays no part"] is None
