"""The policy as its own teacher: it has read the voted answer, and tells what it would write then.

What it would write at a token follows from the last hidden state before it, so only these states
are kept of a batch; whole distributions exist for some tokens at a time, when they are compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rl.data.model_files import context_length
from rl.data.prompts import tokenize_prompt
from rl.data.slots import fill_slots
from rl.errors import InputError
from rl.groups.token_statistics import MAX_CHUNK_LOGITS, refuse_scaled_logits
from rl.training.losses.comparison import Seen, compare_distributions
from rl.training.losses.terms import LossTerms
from rl.trl_internals import pad, use_adapter
from rl.types import Reward

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig
    from rl.training.source import Row

STATES = "teacher_states"


class Taught(Protocol):
    """What a loss term says of its teacher; see `rl.training.losses.self_distillation`."""

    weights_of: str
    prompt: str | None
    chat_template_kwargs: Mapping[str, Any] | None

    def compare(self, logps: Tensor, teacher_logps: Tensor) -> tuple[Tensor, ...]:
        """Compare N distributions of the policy with its teacher's, (N, V) each.

        Returns:
            Of each token what `TermTokens.compared` gives back, (N,) each.
        """
        ...


def taught_term(terms: LossTerms) -> tuple[str, Taught] | None:
    """Return the term that compares with a teacher, and its name; None if none does.

    Raises:
        InputError: If several do.
    """
    found: list[Any] = [(n, t) for n, t in terms.terms.items() if hasattr(t, "weights_of")]
    if len(found) > 1:
        raise InputError(
            f"loss_terms: got {', '.join(name for name, _ in found)}, expected one that has a "
            "teacher. Remove the others."
        )
    return found[0] if found else None


def check_self_teacher(config: "LabelFreeConfig", terms: LossTerms) -> None:
    """Check that what the teacher reads and is made of can be had.

    Raises:
        InputError: If the base policy is not kept, the prompt has other slots, there is no reward,
            or the vote's letters are not those of the prompt.
    """
    if (found := taught_term(terms)) is None:
        return
    name, term = found
    where = f"loss_terms.{name}"
    if term.weights_of == "base" and config.lora is None:
        raise InputError(
            f"{where}.weights_of: got 'base' without lora, expected adapters, beside which the "
            "base policy is kept. Set lora: {r: 16}, or weights_of: policy."
        )
    if config.selfplay is not None:
        raise InputError(
            f"{where}: got it beside selfplay, expected prompts with a vote. Remove one of the two."
        )
    if "option_shuffle" in (config.views or {}):
        raise InputError(
            f"{where}: got it beside views.option_shuffle, expected options in one order, or the "
            "voted letter would name another option in the prompt. Remove one of the two."
        )
    if not config.rewards:
        raise InputError(
            f"{where}: got no reward, expected one that says which completions agree. Add "
            "`rewards: {majority_vote: {}}`."
        )
    if term.prompt is not None:
        fill_slots(term.prompt, {"prompt": "", "answer": ""}, f"{where}.prompt")


def check_rewards_of_self_teacher(terms: LossTerms, rewards: Mapping[str, Reward]) -> None:
    """Check that a reward says what the teacher reads, and none weighs whole groups.

    Raises:
        InputError: If nobody votes though the teacher reads an answer, or a reward has a
            `group_weight`, which is a factor of advantages: the term would teach groups that it
            leaves out.
    """
    if (found := taught_term(terms)) is None:
        return
    name, term = found
    if term.prompt is not None and not any(hasattr(reward, "vote") for reward in rewards.values()):
        raise InputError(
            f"loss_terms.{name}.prompt: got one beside {', '.join(rewards)}, expected a reward "
            "that votes: its answer is what the teacher reads. Add `rewards: {majority_vote: {}}`, "
            "or set prompt: null."
        )
    for reward in rewards:
        if hasattr(rewards[reward], "group_weight"):
            raise InputError(
                f"loss_terms.{name}: got it beside the reward {reward!r}, which weighs whole "
                "groups, expected one that does not: this term is not weighed with them. Remove "
                "one of the two."
            )


class SelfTeacher:
    """Runs the completions of a batch behind the teacher's prompts, and compares distributions.

    Without a term that has a teacher it does nothing. Where the teacher's prompt and the completion
    are longer together than the model's context, the teacher reads the policy's own prompt.

    Teacher and policy are the model that is trained, run as a whole, whatever shards it: FSDP2 and
    ZeRO too. The comparison is a part of the policy's forward pass in the loss.

    Args:
        terms: One of them may say whose weights the teacher has, and what it reads.
        policy: The policy's model, without adapters' wrapper or any other, after TRL has given it
            its fused output head.
        model: The same with its adapters.
        tokenizer: The policy's.
        config: Settings of the run.

    Raises:
        InputError: If the architecture changes its logits after the output head.
    """

    def __init__(
        self,
        terms: LossTerms,
        policy: PreTrainedModel,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        config: "LabelFreeConfig",
    ) -> None:
        self._kept: list[Tensor] | None = None
        self._loss_on: tuple[Mapping[str, Tensor], float] | None = None
        self._compared: tuple[Tensor, ...] = ()
        self.policy, self.model, self.tokenizer, self.config = policy, model, tokenizer, config
        _, self.term = taught_term(terms) or ("", None)
        if self.term is None:
            return
        refuse_scaled_logits(policy, "loss terms with a teacher")
        backbone: nn.Module = policy.base_model
        backbone.register_forward_hook(self._keep, with_kwargs=True)
        original: Any = policy.forward

        @wraps(original)
        def forward(*args: Any, **kwargs: Any) -> Any:
            outputs = original(*args, **kwargs)
            if self._loss_on is not None and kwargs.get("fused_lm_head"):
                self._compared, self._loss_on = self._compare(*self._loss_on), None
            return outputs

        policy.forward = forward

    def _keep(self, module: Any, arguments: Any, kwargs: Mapping[str, Any], output: Any) -> None:
        """Keep the states before each token but a row's first, (B, L - 1, D)."""
        if self._kept is None:
            return
        states = output.last_hidden_state
        packed = kwargs.get("shared_prompts")
        if packed is None:
            self._kept.append(states[:, :-1])
        else:  # one state a scored token, of rows that share their prompts
            self._kept.append(packed.spread(states[0].T).permute(1, 2, 0))

    @contextmanager
    def _keeping(self) -> Iterator[list[Tensor]]:
        self._kept = kept = []
        yield kept
        self._kept = None

    def begin(self, inputs: Mapping[str, Tensor], temperature: float) -> None:
        """Compare distributions in the next pass, which is the loss's.

        Args:
            inputs: Its micro-batch.
            temperature: Divides the logits of policy and teacher.
        """
        if self.term is not None:
            self._kept, self._loss_on = [], (inputs, temperature)

    def take(self) -> tuple[Tensor, ...]:
        """Return what that pass has compared, see `TermTokens.compared`; nothing else has it."""
        compared, self._compared = self._compared, ()
        return compared

    def read(
        self, rows: Sequence["Row"], tensors: Mapping[str, Tensor], run: Callable[..., Any]
    ) -> dict[str, Tensor]:
        """Run the completions behind the teacher's prompts, without gradient.

        Args:
            rows: Of this rank.
            tensors: The same rows, laid out.
            run: Runs rows through a model in parts.

        Returns:
            `teacher_states`: the state before each token of the completions, (B, T, D).
        """
        if self.term is None:
            return {}
        prompts = [self._prompt_ids(row) for row in rows]
        pad_token_id: Any = self.tokenizer.pad_token_id
        device = tensors["completion_ids"].device
        behind = dict(tensors)
        for name, values, filling in (
            ("prompt_ids", prompts, pad_token_id),
            ("prompt_mask", [[1] * len(ids) for ids in prompts], 0),
        ):
            behind[name] = pad([torch.tensor(v) for v in values], filling, "left", None).to(device)
        with self._keeping() as kept, self._weights():
            run(behind, self.model)
        return {STATES: torch.cat(kept)[:, -tensors["completion_ids"].shape[1] :]}

    def _prompt_ids(self, row: "Row") -> list[int]:
        term: Any = self.term
        arguments: Any = term.chat_template_kwargs or self.config.chat_template_kwargs
        template = term.prompt
        if template is None or row.pseudo_label is None:
            return row.prompt_ids

        def told(text: str) -> str:
            known = {"prompt": text, "answer": row.pseudo_label or ""}
            return fill_slots(template, known, "loss_terms")

        if isinstance(row.prompt, str):
            prompt: Any = told(row.prompt)
        else:
            *before, last = row.prompt
            prompt = [*before, {**last, "content": told(last["content"])}]
        ids = tokenize_prompt(prompt, self.tokenizer, arguments)
        context = context_length(self.policy.config)
        # The answer is the model's own text, as long as a completion.
        fits = context is None or len(ids) + len(row.sample.completion_ids) <= context
        return ids if fits else row.prompt_ids

    def _weights(self) -> AbstractContextManager:
        """Take the adapters out where the teacher is the base policy."""
        term: Any = self.term
        is_base = term.weights_of == "base" and is_peft_model(self.model)
        return use_adapter(self.model, None) if is_base else nullcontext()

    def _compare(self, inputs: Mapping[str, Tensor], temperature: float) -> tuple[Tensor, ...]:
        assert self._kept is not None
        assert self.term is not None
        mask, theirs = inputs["completion_mask"].bool(), inputs[STATES]
        [states] = self._kept
        self._kept = None
        width = mask.shape[1]
        own = Seen(states[:, -width:][mask], *self._head())
        with self._weights():
            teacher = Seen(theirs[:, :width][mask], *self._head())
        chunk = max(1, MAX_CHUNK_LOGITS // self.policy.config.get_text_config().vocab_size)
        found = compare_distributions(self.term.compare, own, teacher, temperature, chunk)
        everywhere = found.new_zeros(len(found), *mask.shape)
        everywhere[:, mask] = found
        return tuple(everywhere)

    def _head(self) -> tuple[Tensor, Tensor | None]:
        head: Any = self.policy.get_output_embeddings()
        return head.weight, head.bias
