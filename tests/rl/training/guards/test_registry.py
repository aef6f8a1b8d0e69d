"""Guards by name: defaults, the short form, plug-ins, and what is refused."""

import pytest

from rl.errors import InputError
from rl.training.guards.contract import GO_ON, StepReport
from rl.training.guards.registry import GUARDS, build_guards


def test_two_guards_are_on_and_can_be_turned_off():
    guards = build_guards({})
    assert list(guards) == ["collapse", "non_finite"]
    assert guards["collapse"].action == "warn"
    assert list(build_guards({"collapse": False, "non_finite": False})) == []


def test_a_word_is_the_action():
    assert build_guards({"collapse": "roll_back"})["collapse"].action == "roll_back"
    settings = {"collapse": {"action": "stop", "window": 5}, "budget": {"max_steps": 3}}
    guards = build_guards(settings)
    assert (guards["collapse"].window, guards["budget"].max_steps) == (5, 3)


def test_every_guard_goes_on_at_a_step_that_says_nothing():
    settings = {"budget": {"max_steps": 10}}
    guards = build_guards(dict.fromkeys(GUARDS) | settings)
    assert set(guards) == set(GUARDS)
    nothing = StepReport(step=1, metrics={}, max_completion_length=1)
    assert {name: guard.check(nothing) for name, guard in guards.items()} == dict.fromkeys(
        GUARDS, GO_ON
    )


def test_a_guard_of_ones_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "class Mine:\n    def __init__(self, limit: int = 3):\n        self.limit = limit\n"
        "    def check(self, report): ...\n"
        "class Other:\n    pass\n"
    )
    assert build_guards({f"{path}:Mine": {"limit": 7}})[f"{path}:Mine"].limit == 7
    with pytest.raises(InputError, match="expected a class with check"):
        build_guards({f"{path}:Other": {}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colapse": {}}, "guard: got 'colapse'.*Did you mean 'collapse'"),
        ({"collapse": "panic"}, "guards.collapse.action: got 'panic'"),
        ({"collapse": {"windw": 3}}, "setting of guards.collapse: got 'windw'"),
        ({"collapse": 3}, "guards.collapse: got 3, expected settings"),
        ({"budget": {}}, "guards.budget: got no limit"),
        ({"budget": {"max_tokens": -1}}, "guards.budget.max_tokens: got -1"),
        ({"non_finite": {"max_in_a_row": 0}}, "guards.non_finite.max_in_a_row: got 0"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        build_guards(given)
