"""The policy as its own teacher: it has read the voted answer, and tells what it would write then.

What it would write at a token follows from the last hidden state before it, so only these states
are kept of a batch; whole distributions exist for some tokens at a time, when they are compared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import is_peft_model
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rl.data.model_files import context_length
from rl.data.prompts import tokenize_prompt
from rl.data.slots import fill_slots
from rl.groups.token_statistics import MAX_CHUNK_LOGITS, refuse_scaled_logits
from rl.training.config import LabelFreeConfig
from rl.training.layout import in_parts, prompt_and_completion
from rl.training.losses.comparison import Seen, compare_distributions
from rl.training.losses.terms import LossTerms
from rl.training.self_teacher_settings import taught_term
from rl.training.source import Row
from rl.trl_internals import create_model_from_path, pad, use_adapter
from rl.whole_weights import whole_weights

STATES = "teacher_states"


class SelfTeacher:
    """Runs the completions of a batch behind the teacher's prompts, and compares distributions.

    Without a term that has a teacher it does nothing. Where the teacher's prompt and the completion
    are longer together than the model's context, the teacher reads the policy's own prompt.

    The teacher is the model that is trained, run as a whole, whatever shards it: FSDP2 and ZeRO
    too; without adapters where it has the base policy's weights. Where all weights are trained
    these are in another copy of the model, whole on every rank. The comparison is a part of the
    policy's forward pass in the loss.

    Args:
        terms: One of them may say whose weights the teacher has, and what it reads.
        policy: The policy's model, without adapters' wrapper or any other, after TRL has given it
            its fused output head.
        tokenizer: The policy's.
        model: The policy with its adapters.
        accelerator: Knows the device and the precision.
        config: Settings of the run.

    Raises:
        InputError: If the architecture changes its logits after the output head.
    """

    def __init__(
        self,
        terms: LossTerms,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        model: Any,
        accelerator: Accelerator,
        config: LabelFreeConfig,
    ) -> None:
        self._kept: list[Tensor] | None = None
        self._loss_on: tuple[Mapping[str, Tensor], float] | None = None
        self._compared: tuple[Tensor, ...] = ()
        self.policy, self.model, self.tokenizer, self.config = policy, model, tokenizer, config
        self.accelerator = accelerator
        self.base: Any = None
        _, self.term = taught_term(terms) or ("", None)
        if self.term is None:
            return
        refuse_scaled_logits(policy, "loss terms with a teacher")
        if self.term.weights_of == "base" and not is_peft_model(model):
            self.base = _load_base(config).to(accelerator.device)
        for kept in (policy, self.base):
            if kept is not None:
                kept.base_model.register_forward_hook(self._keep, with_kwargs=True)
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
        self, rows: Sequence[Row], tensors: Mapping[str, Tensor], run: Callable[..., Any]
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
            if self.base is None:
                run(behind, self.model)
            else:
                self._run_base(behind)
        return {STATES: torch.cat(kept)[:, -tensors["completion_ids"].shape[1] :]}

    def _run_base(self, rows: Mapping[str, Tensor]) -> None:
        for part in in_parts(rows, self.config.per_device_train_batch_size):
            input_ids, attention_mask, _ = prompt_and_completion(part)
            with torch.no_grad(), self.accelerator.autocast():
                self.base.base_model(
                    input_ids=input_ids, attention_mask=attention_mask, use_cache=False
                )

    def _prompt_ids(self, row: Row) -> list[int]:
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
        own = Seen(states[:, -width:][mask], *_head(self.policy))
        with self._weights():
            teacher = Seen(theirs[:, :width][mask], *_head(self.base or self.policy))
        chunk = max(1, MAX_CHUNK_LOGITS // self.policy.config.get_text_config().vocab_size)
        found = compare_distributions(self.term.compare, own, teacher, temperature, chunk)
        everywhere = found.new_zeros(len(found), *mask.shape)
        everywhere[:, mask] = found
        return tuple(everywhere)


def _head(model: PreTrainedModel) -> tuple[Tensor, Tensor | None]:
    head: Any = model.get_output_embeddings()
    return head.weight, head.bias


def _load_base(config: LabelFreeConfig) -> PreTrainedModel:
    """Load the policy as it was before a run, whole on this rank."""
    with whole_weights():
        base: Any = create_model_from_path(config.model, **(config.model_init_kwargs or {}))
    return base.eval().requires_grad_(False)
