"""The two objects every reward sees: a `Rollout` and the `Group` of all rollouts of one prompt.

Neither has a field for a label, so a reward cannot read one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rl.questions import Answered, Asked


@dataclass(frozen=True, kw_only=True)
class TokenStatistics:
    """What the sampling policy thought of each token of one completion; all of one length.

    The policy is that of the step that sampled the completion, its logits divided by the sampling
    temperature. Computed only for runs with a reward that asks for it.

    Attributes:
        logps: Log-probability of each sampled token, in nats, at most 0.
        entropies: Entropy of the distribution each token was drawn from, in nats, at least 0.
        self_certainties: KL(uniform || policy) at each token, in nats, at least 0 (arXiv
            2505.19590, equation 1).
        in_answer: Whether the token writes a part of the extracted answer.
        pieces: Text that each token writes; empty in files of earlier runs.
    """

    logps: tuple[float, ...]
    entropies: tuple[float, ...]
    self_certainties: tuple[float, ...]
    in_answer: tuple[bool, ...]
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Branch:
    """Where a completion leaves another one of the same prompt.

    Attributes:
        root: Number of the completion, among those of the prompt, that it begins as.
        position: Tokens the two have in common, at least 0; they were sampled once.
    """

    root: int
    position: int


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One sampled completion of a prompt and what is known about it without a label.

    Attributes:
        completion: Sampled text, special tokens removed.
        answer: Answer extracted from the completion, None if there is none ("no answer"). Where
            options are shuffled (`rl.data.views`), by the letter of the data set's own order.
        cluster: Number of the answer's equivalence class in its group, counted from 0 in order of
            first appearance; None if there is no answer.
        num_tokens: Its tokens, the end token included.
        truncated: Whether sampling stopped at the length limit instead of at an end token.
        trained: Whether the policy is updated on this rollout; False for one that only votes.
        token_statistics: Statistics of its tokens, for rewards with `needs_token_statistics`; None
            in runs without such a reward.
        policy_version: Optimizer steps the weights had taken that sampled it; None where unknown.
        branch: In a run with `branching`: where it left another rollout; None for one that was
            sampled from the prompt on.
        num_pruned: Tokens that were sampled behind its end and cut off.
        entropy: Mean entropy of the distributions its tokens were drawn from, in nats; of trained
            rollouts where the run's advantage reads it, else None.
    """

    completion: str
    answer: str | None = None
    cluster: int | None = None
    num_tokens: int = 0
    truncated: bool = False
    trained: bool = True
    token_statistics: TokenStatistics | None = None
    policy_version: int | None = None
    branch: Branch | None = None
    num_pruned: int = 0
    entropy: float | None = None

    @property
    def num_sampled(self) -> int:
        """Tokens that were drawn for it: not those it shares, but those that were cut off."""
        num_shared = self.branch.position if self.branch else 0
        return self.num_tokens - num_shared + self.num_pruned


@dataclass(frozen=True, kw_only=True)
class Group:
    """All rollouts of one visit to one prompt, in a fixed order: the unit a reward scores.

    Attributes:
        prompt_id: Hash of the rendered prompt and its images; the same ones always have it.
        prompt: The rendered prompt the policy continued.
        images: Digests of the prompt's images, in order; a reward sees no pixels.
        rollouts: All votes of this visit, those that are trained and those that are not.
        visit: Identifies this visit; two rows with the same prompt in one batch are two visits.
        view: Number of this wording among those of its problem; 0 is the data set's own.
        views: In a run with `views`: the groups of the problem's other wordings, in order, which
            have no views of their own. An equal answer has the same `cluster` in all of them.
        teacher: In a run with a `teacher`: its completions of the same prompt, as a group whose
            classes are numbered with these; with `kind: offline` their answers alone. No label.
        problem_text: Last user's message of the prompt, or all of a prompt of text; filled in for
            rewards that ask the policy.
        asked: What the reward that sees the group asked the policy about it.
    """

    prompt_id: str
    prompt: str
    rollouts: tuple[Rollout, ...]
    images: tuple[str, ...] = ()
    visit: str = ""
    view: int = 0
    views: "tuple[Group, ...]" = ()
    teacher: "Group | None" = None
    problem_text: str = ""
    asked: tuple[Asked, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "rollouts", tuple(self.rollouts))
        object.__setattr__(self, "views", tuple(self.views))
        object.__setattr__(self, "asked", tuple(self.asked))

    @property
    def problem(self) -> "tuple[Group, ...]":
        """The groups of all wordings, this one among them: in the same order for each of them."""
        return tuple(sorted((self, *self.views), key=lambda group: group.view))

    def replies(self, key: str) -> tuple[Answered, ...] | None:
        """Return the policy's replies to a question, none if it did not fit; None: not asked."""
        return next((asked.replies for asked in self.asked if asked.key == key), None)


# A reward returns one number per rollout, in order; None means "cannot be scored", never 0.0.
# A rollout that no reward of the run scored teaches nothing. Where only some of several rewards
# said None, each of those counts as the least it gives in the group: lacking a part of the sum is
# no gain (rl.groups.scoring.weighted_sums).
#
# A reward that is an object may also have, all optional:
#   needs_token_statistics = True     its groups come with `Rollout.token_statistics`
#   needs_views = True                its groups come with `Group.views`: refused in a run without
#   needs_teacher = True              likewise `Group.teacher`
#   max_completion_length             a setting of this name is filled in from the run
#   observe(groups), state_dict(), load_state_dict(state)
#       a memory: `observe` gets all groups of a batch on every rank, in the same order, after they
#       were scored; the state (plain JSON) is saved in checkpoints
#   vote(group)
#       a reward that takes one answer for right: its `rl.answers.votes.GroupVote`, which the vote/
#       and audit/ metrics and the rollout files then show; of several such rewards, the first one's
#   questions(group)
#       asks the policy: a list of `rl.questions.Question`, those of all groups of a batch answered
#       together before any is scored, by the weights of that moment; called again with the replies
#       in `group.asked` until nothing new is asked. What scores, votes and weighs sees them too,
#       `observe` does not
#   group_metrics(group)
#       {name: number}: what it measures of a group beside what it pays, which runs average over the
#       groups that have that name, as reward/<reward>/<name>
#   group_weight(group)
#       a factor of the group's finished advantages, at least 0; those of several rewards multiply
#   sees_labels = True, set_labels(labels)
#       a supervised control: gets {prompt_id: label} before training; refused unless the recipe
#       says `supervised: true`
Reward = Callable[[Group], list[float | None]]
