"""Settings of a game of SPELL, with the published values as defaults."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt

from rl.errors import InputError
from rl.selfplay.spell.canaries import CanarySettings
from rl.selfplay.spell.filters import NegativeSampling
from rl.settings import Share, checked

Role = Literal["questioner", "responder", "verifier"]
ROLES: tuple[Role, ...] = get_args(Role)


@checked
@dataclass(frozen=True, kw_only=True)
class SpellSettings:
    """Settings of `rl.selfplay.spell.game.Spell`.

    Attributes:
        num_questions: Informative questions a round collects, N.
        group_size: Answers per question, G.
        num_judgments: Judgments per answer.
        judge_equal_answers_once: Whether answers of the same text share the judgments of the first,
            which is much cheaper where answers are short. The paper judges each.
        use_verifier: Whether answers are judged at all; else the rule check stands.
        trained_roles: Roles the policy is updated on.
        frozen_questioner: Whether questions come from the policy as it was at the start: a control
            in which nothing that is learned reaches them. Needs the run's `frozen_policy`.
        proposals_per_batch: Questions proposed at a time, in equal parts for each task.
        max_batches: Most times of that in a round; after it the round trains what there is.
        shortfall: What a round with fewer questions does. "scale": advantages are multiplied with
            the share of N there is, so that a question weighs as in a full round; "mean": the loss
            stays a mean over fewer tokens, so each of them weighs more.
        max_prompt_tokens: Most tokens of a prompt; documents are chosen to fit.
        memory_items: Questions remembered per task and topic, L; 0: none.
        num_new_documents: Documents drawn for each question, m; fewer where documents are long.
        memory_documents: What is remembered with a question: "new", the documents drawn for it (the
            paper's algorithm 1); "shown", all documents the questioner saw (the authors' code).
        reset_success_rate: Ours, not SPELL's, see `rl.selfplay.spell.memory.Memory`; None: off.
        grounding_samples: Answers without documents per question; 0 turns the filter off.
        update_consistency: Whether a majority of judgments has to agree with the rule check, for
            the verifier to be trained on it.
        negative_sampling: See `rl.selfplay.spell.filters.draw_negatives`.
        questioner_advantage: "batch": over all questions; "per_task": over those of a task.
        chat: Whether prompts are chat messages of one user turn, or plain text.
        thinking: Whether the chat template opens a thought, so that a completion starts within it.
        canaries: Checks that need no label.
    """

    num_questions: PositiveInt = 128
    group_size: Annotated[int, Field(ge=2)] = 8
    num_judgments: PositiveInt = 8
    judge_equal_answers_once: bool = False
    use_verifier: bool = True
    trained_roles: Annotated[tuple[Role, ...], Field(min_length=1)] = ROLES
    frozen_questioner: bool = False
    proposals_per_batch: PositiveInt = 480
    max_batches: PositiveInt = 10
    shortfall: Literal["scale", "mean"] = "scale"
    max_prompt_tokens: PositiveInt = 16_384
    memory_items: NonNegativeInt = 3
    num_new_documents: PositiveInt = 5
    memory_documents: Literal["new", "shown"] = "new"
    reset_success_rate: Share | None = None
    grounding_samples: NonNegativeInt = 1
    update_consistency: bool = True
    negative_sampling: NegativeSampling = "uniform"
    questioner_advantage: Literal["batch", "per_task"] = "batch"
    chat: bool = True
    thinking: bool = False
    canaries: CanarySettings = field(default_factory=CanarySettings)

    def __post_init__(self) -> None:
        if self.frozen_questioner and "questioner" in self.trained_roles:
            raise InputError(
                "selfplay trained_roles: got the questioner beside frozen_questioner, expected it "
                "left out. Write `trained_roles: [responder, verifier]`."
            )

    @property
    def max_trained(self) -> int:
        """Most episodes of a round that are trained: N G + 2 N + N for the three roles.

        The verifier's part is rounded down to whole groups of judgments.
        """
        sizes = {
            "questioner": 2 * self.num_questions,
            "responder": self.num_questions * self.group_size,
            "verifier": self.num_questions
            // self.num_judgments
            * self.num_judgments
            * self.use_verifier,
        }
        return sum(sizes[role] for role in dict.fromkeys(self.trained_roles))
