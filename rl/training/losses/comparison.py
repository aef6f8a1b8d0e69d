"""Whole distributions of a policy and its teacher, compared token by token, some at a time."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from rl.trl_internals import maybe_gather_lm_head_ctx

# Of N tokens' log-probabilities over the vocabulary under policy and teacher, (N, V), to (N,) each.
Comparison = Callable[[Tensor, Tensor], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Seen:
    """What a model makes its distributions of N tokens from.

    Attributes:
        states: Its last hidden state before each token, (N, D).
        weight: Of its output head, (V, D).
        bias: Likewise, (V,).
    """

    states: Tensor
    weight: Tensor
    bias: Tensor | None = None


def compare_distributions(
    function: Comparison, policy: Seen, teacher: Seen, temperature: float, chunk: int
) -> Tensor:
    """Compare what policy and teacher would write at each token.

    function(log p, log q),  log p = log_softmax(logits / temperature), log q likewise

    The logits of one chunk of tokens exist at a time; on the way back they are computed again. It
    is one step of the computation each way, whatever the number of tokens: so a head that ZeRO-3
    has sharded is gathered once for all of them, and ranks with other numbers of tokens stay in
    step. To be called within the forward pass of the model whose head it is, as sharding wants it.

    Args:
        function: Gives F numbers of each token.
        policy: Has gradients.
        teacher: Has none.
        temperature: Divides all logits.
        chunk: Tokens at a time.

    Returns:
        (F, N), float32; (F, 0) of no tokens.
    """
    kind = policy.states.device.type
    is_cast = torch.is_autocast_enabled(kind)
    dtype = torch.get_autocast_dtype(kind) if is_cast else policy.states.dtype

    def of_rows(own: Seen, theirs: Seen) -> Tensor:
        with torch.no_grad():
            teacher_logps = logps_of(theirs)
        return torch.stack(function(logps_of(own), teacher_logps))

    def logps_of(seen: Seen) -> Tensor:
        bias = None if seen.bias is None else seen.bias.to(dtype)
        logits = linear(seen.states.to(dtype), seen.weight.to(dtype), bias)
        return (logits.float() / temperature).log_softmax(dim=-1)

    found: Any = _Compared.apply(
        *(of_rows, chunk),
        *(policy.states, policy.weight, policy.bias),
        *(teacher.states, teacher.weight, teacher.bias),
    )
    return found


class _Compared(torch.autograd.Function):
    """Calls a function with some rows at a time, twice: the second time for its gradients."""

    @staticmethod
    def forward(ctx: Any, of_rows: Any, chunk: int, *given: Any) -> Tensor:
        ctx.of_rows, ctx.chunk = of_rows, chunk
        ctx.save_for_backward(*given)
        own, theirs = given[:3], given[3:]
        with _gathered(*own[1:], *theirs[1:]):
            return torch.cat(
                [
                    of_rows(Seen(own[0][rows], *own[1:]), Seen(theirs[0][rows], *theirs[1:]))
                    for rows in _parts(len(own[0]), chunk)
                ],
                dim=1,
            )

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        own, theirs = ctx.saved_tensors[:3], ctx.saved_tensors[3:]
        needed = [i for i in range(3) if ctx.needs_input_grad[2 + i]]
        found: list[Any] = [None] * 3
        with _gathered(*own[1:], *theirs[1:]):
            for i in needed:
                found[i] = torch.zeros_like(own[i], dtype=torch.float32)
            for rows in _parts(len(own[0]), ctx.chunk):
                # Leaves of their own: hooks of parameters wait for the gradient of a whole step.
                leaves: list[Any] = [
                    x if x is None else x.detach() for x in (own[0][rows], *own[1:])
                ]
                for i in needed:
                    leaves[i].requires_grad_()
                with torch.enable_grad():
                    values = ctx.of_rows(Seen(*leaves), Seen(theirs[0][rows], *theirs[1:]))
                wanted = [leaves[i] for i in needed]
                new = torch.autograd.grad(values, wanted, gradients[0][:, rows])
                for i, gradient in zip(needed, new, strict=True):
                    (found[i][rows] if i == 0 else found[i]).add_(gradient)
        of_given = [x if x is None else x.to(y.dtype) for x, y in zip(found, own, strict=True)]
        return (None, None, *of_given, None, None, None)


def _gathered(*parameters: Any) -> AbstractContextManager:
    """Gather what ZeRO-3 has sharded; a teacher's own copy is whole."""
    return maybe_gather_lm_head_ctx(*(p for p in parameters if hasattr(p, "ds_status")))


def _parts(num_rows: int, chunk: int) -> list[slice]:
    """Cut rows up; none are one part, which says how many numbers there are of each."""
    return [slice(start, start + chunk) for start in range(0, max(num_rows, 1), chunk)]
