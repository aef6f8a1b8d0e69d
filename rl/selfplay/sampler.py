"""Samples a game's requests with the run's engine: each rank a share, all ranks get the texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accelerate import Accelerator
from accelerate.utils import gather_object
from transformers import PreTrainedTokenizerBase

from rl.data.prompts import tokenize_prompt
from rl.rollouts.engine import RolloutEngine, Sample, derive_seed, images_argument
from rl.rollouts.stop_strings import completion_texts
from rl.selfplay.game import Answered, Request
from rl.training.costs import CostMeter
from rl.training.run_images import RunImages
from rl.watchdog import sampling_deadline


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
        max_seconds: Most of one call of an engine, then the process ends; 0 for any.
        template_arguments: What the chat template is given beside the messages.
        images: Those that requests may have places for.

    A completion's tokens and their log-probabilities stay on the rank that sampled it.

    Attributes:
        samples: (key of a request of the policy, number of the sample) -> what this rank sampled.
        homes: (key, number) -> the rank that sampled it, for all of them.
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
        max_seconds: float = 0.0,
        template_arguments: Mapping[str, Any] | None = None,
        images: RunImages | None = None,
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.accelerator = accelerator
        self.costs = costs
        self.seed = seed
        self.step = step
        self.frozen_engine = frozen_engine
        self.max_seconds = max_seconds
        self.template_arguments = template_arguments
        self.images = images
        self.samples: dict[tuple[str, int], Sample] = {}
        self.homes: dict[tuple[str, int], int] = {}
        self._asked: set[tuple[int, str]] = set()

    def __call__(self, requests: Sequence[Request]) -> list[list[Answered]]:
        """Sample under the current policy."""
        return self._answer(self.engine, requests)

    def frozen(self, requests: Sequence[Request]) -> list[list[Answered]] | None:
        """Sample under the frozen policy, if there is one."""
        if self.frozen_engine is None:
            return None
        return self._answer(self.frozen_engine, requests)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _answer(self, engine: RolloutEngine, requests: Sequence[Request]) -> list[list[Answered]]:
        keys = [request.key for request in requests]
        asked = {(id(engine), key) for key in keys}
        if len(asked) < len(keys) or not self._asked.isdisjoint(asked):
            raise ValueError("requests: got a key twice in one round, expected each once.")
        self._asked |= asked
        answered: dict[str, list[Answered]] = {}
        with self.costs.time("sample_seconds"):
            # An engine samples as many completions of each prompt of a call.
            for num_samples in sorted({request.num_samples for request in requests}):
                same = [request for request in requests if request.num_samples == num_samples]
                answered |= self._sample(engine, same, num_samples)
        found = [answered[key] for key in keys]
        self.costs.add("num_sampled_completions", sum(map(len, found)))
        self.costs.add("num_sampled_tokens", sum(a.num_tokens for row in found for a in row))
        return found

    def _sample(
        self, engine: RolloutEngine, requests: Sequence[Request], num_samples: int
    ) -> dict[str, list[Answered]]:
        """Sample requests of one size; every rank gets the texts of all."""
        rank, num_ranks = self.accelerator.process_index, self.accelerator.num_processes
        own: list[tuple[int, int, int, list[Answered]]] = []
        for share in share_out(len(requests), num_samples, rank, num_ranks):
            mine = [requests[number] for number in share.requests]
            with sampling_deadline(self.max_seconds):
                groups = engine.generate(
                    list(map(self._tokenize, mine)),
                    share.num_samples,
                    [derive_seed(self.seed, self.step, request.key) for request in mine],
                    share.first_sample,
                    **images_argument(
                        self.images and [self.images.of_row(r.image_row) for r in mine]
                    ),
                )
            for number, group in zip(share.requests, groups, strict=True):
                if kept := group[: share.num_kept]:
                    own.append((number, share.first_sample, rank, self._read(engine, kept)))
                    if engine is self.engine:
                        keys = [
                            (requests[number].key, share.first_sample + i) for i in range(len(kept))
                        ]
                        self.samples |= zip(keys, kept, strict=True)
        found: dict[str, list[Answered]] = {request.key: [] for request in requests}
        for number, first_sample, home, part in sorted(gather_object(own), key=lambda p: p[:2]):
            key = requests[number].key
            found[key] += part
            if engine is self.engine:
                self.homes |= {(key, first_sample + i): home for i in range(len(part))}
        return found

    def _tokenize(self, request: Request) -> list[int]:
        if self.images is None:
            return tokenize_prompt(request.prompt, self.tokenizer, self.template_arguments)
        row, arguments = request.image_row, self.template_arguments
        return self.images.prompt_ids(request.prompt, row, arguments)

    def _read(self, engine: RolloutEngine, samples: Sequence[Sample]) -> list[Answered]:
        texts = completion_texts(samples, self.tokenizer, engine.settings.stop_strings)
        return [
            Answered(
                completion=text,
                num_tokens=len(sample.completion_ids),
                truncated=sample.truncated,
            )
            for sample, text in zip(samples, texts, strict=True)
        ]


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
