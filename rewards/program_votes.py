"""Program votes as a weight of votes: what the group's own programs print votes too.

Source: ours, after T3RL (arXiv 2603.02203): there a program only confirms the answer of the rollout
    that it was made of. Here what it prints counts for whoever gave that answer.
    A completion that was sampled without a tool makes the output of its program up and goes on from
    there, so that its program is often right where its answer is not.
Fails when: programs make the same mistake as the text, or the policy learns to print what it has
    decided on: then this is the plain vote. Look at `refuted_frac` of the metrics.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rewards.code_checks import (
    Check,
    OwnPrograms,
    check_metrics,
    own_programs,
    printed_answers,
    printed_parts,
    run_those_given,
)
from rl.answers import cluster_answers, group_clusters
from rl.settings import checked
from rl.types import Group


@checked
@dataclass(frozen=True, kw_only=True)
class ProgramVotes(OwnPrograms):
    """Weigh a vote more, the more programs of the group print its answer.

    w_i = 1 + (omega - 1) m_c / n_c,  c: the class of answer_i

    n_c rollouts answer c and the programs of m_c rollouts print it, so that c weighs
    n_c + (omega - 1) m_c in all: a vote counts 1 and a program omega - 1. Where each rollout of a
    class has a program that prints its answer this is `rewards.own_code`, apart from lines that
    hold several values.

    The program is all of the completion's blocks marked python, in their order, and runs as in
    `rewards.own_code`. What it prints is read by `printed_classes`. A rollout without an answer has
    no vote, but its program has.

    Its settings are those of `rewards.code_checks.OwnPrograms`.
    """

    def __call__(self, group: Group) -> list[float | None]:
        """Weigh a group's votes, from 1 on."""
        clusters = group_clusters(group)
        num_votes = Counter(clusters)
        num_programs = Counter(printed for _, printed in self._run(group, clusters))
        num_programs[None] = 0  # those that print no answer of the group
        return [1 + (self.omega - 1) * num_programs[c] / num_votes[c] for c in clusters]

    def group_metrics(self, group: Group) -> dict[str, float]:
        """Count what the programs did (`rewards.code_checks.check_metrics`)."""
        clusters = group_clusters(group)
        checks = [
            Check(ended=ended, is_verified=printed is not None and printed == cluster)
            for (ended, printed), cluster in zip(self._run(group, clusters), clusters, strict=True)
        ]
        return check_metrics(checks)

    def _run(
        self, group: Group, clusters: Sequence[int | None]
    ) -> list[tuple[str | None, int | None]]:
        """Return how each rollout's program ended, and the class that it printed."""
        results = run_those_given(own_programs(group), self.max_seconds, self.max_group_seconds)
        outputs = [r.stdout if r is not None and r.ended == "finished" else "" for r in results]
        answers = [rollout.answer for rollout in group.rollouts]
        printed = printed_classes(outputs, answers, clusters)
        return [(r and r.ended, cluster) for r, cluster in zip(results, printed, strict=True)]


def printed_classes(
    outputs: Sequence[str], answers: Sequence[str | None], clusters: Sequence[int | None]
) -> list[int | None]:
    r"""Find the class of answers that each output names.

    It is the one that the output says as a completion would, or that its last line is; else the
    only one among the parts of its last line (`rewards.code_checks`).

    Args:
        outputs: What programs printed; "" for none.
        answers: The group's answers, None where there is none.
        clusters: Their classes.

    Returns:
        A class for each output; None if it names none, or several.

    Example:
        >>> printed_classes(["0.5", "(7, 1)", "(1/2, 3)", "9"], ["1/2", "3", "7"], [0, 1, 2])
        [0, 2, None, None]
    """
    wholes = _only_classes(map(printed_answers, outputs), answers, clusters)
    rest = (
        printed_parts(output) if whole is None else []
        for output, whole in zip(outputs, wholes, strict=True)
    )
    parts = _only_classes(rest, answers, clusters)
    return [part if whole is None else whole for whole, part in zip(wholes, parts, strict=True)]


def _only_classes(
    values: Iterable[list[str]], answers: Sequence[str | None], clusters: Sequence[int | None]
) -> list[int | None]:
    """Return the only class that is among each list of values; None for none and for several."""
    lists = list(values)
    distinct = sorted({value for listed in lists for value in listed})
    # The group's answers come with all their votes, so that their pairs are compared first.
    joined = cluster_answers([*answers, *distinct])
    classes: dict[int | None, set[int]] = {}
    for cluster, together in zip(clusters, joined, strict=False):
        if cluster is not None:
            classes.setdefault(together, set()).add(cluster)
    named = dict(zip(distinct, joined[len(answers) :], strict=True))
    found = (set().union(*(classes.get(named[v], set()) for v in listed)) for listed in lists)
    return [one.pop() if len(one) == 1 else None for one in found]
