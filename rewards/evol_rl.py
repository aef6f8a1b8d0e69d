r"""EVOL-RL: majority for selection, novelty for variation.

Every majority answer is paid more than every other answer; within the two, a response is paid more
the less its reasoning resembles that of the others.

Source: Evolving Language Models without Labels, arXiv 2509.15194v3, section 3.2 and appendix A.
    Reference code: YujunZhou/EVOL-RL at 19896e0,
    verl/verl/workers/reward_manager/semantic_novelty.py.
Differs: by preset.
    `preset="paper"`: a response is valid if its last box holds a digit; the valid ones vote, with
        the box's text. The formula alone decides: a response alone on its side, and equal
        novelties, get the lower end of the band.
    `preset="reference_code"`: all vote, as in TTRL's code (`rewards.majority_vote`), and a response
        is valid if a digit stands between any `\boxed{` and the next `}` after the first
        `</think>`. That part is embedded, without the special tokens it has in the code.
        Similarities are clipped to [0, 1]. A response alone on its side gets the upper end of its
        band, equal novelties the middle. If only one response is valid, it gets -1 too; a group of
        one gets TTRL's reward.
    `preset="default"` (ours): valid is what has an answer, so \pi, letters and words count, whose
        majority the code punishes; classes of equal answers vote; if nobody answers, nothing is
        scored. A response alone on its side, and equal novelties, say nothing about novelty and get
        the middle of the band.
    In all presets a failed embedding is never a random vector, which the code would pay as the most
    novel; differences of novelty up to 1e-6 are rounding.
Fails when: the majority is confidently wrong; or unlike text is no other reasoning: with full
    consensus novelty alone decides, and drift in length, language or style is paid.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import and_
from typing import Literal

from pydantic import PositiveInt

from rewards.correctness import overruled_vote
from rewards.majority_vote import MajorityVote, Preset
from rewards.novelty import cosine_similarities, novelties, positions_in_band
from rl.answers import after_thought, last_box
from rl.answers.embedding import (
    DEFAULT_MODEL,
    MAX_TOKENS,
    Embedder,
    EmbeddingError,
    SentenceTransformerEmbedder,
    ServerEmbedder,
)
from rl.answers.votes import GroupVote, TieRule
from rl.settings import Share, checked
from rl.types import Group

EmbeddedText = Literal["reasoning", "completion", "after_think"]

_MIDPOINT = 0.5
_DIGIT = re.compile(r"\d")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """What a preset decides beyond vote and validity."""

    embedded_text: str
    single: float
    equal: float
    clip: bool


_RULES = {
    "default": _Rules(embedded_text="reasoning", single=_MIDPOINT, equal=_MIDPOINT, clip=False),
    "paper": _Rules(embedded_text="reasoning", single=0.0, equal=0.0, clip=False),
    "reference_code": _Rules(embedded_text="after_think", single=1.0, equal=_MIDPOINT, clip=True),
}


@checked
@dataclass(frozen=True, kw_only=True)
class EvolRL:
    r"""Pay the majority in [0.5, 1.0] and the rest in [-1.0, -0.5], more for novel reasoning.

    r_i = -1 if i is invalid, 0.5 + 0.5 p_i if its answer is the majority's, else -1 + 0.5 p_i

    p_i in [0, 1] is the response's novelty u_i, scaled within the majority and within the rest, and
    u_i = 1 - (alpha * mean similarity to its own side + (1 - alpha) * largest similarity to any);
    see `rewards.novelty`. All rollouts vote and all are scored and embedded, trained or not.

    Attributes:
        preset: "default", "paper" or "reference_code", as described in the module.
        tie: "first": the answer that appears first in the group wins a tie; "drop": a tie has no
            pseudo-label.
        alpha: Weight of the mean similarity, in [0, 1].
        novelty: False puts every valid response in the middle of its band: the ablation, in which
            nothing is embedded.
        embedded_text: "completion"; "after_think": what follows the first `</think>`, all of it
            without one; "reasoning": the thought between `<think>` and the last `</think>`, without
            tags what stands before the last box. A blank part stands for the completion. None: the
            preset's.
        embedder: Model to embed with, a sentence-transformers name or folder; or an object with
            `embed(texts)`, see `rl.answers.embedding`.
        embedder_url: OpenAI-compatible server that serves it, up to and with `/v1`; None: the model
            is loaded in this process.
        embedder_device: Device of a model in this process; None: the GPU if there is one.
        max_embedding_tokens: Longer texts keep their end. What the model cannot read at once, as
            all-MiniLM-L6-v2 more than 256 tokens, is read in windows; the authors'
            Qwen3-Embedding-4B reads these 16,000 at once, as in their code.
        selection: "majority", or "correctness": the supervised control, in which correct answers
            take the majority's place.
        on_embedding_failure: "stop" raises; "midpoint" logs a warning and puts the valid responses
            of the group in the middle of their bands.

    Example:
        >>> from rl.types import Rollout
        >>> rollouts = [Rollout(completion="", answer=a) for a in ("2", "2.0", "3", None)]
        >>> group = Group(prompt_id="p", prompt="1+1=", rollouts=tuple(rollouts))
        >>> EvolRL(novelty=False)(group)
        [0.75, 0.75, -0.75, -1.0]
    """

    preset: Preset = "default"
    tie: TieRule = "first"
    alpha: Share = 0.5
    novelty: bool = True
    embedded_text: EmbeddedText | None = None
    embedder: str | Embedder = DEFAULT_MODEL
    embedder_url: str | None = None
    embedder_device: str | None = None
    max_embedding_tokens: PositiveInt = MAX_TOKENS
    selection: Literal["majority", "correctness"] = "majority"
    on_embedding_failure: Literal["stop", "midpoint"] = "stop"
    _labels: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._find_embedder()  # which checks the address

    @property
    def sees_labels(self) -> bool:
        """Whether labels decide which responses get the upper band."""
        return self.selection == "correctness"

    def set_labels(self, labels: Mapping[str, str]) -> None:
        """Take the labels, {prompt_id: label}, in place of any it had; read for "correctness"."""
        self._labels.clear()
        self._labels.update(labels)

    def __call__(self, group: Group) -> list[float | None]:
        """Score a group.

        Args:
            group: Rollouts of one prompt; reads `completion`, `answer` and `cluster`. If no rollout
                has a cluster but some have answers, the clusters are computed.

        Returns:
            One reward per rollout, in [-1.0, -0.5] or [0.5, 1.0]. All None if nobody answered (in
            the other presets: nobody is valid, all -1.0), a tie was dropped, or the prompt has no
            label for "correctness". A group of one with "reference_code" gets 1.0 or 0.0.

        Raises:
            EmbeddingError: If the embedder failed and `on_embedding_failure` is "stop".
            InputError: If the embedder cannot be loaded.
        """
        is_valid = self._validity(group)
        if self.preset == "paper" and not any(is_valid):
            return [-1.0] * len(is_valid)
        found = self._take_sides(group)
        if found.pseudo_label is None:
            return [None] * len(is_valid)
        is_selected = found.selected
        if self.preset == "reference_code":
            if len(is_valid) == 1:
                return [float(is_selected[0])]
            if sum(is_valid) == 1:
                return [-1.0] * len(is_valid)
        valid = [i for i, is_one in enumerate(is_valid) if is_one]
        positions = self._positions(
            [self._text(group.rollouts[i].completion) for i in valid],
            [is_selected[i] for i in valid],
        )
        rewards: list[float | None] = [-1.0] * len(is_valid)
        for i, position in zip(valid, positions, strict=True):
            rewards[i] = (0.5 if is_selected[i] else -1.0) + 0.5 * position
        return rewards

    def vote(self, group: Group) -> GroupVote:
        """Return the vote; of those it selects, the ones that get the upper band."""
        found, is_valid = self._take_sides(group), self._validity(group)
        if self.preset == "reference_code":
            if len(is_valid) == 1:
                return found
            if sum(is_valid) == 1:
                is_valid = [False] * len(is_valid)
        return replace(found, selected=tuple(map(and_, found.selected, is_valid)))

    def _validity(self, group: Group) -> list[bool]:
        if self.preset == "paper":
            return [_last_box_with_digit(r.completion) is not None for r in group.rollouts]
        if self.preset == "reference_code":
            return [_has_digit_in_a_box(_after_think(r.completion)) for r in group.rollouts]
        return [rollout.answer is not None for rollout in group.rollouts]

    def _take_sides(self, group: Group) -> GroupVote:
        """Tell majority and minority, whether valid or not."""
        if self.selection == "correctness":
            return overruled_vote(group, self._labels.get(group.prompt_id))
        if self.preset == "paper":
            boxed = (replace(r, answer=_last_box_with_digit(r.completion)) for r in group.rollouts)
            group = replace(group, rollouts=tuple(boxed))
        return MajorityVote(preset=self.preset, tie=self.tie).vote(group)

    def _positions(self, texts: list[str], is_majority: Sequence[bool]) -> list[float]:
        """Place responses within their bands, 0.0 at the lower and 1.0 at the upper end."""
        midpoints = [_MIDPOINT] * len(texts)
        if not self.novelty or not texts:
            return midpoints
        try:
            embeddings = self._find_embedder().embed(texts)
        except EmbeddingError as error:
            if self.on_embedding_failure == "stop":
                raise
            _logger.warning("no novelty in this group: %s", error)
            return midpoints
        rules = _RULES[self.preset]
        found = novelties(
            cosine_similarities(embeddings, clip=rules.clip), is_majority, alpha=self.alpha
        )
        return positions_in_band(found, is_majority, single=rules.single, equal=rules.equal)

    def _text(self, completion: str) -> str:
        """Cut out the part that is embedded."""
        part = completion
        kind = self.embedded_text or _RULES[self.preset].embedded_text
        if kind == "after_think":
            part = _after_think(completion)
        elif kind == "reasoning":
            part = _reasoning(completion)
        return part if part.strip() else completion

    def _find_embedder(self) -> Embedder:
        # It is small: the loaded model is kept by the process, not by the reward.
        if not isinstance(self.embedder, str):
            return self.embedder
        if self.embedder_url is not None:
            return ServerEmbedder(
                url=self.embedder_url, model=self.embedder, max_tokens=self.max_embedding_tokens
            )
        return SentenceTransformerEmbedder(
            model=self.embedder,
            device=self.embedder_device,
            max_tokens=self.max_embedding_tokens,
        )


def _after_think(text: str) -> str:
    _, closed, rest = text.partition("</think>")
    return rest.strip() if closed else text


def _reasoning(text: str) -> str:
    opened, closed = text.find("<think>"), text.rfind("</think>")
    if opened >= 0 or closed >= 0:
        # A chat template may have opened the thought; one that is not closed goes on to the end.
        start = 0 if opened < 0 or 0 <= closed < opened else opened + len("<think>")
        return text[start : closed if closed >= 0 else len(text)]
    box = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    return text if box < 0 else text[:box]


def _last_box_with_digit(text: str) -> str | None:
    box = last_box(after_thought(text))
    return box if box is not None and _DIGIT.search(box) else None


def _has_digit_in_a_box(text: str) -> bool:
    opening = "\\boxed{"
    start = text.find(opening)
    while start >= 0:
        start += len(opening)
        end = text.find("}", start)
        if end < 0:
            return False
        if _DIGIT.search(text, start, end):
            return True
        start = text.find(opening, end)
    return False
