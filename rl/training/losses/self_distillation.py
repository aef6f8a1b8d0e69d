"""Self-distillation: completions that agree are taught by the policy that has read the answer.

Source: the positive branch of TTPO, arXiv 2608.27448; ZJU-REAL/TTPO at 36326ed,
    TTPO/ttpo_trainer.py: `_compute_hybrid_fkl_grpo_loss` and `_compute_token_weights`; values from
    scripts/run_ttpo_1b.sh. On-policy self-distillation with an answer that is known: OPSD,
    siyan-zhao/OPSD.
Differs: the words around the answer are ours. The teacher reads a batch once, before the first
    update on it. Of 64 rollouts theirs trains 8, half of which agree and the shortest first; which
    are trained here is the run's `num_votes` and `trained_subset`. Theirs asks again for an answer
    that is missing, and without any two equal ones takes the shortest completion for right.
Fails when: the voted answer is wrong: the teacher then explains a wrong answer, token by token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rl.settings import Finite, Positive, StepsOrNone, checked
from rl.training.losses.term import Per, TermTokens
from rl.training.token_selection import scaled_in_completions

PROMPT = (
    "{{prompt}}\n\nThe answer to this is {{answer}}. Work it out yourself, step by step, as if you "
    "did not know it, and give the final answer in the form that is asked for above."
)


@checked
@dataclass(frozen=True, kw_only=True)
class SelfDistillation:
    """Add coef / N sum_i 1/|y_i| sum_t w_it KL_it over the completions that agree with the vote.

    KL_it = sum_v min(clip, q[v] log(q[v] / p[v]))
    w_it = 1 - (1 - s(H_it)) (1 - s(D_it))

    p is the policy's distribution of the token, q the teacher's, which has read the voted answer in
    its prompt and the completion up to here; H the entropy of p, D the unclipped KL, and s scales
    both within the completion. So a token counts where the policy is undecided or the teacher
    differs. N counts all completions that can be scored, those that disagree among them.

    A completion agrees if its advantage is not below 0: this goes with `advantage: disagreement`,
    and with no reward that weighs whole groups.

    Attributes:
        coef: Coefficient.
        weights_of: Whose distribution is q: "base", the policy as it was at the start (the
            paper's), which LoRA keeps and without which every device holds one more model; or
            "policy": its last hidden states at the batch, through its
            output head at the update, so that with `num_updates` above 1 a head that is trained
            moves the teacher within a batch.
        prompt: What the teacher reads, with the slots {{prompt}} and {{answer}}, in place of the
            prompt's text, or of the last message of a chat; none, or where it does not fit into the
            context: the prompt alone, so that it knows no more than the policy.
        chat_template_kwargs: Of the teacher's prompt, such as {enable_thinking: true}; none: the
            run's.
        clip: Most that an entry of the vocabulary adds.
        max_tokens: Only the first so many tokens of a completion are taught; 0: all. The paper's
            1024.
        per: N counts "rollout", all that can be scored (the paper's), or "completion", those that
            agree.
    """

    coef: Finite = 1.0
    weights_of: Literal["base", "policy"] = "base"
    prompt: str | None = PROMPT
    chat_template_kwargs: Mapping[str, Any] | None = None
    clip: Positive = 0.05
    max_tokens: StepsOrNone = 0
    per: Per = "rollout"

    def weights(self, mask: Tensor, advantages: Tensor) -> Tensor:
        """Weigh the tokens of a completion that agrees by 1 / its length, any other by 0."""
        lengths = mask.sum(dim=1, keepdim=True).clamp(min=1)
        if self.max_tokens:
            mask = mask * (torch.arange(mask.shape[1], device=mask.device) < self.max_tokens)
            lengths = lengths.clamp(max=self.max_tokens)
        return mask * (advantages >= 0)[:, None] / lengths

    def compare(self, logps: Tensor, teacher_logps: Tensor) -> tuple[Tensor, Tensor]:
        """Return KL with and without its bound, (N,) each, of distributions (N, V)."""
        return forward_kl(logps, teacher_logps, self.clip)

    def per_token(self, tokens: TermTokens) -> Tensor:
        """Return w KL at each token."""
        clipped, unclipped = tokens.compared
        mask = tokens.mask
        if self.max_tokens:
            mask = mask * (torch.arange(mask.shape[1], device=mask.device) < self.max_tokens)
        return clipped * soft_or(tokens.entropies.detach(), unclipped.detach(), mask)


def forward_kl(logps: Tensor, teacher_logps: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    """Compare whole distributions with a teacher's.

    clipped = sum_v min(clip, q[v] (log q[v] - log p[v])),   unclipped likewise without the bound

    Args:
        logps: log p, with gradient, (N, V).
        teacher_logps: log q, (N, V).
        clip: Bound of each entry.

    Returns:
        clipped, which may be below 0, and unclipped, at least 0, (N,) each; 0.0 for q = p.
    """
    entries = teacher_logps.exp() * (teacher_logps - logps)
    return entries.clamp(max=clip).sum(dim=-1), entries.sum(dim=-1).clamp(min=0.0)


def soft_or(entropies: Tensor, divergences: Tensor, mask: Tensor) -> Tensor:
    """Weigh tokens at which the policy is undecided, or the teacher differs.

    w = s(H) + s(D) - s(H) s(D),  s: `scaled_in_completions`

    Args:
        entropies: H, in nats, (B, T).
        divergences: D, in nats, (B, T).
        mask: 1 at sampled tokens, (B, T).

    Returns:
        In [0, 1], (B, T).
    """
    undecided = scaled_in_completions(entropies, mask)
    differs = scaled_in_completions(divergences, mask)
    return undecided + differs - undecided * differs
