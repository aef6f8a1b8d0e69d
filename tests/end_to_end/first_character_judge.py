"""A reward for tests: asks an untrained model about its answers, and pays by what it replies."""

from rl.questions import Question


class FirstCharacterJudge:
    """Pay the share of replies that begin as the completion does; asked in two rounds."""

    def questions(self, group):
        starts = sorted({rollout.completion[:1] for rollout in group.rollouts} - {""})
        first = [Question(key=s, prompt=f"{group.problem_text}{s}", num_samples=3) for s in starts]
        replies = [group.replies(question.key) for question in first]
        if None in replies:
            return first
        longest = max((r.completion for several in replies for r in several), key=len, default="")
        return [*first, Question(key="last", prompt=f"{longest};", max_tokens=4)]

    def __call__(self, group):
        return [self._share(group, rollout.completion[:1]) for rollout in group.rollouts]

    def _share(self, group, start):
        replies = [*(group.replies(start) or ()), *(group.replies("last") or ())]
        if not start:
            return None
        return sum(r.completion[:1] == start for r in replies) / len(replies) + len(
            replies[-1].completion
        )
