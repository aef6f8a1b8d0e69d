"""Settings of a game of SPELL, with the published values as defaults."""

from dataclasses import dataclass, field

from rl.errors import InputError, unknown_name
from rl.selfplay.spell.canaries import CanarySettings
from rl.selfplay.spell.filters import NEGATIVE_SAMPLING

ROLES = ("questioner", "responder", "verifier")
MEMORY_DOCUMENTS = ("new", "shown")
QUESTIONER_ADVANTAGES = ("batch", "per_task")
SHORTFALLS = ("scale", "mean")


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
        memory_items: Questions remembered per task and cluster, L; 0: none.
        num_new_documents: Documents drawn for each question, m; fewer where documents are long.
        memory_documents: What is remembered with a question: "new", the documents drawn for it (the
            paper's algorithm 1); "shown", all documents the questioner saw (the authors' code).
        reset_success_rate: Ours, not SPELL's, see `rl.selfplay.spell.memory.Memory`; None: off.
        grounding_samples: Answers without documents per question; 0 turns the filter off.
        max_lucky_prob: See `rl.selfplay.spell.filters.min_correct_guesses`.
        min_agreement: Smallest share of a majority of judgments the verifier is trained on.
        max_agreement: Largest share of it.
        update_consistency: Whether that majority has to agree with the rule check.
        train_few_verifier_groups: Whether the verifier is trained on fewer groups than planned (one
            per `num_judgments` questions), or not at all then.
        negative_sampling: See `rl.selfplay.spell.filters.draw_negatives`.
        questioner_advantage: "batch": over all questions; "per_task": over those of a task.
        min_questioner_std: Questions whose rewards deviate less are not trained.
        chat: Whether prompts are chat messages of one user turn, or plain text.
        thinking: Whether the chat template opens a thought, so that a completion starts within it.
        canaries: Checks that need no label.
    """

    num_questions: int = 128
    group_size: int = 8
    num_judgments: int = 8
    judge_equal_answers_once: bool = False
    use_verifier: bool = True
    trained_roles: tuple[str, ...] = ROLES
    frozen_questioner: bool = False
    proposals_per_batch: int = 480
    max_batches: int = 10
    shortfall: str = "scale"
    max_prompt_tokens: int = 16_384
    memory_items: int = 3
    num_new_documents: int = 5
    memory_documents: str = "new"
    reset_success_rate: float | None = None
    grounding_samples: int = 1
    max_lucky_prob: float = 0.2
    min_agreement: float = 0.51
    max_agreement: float = 0.99
    update_consistency: bool = True
    train_few_verifier_groups: bool = False
    negative_sampling: str = "uniform"
    questioner_advantage: str = "batch"
    min_questioner_std: float = 1e-3
    chat: bool = True
    thinking: bool = False
    canaries: CanarySettings = field(default_factory=CanarySettings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "trained_roles", tuple(self.trained_roles))
        at_least = {
            "num_questions": 1,
            "group_size": 2,
            "num_judgments": 1,
            "proposals_per_batch": 1,
            "max_batches": 1,
            "max_prompt_tokens": 1,
            "memory_items": 0,
            "num_new_documents": 1,
            "grounding_samples": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise InputError(
                    f"selfplay {name}: got {getattr(self, name)}, expected at least {least}. "
                    "Raise it."
                )
        choices = {
            "shortfall": SHORTFALLS,
            "memory_documents": MEMORY_DOCUMENTS,
            "negative_sampling": NEGATIVE_SAMPLING,
            "questioner_advantage": QUESTIONER_ADVANTAGES,
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise unknown_name(f"selfplay {name}", getattr(self, name), list(known))
        for role in self.trained_roles:
            if role not in ROLES:
                raise unknown_name("selfplay trained_roles", role, list(ROLES))
        if self.frozen_questioner and "questioner" in self.trained_roles:
            raise InputError(
                "selfplay trained_roles: got the questioner beside frozen_questioner, expected it "
                "left out. Write `trained_roles: [responder, verifier]`."
            )
        if not self.trained_roles:
            raise InputError(
                "selfplay trained_roles: got none, expected at least one role. Name one."
            )
        if not 0 <= self.min_agreement <= self.max_agreement <= 1:
            raise InputError(
                "selfplay min_agreement, max_agreement: got "
                f"{self.min_agreement} and {self.max_agreement}, expected 0 <= min <= max <= 1. "
                "Correct them."
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
