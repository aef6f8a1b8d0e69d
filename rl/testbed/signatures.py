r"""What published claims look like on the testbed of strategies: counted, since the truth is known.

* Ways of working (EVOL-RL): which of the two right ways survive, and whether novelty is paid to the
  rarer one.
* Votes (TTRL, RESTRAIN, TTRL-Guard): which prompts' majorities turned right, and which were lost.
* Forks (SPINE): which tokens the teacher had a choice at, and which of them a selector takes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rl.answers import same_answer
from rl.answers.votes import count_votes
from rl.errors import InputError
from rl.testbed.model import END
from rl.testbed.parts import BOXED
from rl.testbed.strategies import Strategy, strategy_of

# What a token of a completion decides: the way of working, a guessed number, the result of a step,
# whether the answer is boxed; "copy": nothing, the teacher had no choice.
TokenKind = Literal["way", "guess", "result", "box", "copy"]


@dataclass(frozen=True, kw_only=True)
class Visited:
    """The rollouts of one visit to a prompt.

    Attributes:
        prompt: As it was asked.
        completions: Texts.
        rewards: What each was paid; None where it could not be scored.
        is_right: Whether each one's answer is the label's.
        majority_is_right: Whether the voted answer is; None where nobody voted.
    """

    prompt: str
    completions: Sequence[str]
    rewards: Sequence[float | None]
    is_right: Sequence[bool]
    majority_is_right: bool | None


def read_visits(
    lines: Iterable[Mapping[str, Any]], labels: Mapping[str, str]
) -> list[tuple[int, Visited]]:
    """Group the lines of rollout files by visit, with their steps, in order of appearance.

    Args:
        lines: As `rl.training.files.rollout_lines` writes them.
        labels: Prompt -> label.

    Raises:
        InputError: If a prompt has none.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for line in lines:
        groups.setdefault((line["prompt_id"], line["visit"]), []).append(line)
    visits = []
    for group in groups.values():
        prompt = group[0]["prompt"]
        if prompt not in labels:
            raise InputError(
                f"rollouts: got the prompt {prompt[:60]!r}, expected one of the study's labelled "
                "problems. Name the dataset that the run was trained on."
            )
        label = labels[prompt]
        # One comparison per class: any of its answers stands for all.
        answers = {line["cluster"]: line["answer"] for line in group}
        right = {cluster for cluster, answer in answers.items() if same_answer(answer, label)}
        clusters = [line["cluster"] for line in group]
        winner = count_votes(clusters).winner
        visited = Visited(
            prompt=prompt,
            completions=[line["completion"] for line in group],
            rewards=[line["reward"] for line in group],
            is_right=[cluster in right for cluster in clusters],
            majority_is_right=None if winner is None else winner in right,
        )
        visits.append((group[0]["step"], visited))
    return visits


def strategy_shares(visits: Sequence[Visited]) -> dict[Strategy, float]:
    """Return the share of completions that go about it in each way; of none, zeros."""
    counts = Counter(strategy_of(text) for visit in visits for text in visit.completions)
    total = max(1, counts.total())
    names: tuple[Strategy, ...] = ("guess", "left to right", "positives first")
    return {name: counts[name] / total for name in names}


def both_ways_share(visits: Sequence[Visited]) -> float | None:
    """Return the share of prompts solved in both ways, among those solved in one at least.

    A prompt is solved in a way if one of its completions works in it and is right. None if no
    prompt is solved by working.
    """
    solved = [_ways_that_solve(visit) for visit in visits]
    solved = [ways for ways in solved if ways]
    return sum(len(ways) == 2 for ways in solved) / len(solved) if solved else None


def rarer_way_is_paid_more(visits: Sequence[Visited]) -> float | None:
    """Return how often the rarer of two right ways is paid more than the commoner one.

    Over all pairs of a right completion in each way, of the visits in which one way is rarer; a tie
    counts half. 0.5 is no preference; None if there is no pair. Guesses are left out.
    """
    won, pairs = 0.0, 0
    for visit in visits:
        paid: dict[Strategy, list[float]] = {}
        for text, reward, right in zip(
            visit.completions, visit.rewards, visit.is_right, strict=True
        ):
            if right and reward is not None and strategy_of(text) != "guess":
                paid.setdefault(strategy_of(text), []).append(reward)
        if len(paid) == 2:
            rare, common = sorted(paid.values(), key=len)
            if len(rare) < len(common):
                won += sum((a > b) + 0.5 * (a == b) for a in rare for b in common)
                pairs += len(rare) * len(common)
    return won / pairs if pairs else None


def turned_votes(first: Sequence[Visited], last: Sequence[Visited]) -> dict[str, float]:
    """Return the shares of prompts by what became of their majority.

    `kept` (right, right), `learned` (wrong, right), `lost` (right, wrong), `never` (wrong, wrong).
    A vote of nobody is wrong. Prompts that only one of both has are left out; of none, zeros.
    """
    before = {visit.prompt: bool(visit.majority_is_right) for visit in first}
    after = {visit.prompt: bool(visit.majority_is_right) for visit in last}
    names = {(True, True): "kept", (False, True): "learned", (True, False): "lost"}
    counts = Counter(names.get((before[p], after[p]), "never") for p in before if p in after)
    total = max(1, counts.total())
    return {name: counts[name] / total for name in (*names.values(), "never")}


def token_kinds(tokens: Sequence[str]) -> list[TokenKind]:
    r"""Say what each token of a completion decides.

    Example:
        >>> token_kinds([r"\boxed{", "8", "}", "<eos>"])
        ['way', 'guess', 'copy', 'copy']
        >>> token_kinds(["3", "+", "5", "=", "8", r"\boxed{", "8", "}", "<eos>"])
        ['way', 'copy', 'copy', 'copy', 'result', 'box', 'copy', 'copy', 'copy']
    """
    kinds: list[TokenKind] = []
    for place, token in enumerate(tokens):
        if place == 0:
            kinds.append("way")
        elif tokens[place - 1] == "=":
            kinds.append("result")
        elif place == 1 and tokens[0] == BOXED:
            kinds.append("guess")
        elif place > 1 and tokens[place - 2] == "=" and token in (BOXED, END):
            kinds.append("box")
        else:
            kinds.append("copy")
    return kinds


def selected_kinds(
    kinds: Sequence[Sequence[TokenKind]], selected: Sequence[Sequence[bool]]
) -> dict[str, float]:
    """Hold a selection of tokens against what the tokens decide.

    Args:
        kinds: Of the tokens of N completions.
        selected: Which of them are trained.

    Returns:
        `selected`, the share of tokens that are; `precision`, the share of the selected that decide
        anything; `recall <kind>`, the share of each kind that is selected, where it occurs.
    """
    pairs = Counter(
        (kind, bool(chosen))
        for row, mask in zip(kinds, selected, strict=True)
        for kind, chosen in zip(row, mask, strict=True)
    )
    taken = sum(count for (_, chosen), count in pairs.items() if chosen)
    found: dict[str, float] = {
        "selected": taken / max(1, pairs.total()),
        "precision": 1 - pairs["copy", True] / taken if taken else 0.0,
    }
    for kind in ("way", "guess", "result", "box"):
        total = pairs[kind, True] + pairs[kind, False]
        if total:
            found[f"recall {kind}"] = pairs[kind, True] / total
    return found


def _ways_that_solve(visit: Visited) -> set[Strategy]:
    pairs = zip(visit.completions, visit.is_right, strict=True)
    return {way for text, right in pairs if right and (way := strategy_of(text)) != "guess"}
