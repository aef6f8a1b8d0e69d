"""Hidden states: prompts whose answers look neither right nor wrong to the base are visited."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import gather_object
from datasets import Dataset
from torch import Tensor

from rl.data.tables import load_table
from rl.errors import InputError
from rl.groups.visits import shard
from rl.settings import Count, Share, checked
from rl.training.curriculum.answer_states import AnswerStates, states_at
from rl.training.curriculum.contract import PromptFact, State

if TYPE_CHECKING:
    from rl.training.source import Policy

WHAT = "curriculum.hidden_states"
PAIR_COLUMNS = ("prompt", "positive", "negative")

_logger = logging.getLogger(__name__)


@checked
@dataclass(kw_only=True)
class HiddenStates:
    """Visit the prompts whose greedy answer's state lies in the middle of a direction.

    cos(x) = h(x) . d / (|h(x)| |d|)

    h(x) is what a layer of the base policy holds at the token that completes its greedy answer to
    x; prompts are ranked by cos, least first, and those from `low` to `high` of them are visited.
    The base answers all prompts once, before the first update; what it costs counts as sampled. A
    run that goes on with other prompts, another layer, other pairs or another number of samples
    asks once more, and then it is the policy of the checkpoint that answers.

    d without `pairs`, which needs no label: the mean over the prompts whose sampled answers differ
    of (mean state of the answers that agree with the majority less mean state of the others).
    With `pairs`: the mean of (state after the right answer less state after the wrong one) over the
    questions of another data set. Its labels are seen, though not those of the prompts, so the
    run has to be declared `supervised`.

    Source: SelectTTRL, heyiliyi/SelectTTRL-public at 8e6f15e: src/selectttrl/cos.py (cosine, and
    the ranks floor(low M) to floor(high M)), experiments/rq4_source_transfer/extract_direction.py
    (pairs, the last token of each text), experiments/rq1_selectttrl (greedy answers, layer 21 of
    Qwen3-8B and Qwen2.5-7B-Instruct, 0.25 to 0.60). Its pairs are of TruthfulQA. Differs: the
    direction without labels is ours; equal cosines are ranked by row, not by a name.

    Attributes:
        layer: As transformers counts `hidden_states`: l comes out of the l-th block.
        low: Share of the prompts, those with the least cosines, that are not visited.
        high: Share up to which they are.
        num_samples: Completions of each prompt whose votes make the direction.
        pairs: File with the columns prompt, positive and negative, all text; none: votes.
    """

    layer: Count
    low: Share = 0.25
    high: Share = 0.60
    num_samples: Count = 8
    pairs: str | None = None
    _cosines: dict[str, float] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.low >= self.high:
            raise InputError(f"{WHAT}.low: got {self.low}, expected less than high. Lower it.")

    @property
    def sees_labels(self) -> bool:
        """Whether the direction comes from labelled answers."""
        return self.pairs is not None

    @property
    def _made_with(self) -> State:
        """What the cosines depend on."""
        num_samples = 0 if self.sees_labels else self.num_samples
        return {"layer": self.layer, "num_samples": num_samples, "pairs": self.pairs}

    def prepare(self, prompts: Dataset, policy: "Policy") -> None:
        """Let the base answer all prompts, unless it is known of each what came of it.

        Raises:
            InputError: If the model has fewer layers, or there is no direction.
        """
        if self._cosines.keys() >= set(prompts["prompt_id"]):
            return
        num_layers = policy.model.config.get_text_config().num_hidden_layers
        if self.layer > num_layers:
            raise InputError(
                f"{WHAT}.layer: got {self.layer}, expected at most {num_layers}, the layers of the "
                "model. Lower it."
            )
        rows: Any = [prompts[i] for i in range(len(prompts))]
        of_pairs = None if self.pairs is None else self._read_pairs(policy)
        found = AnswerStates(policy, self.layer, self._made_with["num_samples"]).read(rows)
        differences = [d for _, d in found.values() if d is not None]
        direction = of_pairs if of_pairs is not None else mean_direction(differences)
        if direction is None or not direction.norm() > 0:
            raise InputError(
                f"{WHAT}: got no prompt whose sampled answers differ, expected some, which make "
                "the direction. Raise num_samples, or leave hidden_states out."
            )
        self._cosines = {name: cosine(state, direction) for name, (state, _) in found.items()}
        if policy.accelerator.is_main_process:
            kept = interval(list(self._cosines.values()), self.low, self.high)
            values = [list(self._cosines.values())[i] for i in kept]
            _logger.warning(
                "hidden_states: %d of %d prompts are visited, of cosines %.3f to %.3f; the "
                "direction is of %s",
                *(len(kept), len(rows), min(values, default=0.0), max(values, default=0.0)),
                self.pairs or f"{len(differences)} prompts whose answers differ",
            )

    def order(self, rows: Sequence[int], prompts: Sequence[PromptFact]) -> list[int]:
        """Return the rows of the middle, in the order given."""
        names = sorted(rows)
        if not self._cosines:  # looked at before a model is there: only their number is right
            cosines = [0.0] * len(names)
        else:
            cosines = [self._cosines[prompts[row].prompt_id] for row in names]
        kept = {names[i] for i in interval(cosines, self.low, self.high)}
        return [row for row in rows if row in kept]

    def _read_pairs(self, policy: "Policy") -> Tensor:
        """Mean of the states after right answers less those after wrong ones."""
        accelerator, pairs = policy.accelerator, read_pairs(str(self.pairs))
        mine = shard(pairs, accelerator.process_index, accelerator.num_processes)
        texts = [pair["prompt"] + pair[side] for pair in mine for side in PAIR_COLUMNS[1:]]
        ids = policy.tokenizer(texts)["input_ids"] if texts else []
        states = states_at(policy, [(row, len(row) - 1) for row in ids], self.layer)
        parts: Any = gather_object([states.view(len(mine), 2, -1) if mine else None])
        right, wrong = torch.cat([p for p in parts if p is not None]).double().unbind(dim=1)
        return (right - wrong).mean(dim=0)

    def state_dict(self) -> State:
        """The cosines and what they are made with, as plain JSON."""
        return {"made_with": self._made_with, "cosines": self._cosines}

    def load_state_dict(self, state: State) -> None:
        """Go on from a state; cosines made with other settings are left, and asked for anew."""
        is_same = state.get("made_with") == self._made_with
        self._cosines = dict(state["cosines"]) if is_same else {}


def interval(values: Sequence[float], low: float, high: float) -> list[int]:
    """Return the places of the values of ranks floor(low M) to floor(high M), the end not included.

    Args:
        values: M of them.
        low: In [0, 1].
        high: In [0, 1].

    Returns:
        In ascending order of the values, of equal ones in that of their places.

    Example:
        >>> interval([0.4, 0.1, 0.3, 0.2], 0.25, 0.75)
        [3, 2]
    """
    ranked = sorted(range(len(values)), key=lambda i: values[i])
    # A share such as 0.29 of 100 must not be 28.
    start, end = (floor(round(share * len(ranked), 9)) for share in (low, high))
    return ranked[start:end]


def mean_direction(differences: Sequence[Tensor]) -> Tensor | None:
    """Return the mean of differences, in double precision, (D,); None of none."""
    return torch.stack([*differences]).double().mean(dim=0) if differences else None


def cosine(state: Tensor, direction: Tensor) -> float:
    """Return the cosine of two vectors, in [-1, 1]; 0.0 if the state is 0."""
    norm = state.double().norm() * direction.norm()
    return float(state.double() @ direction / norm) if norm > 0 else 0.0


def read_pairs(path: str) -> list[dict[str, str]]:
    """Read questions with a right and a wrong answer.

    Raises:
        InputError: If the file cannot be read, lacks a column, or holds anything but text.
    """
    table = load_table(path)
    missing = [name for name in PAIR_COLUMNS if name not in table]
    if missing:
        raise InputError(
            f"{WHAT}.pairs: got {path!r} without the column {missing[0]!r}, expected "
            f"{', '.join(PAIR_COLUMNS)}. Name another file."
        )
    columns = [table[name] for name in PAIR_COLUMNS]
    rows = zip(*columns, strict=True)
    pairs: list[dict[str, str]] = [dict(zip(PAIR_COLUMNS, row, strict=True)) for row in rows]
    for number, pair in enumerate(pairs, start=1):
        for name, text in pair.items():
            if not isinstance(text, str) or not text:
                raise InputError(
                    f"{path} row {number}: got {text!r:.60} for {name}, expected text. Correct or "
                    "remove the row."
                )
    return pairs
