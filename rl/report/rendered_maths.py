"""The formulas that a report shows rendered: those of its texts in order, as many as fit."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from rl.report.embedding import compressed_sizes, to_json
from rl.report.formulas import answer_formula, find_formulas
from rl.report.mathml import Tree, to_trees
from rl.report.shown_rollouts import ShownRollouts

DEADLINE_SECONDS = 60.0
# Of the bytes a page has for rollouts, those kept for formulas; what rollouts leave is theirs, too.
MATHS_SHARE = 1 / 8


@dataclass(frozen=True, kw_only=True)
class RenderedMaths:
    """Formulas as MathML.

    Attributes:
        trees: Formula, with the signs around it -> MathML.
        num_left_out: Formulas there was neither room nor time for; those that cannot be converted
            are not counted.
    """

    trees: dict[str, Tree] = field(default_factory=dict)
    num_left_out: int = 0

    @property
    def note(self) -> str:
        """A sentence that says what is left out; "" if nothing is."""
        if not self.num_left_out:
            return ""
        return (
            f"{len(self.trees):,} different formulas are rendered; {self.num_left_out:,} more "
            "stand as they were written, those of each prompt's later samples."
        )


def render_maths(
    rollouts: Sequence[ShownRollouts], *, max_bytes: int, show_progress: bool = False
) -> RenderedMaths:
    """Convert the formulas of everything that is shown: each once, prompts and answers first.

    Args:
        rollouts: What is shown of each run.
        max_bytes: What the formulas may take once compressed.
        show_progress: Whether to show a bar.
    """
    wanted = dict.fromkeys(_formulas(rollouts))
    trees: dict[str, Tree] = {}
    num_tried = spent = 0
    hide = not show_progress or not wanted
    with tqdm(desc="formulas", total=len(wanted), disable=hide) as bar:
        for tried, found in to_trees(wanted, DEADLINE_SECONDS) if wanted else ():
            spent += sum(compressed_sizes([to_json(found)]))
            if spent > max_bytes:
                break
            trees.update(found)
            num_tried += tried
            bar.update(tried)
    return RenderedMaths(trees=trees, num_left_out=len(wanted) - num_tried)


def _formulas(rollouts: Sequence[ShownRollouts]) -> Iterator[str]:
    for text, is_answer in _texts(rollouts):
        if is_answer:
            formula = answer_formula(text)
            yield from [formula] if formula else []
        else:
            yield from find_formulas(text)


def _texts(rollouts: Sequence[ShownRollouts]) -> Iterator[tuple[str, bool]]:
    """Return the shown texts and whether each is an answer, the most looked at first."""
    groups = [group for shown in rollouts for step in shown.steps for group in step.groups]
    problems = [problem for shown in rollouts for problem in shown.problems]
    for problem in problems:
        yield from ((problem.prompt, False), (problem.title, False), (problem.label or "", True))
        yield from ((answer["answer"], True) for answer in problem.classes)
    for group in groups:
        yield group["prompt"], False
        yield from ((str(rollout.get("answer") or ""), True) for rollout in group["rollouts"])
    listed = [problem.rollouts for problem in problems] + [group["rollouts"] for group in groups]
    # The first sample of each, then the second one of each: what is left out is spread evenly.
    for rank in range(max(map(len, listed), default=0)):
        for rollout in _at(listed, rank):
            yield str(rollout.get("completion") or ""), False


def _at(listed: Iterable[Sequence[dict]], rank: int) -> Iterator[dict]:
    return (rollouts[rank] for rollouts in listed if rank < len(rollouts))
