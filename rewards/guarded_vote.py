r"""Guarded vote: a majority vote that is paid less where the majority changes or never did.

Source: TTRL-Guard, arXiv 2605.19444: flip-rate-aware reward scaling (FRS), minority-preserving
    sampling (MPS), risk-conditioned sparse updating (RCSU). We read its abstract, README and code,
    linhxkkkk/TTRL-Guard at e88562e, verl/verl/trainer/ppo/ttrl_utils.py; the defaults are those of
    its AMC and MATH-500 scripts for Qwen2.5-7B-Instruct.
Like the code, the weight multiplies finished advantages, and a skipped group has a weight of 0: it
    teaches nothing, but its tokens stay in the KL term and in what the loss is divided by.
Differs: the code adds the bonus to finished advantages, times the prompt's mean |advantage| (and as
    released never, for want of the vote counts it reads); here it is part of the reward. The
    README's loss takes the bonus's share from the majority; its code and ours do not. The code
    skips at most a quarter of each batch, those that come first; ours lowers the chance so that a
    quarter is the expected share, and needs no other group of the batch. A minority needs a quarter
    of all votes here, of the number of trained rollouts there. A rollout without an answer gets no
    bonus. A visit in which nobody answered is not remembered; the code remembers it as a majority
    for "None". The code's threshold of the flip rate (0.3) and its three quiet visits before the
    bonus ends change nothing, as the flip rate of one visit is 0 or 1; they are no settings here.
Fails when: prompts are visited once (it is the plain vote), or the majority is wrong from the first
    visit on and stays. Ties for first place can look like flips.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

from pydantic import PositiveInt

from rl.answers import group_clusters, same_answer
from rl.answers.votes import GroupVote, TieRule, Vote, count_votes, vote_over_classes
from rl.settings import Share, checked
from rl.types import Group

LEAST_WEIGHT = 0.1


@dataclass(frozen=True, kw_only=True)
class PromptHistory:
    """What earlier visits to one prompt left behind.

    Attributes:
        answer: The last visit's majority answer, in its most common spelling.
        majority_ratios: Majority ratios of the last visits, the newest last, at most `window`.
        num_visits: Visits with a majority.
        num_flips: Visits whose majority answer was not the one before.
        num_damped: Visits that were paid less because the majority never flipped.
        is_locked: Whether at the last visit the prompt counted as once contested and now locked.
    """

    answer: str | None
    majority_ratios: tuple[float, ...]
    num_visits: int = 1
    num_flips: int = 0
    num_damped: int = 0
    is_locked: bool = False


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One visit to one prompt, judged against its history.

    Attributes:
        winner: Class of the majority answer.
        weight: Factor of the group's advantages if it is not skipped, in [0.1, 1].
        bonuses: Class of a protected minority answer -> its bonus.
        is_skipped: Whether the group's advantages are 0 instead.
        history: The history with this visit in it.
    """

    winner: int
    weight: float
    bonuses: dict[int, float]
    is_skipped: bool
    history: PromptHistory


@checked
@dataclass(kw_only=True)
class GuardedVote:
    """Pay the majority answer, with a weight, a bonus and pauses that depend on earlier visits.

    r_i = 1[a_i = m] + b(a_i), and the group's advantages are multiplied by w, or by 0 if the update
    is skipped, where m is the majority answer, MR its share of the votes, and FR = 1 if m differs
    from the prompt's last majority, else 0.

    w    = max(0.1, (1 - lambda1 FR)
                    * (1 - lambda2   if FR = 1 and MR > tau_mr)
                    * (1 - lambda2/2 if m never changed in at least `window` visits whose last
                       `window` have a mean MR > tau_mr; at most `window` times per prompt))
    b(a) = beta_max FR count_a / sum of count over the minority answers with at least
           min_votes_frac of the votes, if a is one of them, else 0
    skip if m once changed, after at least `window` visits, the last `window` with a mean
           MR > theta_mr, with chance min(p_skip, max_skipped_frac / L), where L is the share of
           such prompts among all prompts seen

    Visits include this one. The memory changes in `observe` alone: `__call__` never changes it.
    lambda1 = lambda2 = 0 switches the weight off, beta_max = 0 the bonus, p_skip = 0 the pauses;
    the authors' Qwen3-4B script switches the weight off, because it harmed.

    Attributes:
        lambda1: Cut of the weight when the majority changed, in [0, 1].
        lambda2: Further cut when the new majority is large, in [0, 1].
        tau_mr: Majority ratio above which a majority is large.
        beta_max: Sum of the bonuses of a group, in [0, 1].
        min_votes_frac: Least share of all votes of a protected minority answer.
        window: Visits before a prompt can be damped or skipped, at least 1.
        theta_mr: Mean majority ratio above which a once contested prompt is locked; 0.5 as in the
            scripts, 0.7 is the code's own default.
        p_skip: Chance to skip a locked prompt.
        max_skipped_frac: Largest expected share of prompts skipped.
        tie: Tie rule of the vote, see `rl.answers.votes.count_votes`.
        seed: Changes which visits are skipped.

    Raises:
        InputError: If a setting is out of range.

    Example:
        >>> from rl.types import Rollout
        >>> rollouts = [Rollout(completion="", answer=answer) for answer in ("2", "2", "3", None)]
        >>> reward, first = GuardedVote(), Group(prompt_id="p", prompt="", rollouts=rollouts)
        >>> reward(first)
        [1.0, 1.0, 0.0, 0.0]
        >>> reward.observe([first])
        >>> flipped = Group(prompt_id="p", prompt="", rollouts=(*rollouts[2:3] * 2, rollouts[0]))
        >>> reward(flipped), reward.group_weight(flipped)
        ([1.0, 1.0, 0.3], 0.35)
    """

    lambda1: Share = 0.5
    lambda2: Share = 0.3
    tau_mr: Share = 0.6
    beta_max: Share = 0.3
    min_votes_frac: Share = 0.25
    window: PositiveInt = 5
    theta_mr: Share = 0.5
    p_skip: Share = 0.7
    max_skipped_frac: Share = 0.25
    tie: TieRule = "first"
    seed: int = 0
    _histories: dict[str, PromptHistory] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group against the memory, which stays as it is.

        Args:
            group: Rollouts of one prompt; reads `cluster` and `answer`. If no rollout has a cluster
                but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in [0, 1]. All None if there is no pseudo-label: nobody
            answered, or a tie was dropped.
        """
        clusters = group_clusters(group)
        verdict = self._judge(group, clusters)
        if verdict is None:
            return [None] * len(clusters)
        return [
            float(cluster == verdict.winner)
            + (0.0 if cluster is None else verdict.bonuses.get(cluster, 0.0))
            for cluster in clusters
        ]

    def vote(self, group: Group) -> GroupVote:
        """Return the vote, which neither bonus nor weight changes."""
        answers = [rollout.answer for rollout in group.rollouts]
        return vote_over_classes(answers, group_clusters(group), self.tie)

    def group_weight(self, group: Group) -> float:
        """Return the factor of the group's advantages: w, 0 if it is skipped, 1 without a vote."""
        verdict = self._judge(group, group_clusters(group))
        if verdict is None:
            return 1.0
        return 0.0 if verdict.is_skipped else verdict.weight

    def explain(self, group: Group) -> list[dict[str, float | None]]:
        """Return the parts of each rollout's reward, vote + bonus, and the group's weight.

        Returns:
            Per rollout: vote in {0, 1}, bonus, weight, and skipped in {0, 1}. All None without a
            pseudo-label.
        """
        clusters = group_clusters(group)
        verdict = self._judge(group, clusters)
        if verdict is None:
            names = ("vote", "bonus", "weight", "skipped")
            return [dict.fromkeys(names) for _ in clusters]
        return [
            {
                "vote": float(cluster == verdict.winner),
                "bonus": 0.0 if cluster is None else verdict.bonuses.get(cluster, 0.0),
                "weight": verdict.weight,
                "skipped": float(verdict.is_skipped),
            }
            for cluster in clusters
        ]

    def observe(self, groups: Iterable[Group]) -> None:
        """Remember a batch's majorities; visits to one prompt count in the order given."""
        for group in groups:
            verdict = self._judge(group, group_clusters(group))
            if verdict is not None:
                self._histories[group.prompt_id] = verdict.history

    def state_dict(self) -> dict[str, Any]:
        """Return the memory as plain JSON."""
        return {
            "prompts": {
                prompt_id: asdict(history) | {"majority_ratios": list(history.majority_ratios)}
                for prompt_id, history in self._histories.items()
            }
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the memory by one that `state_dict` returned."""
        self._histories = {
            prompt_id: PromptHistory(**entry | {"majority_ratios": tuple(entry["majority_ratios"])})
            for prompt_id, entry in state["prompts"].items()
        }

    def _judge(self, group: Group, clusters: list[int | None]) -> Verdict | None:
        vote = count_votes(clusters, self.tie)
        if vote.winner is None:
            return None
        before = self._histories.get(group.prompt_id)
        answer = _majority_answer(group, clusters, vote.winner)
        is_flip = before is not None and not same_answer(before.answer, answer)
        ratios = (*(before.majority_ratios if before else ()), vote.majority_ratio)[-self.window :]
        num_visits = 1 + (before.num_visits if before else 0)
        num_flips = is_flip + (before.num_flips if before else 0)
        num_damped = before.num_damped if before else 0

        has_history = num_visits >= self.window
        is_locked = has_history and num_flips > 0 and fmean(ratios) > self.theta_mr
        is_damped = (
            has_history
            and num_flips == 0
            and fmean(ratios) > self.tau_mr
            and num_damped < self.window
        )
        return Verdict(
            winner=vote.winner,
            weight=self._weight(vote.majority_ratio, is_flip, is_damped),
            bonuses=self._bonuses(vote, vote.winner) if is_flip else {},
            is_skipped=is_locked and self._draw(group) < self._skip_chance(),
            history=PromptHistory(
                answer=answer,
                majority_ratios=ratios,
                num_visits=num_visits,
                num_flips=num_flips,
                num_damped=num_damped + is_damped,
                is_locked=is_locked,
            ),
        )

    def _weight(self, majority_ratio: float, is_flip: bool, is_damped: bool) -> float:
        weight = 1.0
        if is_flip:
            weight *= 1.0 - self.lambda1
            if majority_ratio > self.tau_mr:
                weight *= 1.0 - self.lambda2
        if is_damped:
            weight *= 1.0 - self.lambda2 / 2
        return max(LEAST_WEIGHT, weight)

    def _bonuses(self, vote: Vote, winner: int) -> dict[int, float]:
        least = self.min_votes_frac * vote.num_votes
        minorities = {c: n for c, n in vote.counts.items() if c != winner and n >= least}
        total = sum(minorities.values())
        return {cluster: self.beta_max * n / total for cluster, n in minorities.items()}

    def _skip_chance(self) -> float:
        num_locked = sum(history.is_locked for history in self._histories.values())
        if num_locked == 0:
            return self.p_skip
        return min(self.p_skip, self.max_skipped_frac * len(self._histories) / num_locked)

    def _draw(self, group: Group) -> float:
        text = "\x1f".join((str(self.seed), group.prompt_id, group.visit))
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") / 2**64


def _majority_answer(group: Group, clusters: list[int | None], winner: int) -> str | None:
    """Pick the winning class's most common spelling; the order of the rollouts plays no part."""
    spellings = Counter(
        rollout.answer
        for rollout, cluster in zip(group.rollouts, clusters, strict=True)
        if cluster == winner and rollout.answer is not None
    )
    return min(spellings, key=lambda text: (-spellings[text], len(text), text), default=None)
