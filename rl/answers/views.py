"""Groups of one problem in several wordings: answers in classes that hold in all of them."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, chain, pairwise

from rl.answers.clusters import cluster_answers
from rl.types import Group, Rollout


def cluster_views(answers: Sequence[Sequence[str | None]]) -> list[list[int | None]]:
    """Number the classes of equal answers over all wordings of a problem.

    Args:
        answers: For each wording, one answer per rollout, None where there is none.

    Returns:
        For each wording the class of each answer. One class has one number in all of them, counted
        from 0 in order of first appearance, the first wording first; None for no answer.

    Example:
        >>> cluster_views([["7", None], ["0.5", "7.0"]])
        [[0, None], [1, 0]]
    """
    together = cluster_answers(list(chain(*answers)))
    ends = accumulate(map(len, answers), initial=0)
    return [together[start:end] for start, end in pairwise(ends)]


def renumbered(group: Group) -> Group:
    """Number the classes of a group from 0, as they appear in it, its views and its teachers.

    Args:
        group: Its views and teachers have their classes in common with it.
    """
    numbers: dict[int, int] = {}

    def number(rollout: Rollout) -> Rollout:
        old = rollout.cluster
        new = None if old is None else numbers.setdefault(old, len(numbers))
        return rollout if new == old else replace(rollout, cluster=new)

    def numbered(part: Group) -> Group:
        return replace(part, rollouts=tuple(map(number, part.rollouts)))

    own, *views = map(numbered, (group, *group.views))
    taught = [
        view if view.teacher is None else replace(view, teacher=numbered(view.teacher))
        for view in (own, *views)
    ]
    return replace(taught[0], views=tuple(taught[1:]))


def link_views(groups: Sequence[Group], num_views: int) -> list[Group]:
    """Give each group those of the other wordings of its problem.

    Args:
        groups: `num_views` of each problem in turn, with their classes in common
            (`cluster_views`).
        num_views: Wordings of a problem; with 1 the groups come back as they are.

    Returns:
        The groups, in order, each with `Group.views`, and its classes numbered as they appear in
        its own rollouts first.

    Raises:
        ValueError: If the groups do not make whole problems.
    """
    if num_views == 1:
        return list(groups)
    if len(groups) % num_views:
        raise ValueError(f"groups: got {len(groups)}, expected a multiple of {num_views}.")
    linked = []
    for start in range(0, len(groups), num_views):
        problem = groups[start : start + num_views]
        for i, group in enumerate(problem):
            views = (*problem[:i], *problem[i + 1 :])
            linked.append(renumbered(replace(group, views=views)))
    return linked
