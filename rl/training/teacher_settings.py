"""What a recipe's `teacher` says: which copy of the policy answers, and how it follows it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from rl.errors import InputError
from rl.settings import Count, CountOrNone, build, checked

Decay = Annotated[float, Field(ge=0, lt=1)]


@checked
@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """A teacher, whose completions of a prompt a reward sees as `Group.teacher`.

    Attributes:
        kind: "ema": a moving average of the policy's weights, which samples at every batch;
            "frozen": the policy as it was at the start, likewise; both take the memory of one more
            model on every device, whole also where the policy is sharded. "offline": that policy
            too, but it answers every prompt of the training set once, before the first update, and
            its answers are kept in a file.
        num_votes: Completions of the teacher for a prompt; 0: num_generations.
        decay: Share of the average that stays at an update, at the start of the run.
        final_decay: The same at its end, along a cosine; None: constant.
        every: Batches between two updates of the average.
        labels: File of the offline answers; None: teacher_labels.jsonl in the run's folder. One
            that was made by the same model for the same prompts is used again.
    """

    kind: Literal["ema", "frozen", "offline"]
    num_votes: CountOrNone = 0
    decay: Decay = 0.99
    final_decay: Decay | None = None
    every: Count = 1
    labels: str | None = None


def read_teacher(setting: Mapping[str, Any]) -> TeacherSettings:
    """Build the settings, and refuse those that the kind does not read.

    Raises:
        InputError: If one is unknown, out of its range, or belongs to another kind.
    """
    settings: TeacherSettings = build("teacher", TeacherSettings, setting)
    owners = {"decay": "ema", "final_decay": "ema", "every": "ema", "labels": "offline"}
    for name, kind in owners.items():
        if name in setting and settings.kind != kind:
            raise InputError(
                f"teacher.{name}: got {setting[name]!r} beside kind {settings.kind!r}, expected it "
                f"unset. Remove it, or set kind: {kind}."
            )
    return settings


def decay_at(settings: TeacherSettings, index: int, num_batches: int) -> float:
    """Return the share of the average that stays at the update before a batch.

    d(k) = d_end + (d_start - d_end) / 2 * (1 + cos(pi * k / K))

    Source: Co-rewarding-II, arXiv 2508.00410, as its code has it (tmlr-group/Co-rewarding at
    6c60ea4, Co-rewarding-II/verl/workers/sharding_manager/fsdp_vllm.py, `update_alpha`, of 1 - d).
    The paper's equation 11 says the same of its table's 0.99 and 0.9999 in words, but literally
    runs from 0.9901 to 1.

    Args:
        settings: Of the teacher.
        index: Number k of the batch, from 0.
        num_batches: Batches of the run, K.

    Example:
        >>> settings = TeacherSettings(kind="ema", decay=0.9, final_decay=0.98)
        >>> [round(decay_at(settings, k, 4), 4) for k in (0, 2, 4, 9)]
        [0.9, 0.94, 0.98, 0.98]
    """
    start, end = settings.decay, settings.final_decay
    if end is None:
        return start
    progress = min(index, num_batches) / max(num_batches, 1)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * progress))
