"""Rules by name, a rule of one's own, and rules together."""

import pytest

from rl.errors import InputError
from rl.groups.scoring import score_group
from rl.training.curriculum.contract import PromptFact
from rl.training.curriculum.registry import build_curricula

PROMPTS = [PromptFact(prompt_id=str(i), rendered="?" * i, row=i) for i in range(4)]
OWN = """
class LongFirst:
    def order(self, rows, prompts):
        return sorted(rows, key=lambda row: -len(prompts[row].rendered))


class Half:
    def order(self, rows, prompts):
        return rows[: len(rows) // 2]


class Twice:
    def order(self, rows, prompts):
        return [*rows, rows[0]]


class Ranges:
    def order(self, rows, prompts):
        return range(2)


class Nested:
    def order(self, rows, prompts):
        return [[row] for row in rows]


class Never:
    num_tries = 5

    def teaches(self, scored):
        return False


class Neither:
    pass
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own_curriculum.py"
    path.write_text(OWN)
    return lambda name: f"{path}:{name}"


def test_no_rule_changes_nothing(make_group):
    curricula = build_curricula({})
    assert not curricula
    assert curricula.order([2, 0, 1], PROMPTS) == [2, 0, 1]
    assert curricula.teaches(score_group(make_group(["1"]), 0, {}, {}))
    assert (curricula.num_tries, curricula.signals) == (1, {})


def test_rules_of_ones_own_come_one_after_the_other(own, make_group):
    curricula = build_curricula({own("LongFirst"): {}, own("Half"): None, own("Never"): {}})
    assert curricula.order([0, 1, 2, 3], PROMPTS) == [3, 2]
    # The other way round: half of the rows first, then those by length.
    other = build_curricula({own("Half"): {}, own("LongFirst"): {}})
    assert other.order([0, 1, 2, 3], PROMPTS) == [1, 0]
    assert curricula.num_tries == 5
    assert not curricula.teaches(score_group(make_group(["1"]), 0, {}, {}))


def test_the_most_tries_of_the_rules_count():
    both = build_curricula({"majority_band": {"num_tries": 3}, "mixed_rewards": {"num_tries": 2}})
    assert both.num_tries == 3
    assert list(both.signals) == ["curriculum majority_band", "curriculum mixed_rewards"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"easy": {}}, "curriculum: got 'easy', expected one of data_stream, easy_first"),
        ({"easy_first": {"share": 0}}, "curriculum.easy_first.share: got 0"),
        ({"majority_band": {"lowest": 0}}, "majority_band: got 'lowest'"),
        ({"subprocess:Popen": {}}, "expected a class with a method order or teaches"),
    ],
)
def test_bad_settings_get_one_line(settings, message):
    with pytest.raises(InputError, match=message):
        build_curricula(settings)


def test_what_a_rule_may_not_do_is_said(own):
    with pytest.raises(InputError, match="expected a class with a method order or teaches"):
        build_curricula({own("Neither"): {}})
    with pytest.raises(InputError, match=r"got other rows than it was given, or one twice"):
        build_curricula({own("Twice"): {}}).order([0, 1], PROMPTS)
    with pytest.raises(InputError, match=r"got \[\[0\], \[1\]\], expected some of them"):
        build_curricula({own("Nested"): {}}).order([0, 1], PROMPTS)


def test_any_sequence_of_rows_is_an_order(own):
    assert build_curricula({own("Ranges"): {}}).order([3, 1, 0], PROMPTS) == [0, 1]
