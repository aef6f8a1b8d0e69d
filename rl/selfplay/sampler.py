"""Samples a game's requests with the run's engine: each rank a share, all ranks get everything."""

from collections.abc import Sequence
from dataclasses import dataclass

from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from rl.data.prompts import tokenize_prompt
from rl.rollouts.engine import RolloutEngine, Sample, derive_seed
from rl.rollouts.stop_strings import completion_texts
from rl.selfplay.game import Answered, Request
from rl.training.costs import CostMeter


class PolicySampler:
    """Answers the requests of one round; see `rl.selfplay.game.RequestSampler`.

    Args:
        engine: Samples under the current policy.
        tokenizer: The policy's.
        accelerator: Knows the ranks.
        costs: Counts what is sampled, and the seconds it takes.
        seed: Of the run.
        step: Number of the round.
        frozen_engine: Samples under the frozen policy; None keeps none.

    Attributes:
        samples: Key of each request of the policy -> its samples, token by token.
        frozen_samples: The same of the frozen policy.
    """

    def __init__(
        self,
        engine: RolloutEngine,
        tokenizer: PreTrainedTokenizerBase,
        accelerator: Accelerator,
        costs: CostMeter,
        seed: int,
        step: int,
        frozen_engine: RolloutEngine | None = None,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.accelerator = accelerator
        self.costs = costs
        self.seed = seed
        self.step = step
        self.frozen_engine = frozen_engine
        self.samples: dict[str, list[Sample]] = {}
        self.frozen_samples: dict[str, list[Sample]] = {}

    def __call__(self, requests: Sequence[Request]) -> list[list[Answered]]:
        """Sample under the current policy."""
        return self._answer(self.engine, requests, self.samples)

    def frozen(self, requests: Sequence[Request]) -> list[list[Answered]] | None:
        """Sample under the frozen policy, if there is one."""
        if self.frozen_engine is None:
            return None
        return self._answer(self.frozen_engine, requests, self.frozen_samples)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _answer(
        self, engine: RolloutEngine, requests: Sequence[Request], known: dict[str, list[Sample]]
    ) -> list[list[Answered]]:
        keys = [request.key for request in requests]
        if len(set(keys)) < len(keys) or not known.keys().isdisjoint(keys):
            raise ValueError("requests: got a key twice in one round, expected each once.")
        answered: dict[str, list[Answered]] = {}
        with self.costs.time("sample_seconds"):
            # An engine samples as many completions of each prompt of a call.
            for num_samples in sorted({request.num_samples for request in requests}):
                same = [request for request in requests if request.num_samples == num_samples]
                for key, samples, texts in self._sample(engine, same, num_samples):
                    known[key] = samples
                    answered[key] = [
                        Answered(
                            completion=text,
                            num_tokens=len(sample.completion_ids),
                            truncated=sample.truncated,
                        )
                        for sample, text in zip(samples, texts, strict=True)
                    ]
        found = [answered[key] for key in keys]
        self.costs.add("num_sampled_completions", sum(map(len, found)))
        self.costs.add("num_sampled_tokens", sum(a.num_tokens for row in found for a in row))
        return found

    def _sample(
        self, engine: RolloutEngine, requests: Sequence[Request], num_samples: int
    ) -> list[tuple[str, list[Sample], list[str]]]:
        """Sample requests of one size; every rank gets all of them."""
        rank, num_ranks = self.accelerator.process_index, self.accelerator.num_processes
        own: list[tuple[int, int, list[Sample], list[str]]] = []
        for share in share_out(len(requests), num_samples, rank, num_ranks):
            mine = [requests[number] for number in share.requests]
            groups = engine.generate(
                [tokenize_prompt(request.prompt, self.tokenizer) for request in mine],
                share.num_samples,
                [derive_seed(self.seed, self.step, request.key) for request in mine],
                share.first_sample,
            )
            stops = engine.settings.stop_strings
            for number, group in zip(share.requests, groups, strict=True):
                if kept := group[: share.num_kept]:
                    texts = completion_texts(kept, self.tokenizer, stops)
                    own.append((number, share.first_sample, kept, texts))
        found: dict[str, tuple[list[Sample], list[str]]] = {}
        for number, _, samples, texts in sorted(gather_object(own), key=lambda part: part[:2]):
            known = found.setdefault(requests[number].key, ([], []))
            known[0].extend(samples)
            known[1].extend(texts)
        return [(key, *known) for key, known in found.items()]


@dataclass(frozen=True, kw_only=True)
class Share:
    """What a rank samples in one call of its engine.

    Attributes:
        requests: Numbers of the requests.
        first_sample: Number of the first sample of each.
        num_samples: Samples of each.
        num_kept: The first of them that count; the others are another rank's, or nobody's.
    """

    requests: Sequence[int]
    first_sample: int
    num_samples: int
    num_kept: int


def share_out(num_requests: int, num_samples: int, rank: int, num_ranks: int) -> list[Share]:
    """Share out requests of as many samples each, so that ranks sample as much, or nearly.

    As many requests as the ranks can take evenly are dealt out whole, since samples of a request
    share its prompt. Of each of the remaining r < num_ranks the samples are cut into
    num_ranks // r parts. Sampling from a sharded model is collective, so the calls of all ranks are
    alike in number and size; a rank without a part samples one again, and drops it.

    Args:
        num_requests: At least 1.
        num_samples: Of each request, at least 1.
        rank: Whose share, from 0.
        num_ranks: At least 1.

    Returns:
        One or two calls. Over all ranks what is kept is each sample of each request once.

    Example:
        >>> [share_out(1, 256, rank, 2)[0].first_sample for rank in (0, 1)]
        [0, 128]
    """
    num_dealt = num_requests // num_ranks * num_ranks
    shares = []
    if num_dealt:
        dealt = range(rank, num_dealt, num_ranks)
        shares.append(
            Share(requests=dealt, first_sample=0, num_samples=num_samples, num_kept=num_samples)
        )
    num_left = num_requests - num_dealt
    if num_left:
        size = -(-num_samples // (num_ranks // num_left))
        num_parts = -(-num_samples // size)
        has_part = rank < num_left * num_parts
        request, part = divmod(rank if has_part else 0, num_parts)
        first = part * size
        shares.append(
            Share(
                requests=[num_dealt + request],
                first_sample=first,
                num_samples=size,
                num_kept=min(size, num_samples - first) if has_part else 0,
            )
        )
    return shares
