"""Classes that hold in all wordings of a problem, and groups that know their sisters."""

from dataclasses import replace

import pytest

from rl.answers.views import cluster_views, link_views, renumbered
from rl.types import Group, Rollout


def make_group(clusters, view=0, problem="0-0"):
    rollouts = tuple(Rollout(completion=str(c), answer=c and str(c), cluster=c) for c in clusters)
    return Group(prompt_id=f"p{view}", prompt="", visit=problem, view=view, rollouts=rollouts)


def clusters_of(group):
    return [rollout.cluster for rollout in group.rollouts]


def test_no_answers():
    assert cluster_views([]) == []
    assert cluster_views([[], [None]]) == [[], [None]]


def test_one_class_has_one_number_in_all_wordings():
    # 1/2 is 0.5; 3 appears in the second wording only.
    assert cluster_views([["7", "1/2"], ["3", "0.5", None]]) == [[0, 1], [2, 1, None]]


def test_an_answer_of_a_sister_may_join_two_of_ones_own():
    # As within a group: 1.414214 and 1.41421356 are different, and sqrt(2) is both.
    assert cluster_views([["1.414214", "1.41421356"]]) == [[0, 1]]
    assert cluster_views([["1.414214", "1.41421356"], [r"\sqrt{2}"]]) == [[0, 0], [0]]


def test_without_other_wordings_groups_stay_as_they_are():
    groups = [make_group([0, 1]), make_group([0])]
    assert link_views(groups, 1) == groups
    assert link_views([], 3) == []


def test_each_group_sees_its_sisters_in_its_own_numbers():
    first, second = make_group([0, 1, None]), make_group([2, 1, 2], view=1)
    own, other = link_views([first, second], 2)
    assert clusters_of(own) == [0, 1, None]
    assert [clusters_of(view) for view in own.views] == [[2, 1, 2]]
    # Counted from the second: its 2 is 0, 1 stays 1, and 0 of the first comes third.
    assert clusters_of(other) == [0, 1, 0]
    assert [clusters_of(view) for view in other.views] == [[2, 1, None]]
    assert [view.view for view in other.problem] == [view.view for view in own.problem] == [0, 1]
    assert [view.views for view in own.views] == [()]


def test_problems_do_not_mix():
    groups = [make_group([i], view, f"0-{i}") for i in range(2) for view in range(3)]
    for group in link_views(groups, 3):
        assert {view.visit for view in group.problem} == {group.visit}
        assert [view.view for view in group.problem] == [0, 1, 2]
    with pytest.raises(ValueError, match="got 5, expected a multiple of 3"):
        link_views(groups[:5], 3)


def test_classes_are_counted_over_the_group_its_views_and_their_teachers():
    teachers = [make_group([7, 3]), make_group([8, 5], view=1)]
    group = replace(
        make_group([5, None, 3]),
        teacher=teachers[0],
        views=(replace(make_group([3, 4], view=1), teacher=teachers[1]),),
    )
    found = renumbered(group)
    assert clusters_of(found) == [0, None, 1]
    assert clusters_of(found.views[0]) == [1, 2]
    assert clusters_of(found.teacher) == [3, 1]
    assert clusters_of(found.views[0].teacher) == [4, 0]
    assert renumbered(found) == found
