"""Sampling asked for ahead: completions of later prompts come while the trainer updates."""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from rl.rollouts.engine import Images, RolloutEngine, Sample, images_argument, with_settings

FILE = "samples_ahead_{rank}.pt"
_ABORTS_AFTER_SECONDS = 0.1
_SAVED = ("position", "row", "batch", "version", "seed", "num_samples")
_logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Request:
    """What `generate` will be asked for.

    Attributes:
        prompt_ids: P tokenized prompts.
        num_samples: Samples per prompt.
        seeds: One per prompt.
        images: Of each prompt.
    """

    prompt_ids: list[list[int]]
    num_samples: int
    seeds: list[int]
    images: Images = None


@dataclass(eq=False, kw_only=True)
class Asked:
    """A prompt whose completions are under way, or there.

    Attributes:
        position: Of the prompt among all that this rank samples in a run.
        row: Number of the prompt in the training set.
        batch: Number of the batch that was due when it was asked for.
        version: Of the policy that began with it.
        seed: Of its completions.
        num_samples: How many there will be.
        samples: They; None where they are lost.
    """

    position: int
    row: int
    batch: int
    version: int
    seed: int
    num_samples: int
    samples: "Future[list[Sample] | None]" = field(default_factory=Future)


class AheadEngine:
    """Answers a call from what was asked for ahead; any other call goes to the engine at once.

    Args:
        engine: Samples without the trainer's model; may be called from several threads at once.
        carries_over: Whether weights change beneath completions under way, which then come from
            several policies; else a change waits for them, and each comes whole from one.

    Attributes:
        asked: What no batch has taken, by position.
        next_position: Of the first prompt that is not asked for yet; None where nothing was.
        forgotten: Positions of prompts before it that are to be asked for again.
        rows: Position -> row in the training set, where positions were dealt out anew.
        taken: Positions that the newest batch took.
    """

    def __init__(self, engine: RolloutEngine, carries_over: bool = False) -> None:
        self.engine = engine
        self.carries_over = carries_over
        self.settings = engine.settings  # of calls; what is asked for ahead has the engine's own
        self.asked: list[Asked] = []
        self.next_position: int | None = None
        self.forgotten: list[int] = []
        self.rows: dict[int, int] = {}
        self.taken: list[int] = []
        self._taken: dict[tuple[int, int], list[Sample]] = {}  # copies of this engine share them

    def ask(
        self, asked: Sequence[Asked], prompt_ids: Sequence[list[int]], images: Images = None
    ) -> None:
        """Begin to sample prompts, in one call, or each for itself where they are carried over.

        Args:
            asked: The prompts, of as many samples each, in the order of their positions.
            prompt_ids: Their tokens.
            images: Of each.
        """
        self.asked.extend(asked)
        size = 1 if self.carries_over else max(1, len(asked))
        for start in range(0, len(asked), size):
            part = slice(start, start + size)
            arguments = asked[part], prompt_ids[part], images and images[part]
            # As a daemon it holds up no process that ends.
            Thread(target=self._sample, args=arguments, daemon=True).start()

    def _sample(
        self, asked: Sequence[Asked], prompt_ids: Sequence[list[int]], images: Images
    ) -> None:
        try:
            seeds = [one.seed for one in asked]
            found = self.engine.generate(
                list(prompt_ids), asked[0].num_samples, seeds, **images_argument(images)
            )
        except Exception as error:  # noqa: BLE001  whoever waits for the samples gets it
            for one in asked:
                one.samples.set_exception(error)
        else:
            for one, samples in zip(asked, found, strict=True):
                one.samples.set_result(samples)

    def take(self, number: int, before_position: int, due_batch: int) -> list[Asked]:
        """Take prompts for a batch, and wait for their completions.

        First those that are due, then those whose completions are there, then whichever come first.

        Args:
            number: How many.
            before_position: Of those before this position.
            due_batch: Those asked for at this batch or earlier are due.

        Returns:
            The prompts, by position; the next call of `generate` for their seeds is answered.

        Raises:
            RuntimeError: If fewer are asked for.
            Exception: What the engine raised.
        """
        open_ = [one for one in self.asked if one.position < before_position]
        if len(open_) < number:
            raise RuntimeError(f"prompts asked for: got {len(open_)}, expected {number}.")
        due = [one for one in open_ if one.batch <= due_batch]
        others = [one for one in open_ if one.batch > due_batch]
        while len(due) + sum(one.samples.done() for one in others) < number:
            running = [one.samples for one in others if not one.samples.done()]
            wait(running, return_when=FIRST_COMPLETED)
        done = [one for one in others if one.samples.done()]
        taken = sorted([*due, *done][:number], key=lambda one: one.position)
        found = {(one.seed, one.num_samples): one.samples.result() for one in taken}
        self._taken.clear()
        self._taken.update({key: samples for key, samples in found.items() if samples is not None})
        self.asked[:] = [one for one in self.asked if one not in taken]
        self.taken = [one.position for one in taken]
        return taken

    def num_open(self, before_position: int) -> int:
        """Count the prompts before a position that no batch has taken."""
        return sum(one.position < before_position for one in self.asked)

    def start_over(self) -> None:
        """Forget everything: what comes next is asked for from the start of a batch on."""
        self.asked.clear()
        self.forgotten.clear()
        self.rows.clear()
        self.next_position = None

    def settle(self) -> None:
        """Wait until the weights may change.

        Raises:
            Exception: What the engine raised.
        """
        for one in () if self.carries_over else self.asked:
            one.samples.result()

    def forget(self, taken_too: bool = False) -> None:
        """Throw away what was asked for, as of a policy that is given up; it is asked for again.

        What is under way is aborted, where the engine has `abort_requests`, and else waited for.

        Args:
            taken_too: Whether what the newest batch took is to come again, too.
        """
        running = [one.samples for one in self.asked]
        abort = getattr(self.engine, "abort_requests", None)
        while wait(running, timeout=0).not_done:
            if abort is not None:
                abort()  # again: some were not sent yet
            wait(running, timeout=None if abort is None else _ABORTS_AFTER_SECONDS)
        self.forgotten = [*self.forgotten, *(one.position for one in self.asked)]
        if taken_too:
            self.forgotten, self.taken = [*self.forgotten, *self.taken], []
        self.asked.clear()
        self._taken.clear()

    def generate(
        self,
        prompt_ids: list[list[int]],
        num_samples: int,
        seeds: list[int],
        first_sample: int = 0,
        images: Images = None,
    ) -> list[list[Sample]]:
        """Return, once, what was taken of these seeds, or sample (see `RolloutEngine.generate`)."""
        keys = [(seed, num_samples) for seed in seeds]
        if self._taken.keys() >= set(keys) and not first_sample:
            return [self._taken.pop(key) for key in keys]
        engine = with_settings(self.engine, self.settings)
        more = images_argument(images)
        return engine.generate(prompt_ids, num_samples, seeds, first_sample, **more)

    def sync_weights(self) -> None:
        """Take over the trained model's current weights, once they may change."""
        self.settle()
        self.engine.sync_weights()

    def close(self) -> None:
        """Free what the engine holds; what is being sampled is not waited for."""
        self.engine.close()

    def save(self, folder: Path, rank: int, layout: Mapping[str, int]) -> None:
        """Write what was asked for into a checkpoint, once it is there; what fails is lost.

        Args:
            folder: The checkpoint.
            rank: This rank.
            layout: What positions depend on.
        """
        asked = [
            {**{name: getattr(one, name) for name in _SAVED}, "samples": _values(one.samples)}
            for one in self.asked
        ]
        saved = {"layout": dict(layout), "next_position": self.next_position, "asked": asked}
        more = {"forgotten": self.forgotten, "rows": self.rows, "taken": self.taken}
        torch.save({**saved, **more}, folder / FILE.format(rank=rank))

    def load(
        self,
        folder: Path,
        rank: int,
        layout: Mapping[str, int],
        deal_anew: Callable[[list[dict[str, Any]]], dict[str, Any]] | None = None,
        must_deal: bool = False,
    ) -> None:
        """Read it back; of a checkpoint without it, or of another layout, nothing was asked for.

        Args:
            folder: The checkpoint.
            rank: This rank.
            layout: What positions depend on.
            deal_anew: Makes this rank's part of those of another number of ranks; None: nothing.
            must_deal: Whether it is to, though their number is the same, if a batch took any.
        """
        former = _read(folder, 0).get("layout", layout)
        saved = _read(folder, rank) if former == layout else {}
        if former != layout or (must_deal and deal_anew and saved.get("taken")):
            parts = [_read(folder, number) for number in range(former["num_ranks"])]
            is_known = all(part.get("next_position") is not None for part in parts)
            if deal_anew and is_known and former == {**layout, "num_ranks": former["num_ranks"]}:
                saved = deal_anew(parts)
            else:
                _logger.warning(
                    "asked for ahead with %s, and asked for again with %s", former, layout
                )
        self.asked.clear()
        self.next_position = saved.get("next_position")
        self.forgotten = saved.get("forgotten", [])
        self.rows = saved.get("rows", {})
        self.taken = saved.get("taken", [])
        for entry in saved.get("asked", ()):
            one = Asked(**{name: entry[name] for name in _SAVED})
            rows = entry["samples"]
            one.samples.set_result(None if rows is None else [_sample(*values) for values in rows])
            self.asked.append(one)


def _read(folder: Path, rank: int) -> dict[str, Any]:
    path = folder / FILE.format(rank=rank)
    return torch.load(path, weights_only=True) if path.is_file() else {}


def _values(samples: "Future[list[Sample] | None]") -> list[tuple[Any, ...]] | None:
    """What is saved of a prompt's samples, once they are there; None where they are lost."""
    if samples.exception() is not None or (found := samples.result()) is None:
        return None
    return [(s.completion_ids, s.truncated, s.sampling_per_token_logps) for s in found]


def _sample(ids: list[int], truncated: bool, logps: list[float] | None) -> Sample:
    return Sample(completion_ids=ids, truncated=truncated, sampling_per_token_logps=logps)
