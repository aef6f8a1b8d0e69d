"""Reflected vote as a reward: pays for the answer that the policy picks when it has seen all.

Source: SR-TTRL, "Beyond Majority Voting: Self-Reflective Test-Time Reinforcement Learning for LLM
    Reasoning", ICML 2026 (icml.cc/virtual/2026/poster/62036), of whose text the abstract alone was
    at hand: group by answer, one representative each, summarise each, the model reflects over the
    pool and picks the pseudo-label.
Ours, as no code or prompt was found: which rollout represents an answer (`rewards.candidates`), the
    prompts, the order of the pool (by a hash), its largest size, several reflections that vote, and
    that one answer alone is the label without a question. A pick that cannot be read is no vote,
    and without one nothing is scored: there is no falling back on the majority.
Fails when: the policy prefers a place in the pool or a way of writing to what is right, or cannot
    judge at all: then a common right answer is given up for a rare wrong one.
"""

import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field

from rewards.candidates import Candidate, candidates
from rl.answers import after_thought, group_clusters
from rl.answers.votes import GroupVote, vote_over_classes
from rl.data.slots import check_slots, fill_slots
from rl.questions import Answered, Question
from rl.settings import Count, Length, checked
from rl.types import Group

SUMMARY_PROMPT = """\
Problem:
{{problem}}

A solution:
{{solution}}

Summarise this solution in a few sentences: the steps that lead to its answer, in their order, and \
nothing else. Do not judge it and do not solve the problem anew. End with its final answer."""
REFLECTION_PROMPT = """\
Problem:
{{problem}}

These different answers were given, each with how it was found:

{{candidates}}

At most one of them is right. Examine each critically: check its steps, and where two disagree, \
find out which of them errs. How often an answer was given plays no part. End with one line, \
"Best: NUMBER", that names the candidate that is most plausible."""
REFLECTION = "reflection"
_BEST = re.compile(r"\bbest(?:\W|candidate|boxed|text|number){0,12}(\d{1,3})\b", re.IGNORECASE)
_FIRST_WORD = re.compile(r"\W{0,12}(?:candidate\W{0,3})?(\d{1,3})\b", re.IGNORECASE)


@checked
@dataclass(frozen=True, kw_only=True)
class ReflectedVote:
    """Pay 1.0 for the answer that the policy picks from the pool of candidates and 0.0 for others.

    r_i = 1 if cluster_i = c*, else 0,  c* = the class of the candidate most reflections pick

    Two rounds: a summary of each candidate, then `num_reflections` replies that see all summaries.
    Between equally often picked candidates the votes of the group decide, then the hash. A
    candidate whose solution is too long to be asked about is shown by its answer alone.

    Attributes:
        num_reflections: Replies that pick, at least 1.
        max_candidates: Most answers in the pool, those with most votes, at least 2.
        summarise: Whether the pool holds summaries; else it holds the solutions as they are.
        max_summary_tokens: Most tokens of a summary; None: the run's max_completion_length.
        max_reflection_tokens: Most tokens of a reflection; None: the same.
        summary_prompt: Template with the slots {{problem}}, {{solution}} and {{answer}}.
        reflection_prompt: Template with the slots {{problem}} and {{candidates}}.
    """

    num_reflections: Count = 1
    max_candidates: Annotated[int, Field(ge=2, le=100)] = 8
    summarise: bool = True
    max_summary_tokens: Length | None = None
    max_reflection_tokens: Length | None = None
    summary_prompt: str = SUMMARY_PROMPT
    reflection_prompt: str = REFLECTION_PROMPT

    def __post_init__(self) -> None:
        what = "rewards.reflected_vote"
        known = {"problem", "solution", "answer"}
        check_slots(self.summary_prompt, known, {"problem", "solution"}, f"{what}.summary_prompt")
        needed = {"problem", "candidates"}
        check_slots(self.reflection_prompt, needed, needed, f"{what}.reflection_prompt")

    def questions(self, group: Group) -> list[Question]:
        """Ask for summaries; once they are there, for reflections. One answer needs neither."""
        pool = self._pool(group)
        if len(pool) < 2:
            return []
        summaries = [self._summary_question(group, c) for c in pool] if self.summarise else []
        if any(group.replies(question.key) is None for question in summaries):
            return summaries
        return [*summaries, self._reflection_question(group, pool)]

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `cluster`, `answer`, `completion` and `asked`. If
                no rollout has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in {0.0, 1.0}. All None where nobody answered, no pick could be
            read, or the pool was too long to be shown.
        """
        return self.vote(group).rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the group's votes, with the picked answer in place of the majority's."""
        clusters = group_clusters(group)
        counted = vote_over_classes([r.answer for r in group.rollouts], clusters)
        picked = self._picked(group)
        winner = None if picked is None else picked.cluster
        return GroupVote(
            vote=replace(counted.vote, winner=winner),
            pseudo_label=None if picked is None else picked.answer,
            selected=tuple(winner is not None and cluster == winner for cluster in clusters),
        )

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return how many reflections picked each rollout's answer."""
        picks = self._picks(group, self._pool(group))
        return [{"picks": picks[cluster]} for cluster in group_clusters(group)]

    def _pool(self, group: Group) -> list[Candidate]:
        found = candidates(group)
        kept = sorted(found, key=lambda c: (-c.num_votes, c.key))[: self.max_candidates]
        return [candidate for candidate in found if candidate in kept]

    def _summary_question(self, group: Group, candidate: Candidate) -> Question:
        values = {
            "problem": group.problem_text or group.prompt,
            "solution": candidate.completion,
            "answer": candidate.answer,
        }
        what = "rewards.reflected_vote.summary_prompt"
        return Question(
            key=candidate.key,
            prompt=fill_slots(self.summary_prompt, values, what),
            max_tokens=self.max_summary_tokens,
        )

    def _reflection_question(self, group: Group, pool: list[Candidate]) -> Question:
        shown = "\n\n".join(
            f"Candidate {number}\nAnswer: {candidate.answer}\n{self._how(group, candidate)}".strip()
            for number, candidate in enumerate(pool, start=1)
        )
        values = {"problem": group.problem_text or group.prompt, "candidates": shown}
        what = "rewards.reflected_vote.reflection_prompt"
        return Question(
            key=REFLECTION,
            prompt=fill_slots(self.reflection_prompt, values, what),
            num_samples=self.num_reflections,
            max_tokens=self.max_reflection_tokens,
        )

    def _how(self, group: Group, candidate: Candidate) -> str:
        if not self.summarise:
            return f"Solution: {candidate.completion}"
        replies = group.replies(candidate.key)
        return f"Summary: {after_thought(replies[0].completion).strip()}" if replies else ""

    def _picks(self, group: Group, pool: list[Candidate]) -> Counter[int | None]:
        """Count the reflections that pick each class."""
        numbers = [read_pick(reply, len(pool)) for reply in group.replies(REFLECTION) or ()]
        return Counter(pool[number - 1].cluster for number in numbers if number is not None)

    def _picked(self, group: Group) -> Candidate | None:
        pool = self._pool(group)
        if len(pool) == 1:
            return pool[0]
        picks = self._picks(group, pool)
        picked = [candidate for candidate in pool if picks[candidate.cluster]]
        return max(picked, key=lambda c: (picks[c.cluster], c.num_votes, c.key), default=None)


def read_pick(reply: Answered, num_candidates: int) -> int | None:
    """Read a reflection: the number after the last "Best:", or a first word that is a number.

    A reply that was cut off may repeat the question's own words, so only its first word counts. A
    thought before "</think>" is not read.

    Returns:
        A number from 1 to `num_candidates`; None where it names none.
    """
    text = after_thought(reply.completion)
    found = [] if reply.truncated else _BEST.findall(text)
    first = _FIRST_WORD.match(text)
    number = int(found[-1] if found else first[1] if first else 0)
    return number if 1 <= number <= num_candidates else None
