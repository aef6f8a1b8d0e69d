"""Which groups of a run are chosen, and in what words."""

from rl.report.group_choice import (
    FLIP,
    Candidate,
    candidates_of_step,
    choice_note,
    choose_groups,
    mark_flips,
)
from rl.report.rollout_groups import group_lines


def visits(*answers, num_bytes=10, prompt="p"):
    """One group a step, of one prompt."""
    return [
        Candidate(
            step=i,
            position=0,
            prompt=(prompt, ""),
            majority=a,
            num_bytes=num_bytes,
            num_bytes_in_step=num_bytes,
        )
        for i, a in enumerate(answers)
    ]


def test_a_candidate_says_what_its_group_shows(make_line):
    [group] = group_lines([make_line(0, "1", 0.0), make_line(1, "1", 0.0), make_line(2, "2", 1.0)])
    first, found = candidates_of_step(5, [group, group])
    assert (found.step, found.position, found.prompt, found.majority) == (5, 1, ("p0", ""), "1")
    assert found.reasons == ["paid outside the majority"]
    assert 50 < found.num_bytes < 1000
    assert first.num_bytes == first.num_bytes_in_step
    assert found.num_bytes_in_step < found.num_bytes  # it says again what the first one said


def test_flips_lie_between_visits_with_a_majority():
    candidates = visits("3", None, "4", "4", "3")
    pairs = mark_flips(candidates)
    assert [(before.step, after.step) for before, after in pairs] == [(0, 2), (3, 4)]
    assert [one.reasons for one in candidates] == [[FLIP], [], [FLIP], [FLIP], [FLIP]]
    assert mark_flips(visits("3", "3")) == []
    # Another prompt's answer is no flip.
    assert mark_flips([*visits("3"), *visits("4", prompt="q")]) == []


def test_everything_is_shown_if_it_fits():
    candidates = visits("3", "4", "3")
    assert choose_groups(candidates, 30) == candidates
    assert candidates[0].reasons == [FLIP]
    assert choice_note(candidates, candidates) == ""
    assert choose_groups([], 0) == []


def test_groups_are_chosen_in_turn_for_what_they_show():
    # A flip from step 4 to 5, an odd reward at step 7, 12 steps, and room for 5 groups: the first
    # step (evenly spaced), both visits of the flip, the odd one; in the second turn the last step.
    candidates = visits(*["3"] * 5, *["4"] * 7)
    candidates[7].reasons.append("odd rewards")
    chosen = choose_groups(candidates, 50)
    assert [one.step for one in chosen] == [0, 4, 5, 7, 11]
    assert choice_note(candidates, chosen) == (
        "5 of 12 groups are shown, from 5 of 12 steps, chosen in turn: 2 of 2 before or after a "
        "flip of their prompt's majority, 1 of 1 with odd rewards (the best for no answer or a "
        "cut one, or some without any), and evenly spaced ones."
    )


def test_one_group_is_shown_whatever_it_takes():
    assert [one.step for one in choose_groups(visits("3", "3"), 5)] == [0]
