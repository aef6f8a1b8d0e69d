"""Pack the shown rollouts into the compressed parts of a page, each opened when it is looked at."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rl.report.embedding import compress, to_json
from rl.report.shown_rollouts import ShownRollouts
from rl.report.shown_samples import ShownProblem

# Characters of JSON in a part of an evaluation: opened in a moment, and long enough to pack well.
PART_CHARACTERS = 300_000


def rollout_room(page_bytes: int, other_bytes: int) -> int:
    """Return what rollouts may take once compressed, in a page of a certain size.

    Args:
        page_bytes: Size of the whole page.
        other_bytes: Size of the page without rollouts.

    Returns:
        At least 0. Base64 makes four bytes of three; a twentieth is left for the grids of training
        runs and for the elements around the parts.
    """
    return max(0, int((page_bytes - other_bytes) * 0.95 * 3 / 4))


def packed_bytes(blobs: Mapping[str, str]) -> int:
    """Return what parts of a page take before base64."""
    return sum(map(len, blobs.values())) * 3 // 4


def blob_name(run: int, step: int) -> str:
    """Return the id of the part that holds a step's groups, or lists an evaluation's problems."""
    return f"rollouts-{run}-{step}"


def rollout_blobs(rollouts: Sequence[ShownRollouts]) -> dict[str, str]:
    """Return id -> compressed JSON of everything that is shown.

    A step of a training run is one part: {"groups"}. An evaluation has one that lists its problems
    with the `part` that holds the rest of each, and these parts: lists of what is added to the
    problems that name it, in their order.
    """
    blobs = {}
    for i, shown in enumerate(rollouts):
        for step in shown.steps:
            blobs[blob_name(i, step.step)] = compress(to_json({"groups": step.groups}))
        if shown.problems:
            listed = []
            for number, members in enumerate(_parts(shown.problems)):
                part = f"{blob_name(i, 0)}-part-{number}"
                listed += [_listed(problem, part) for problem, _ in members]
                blobs[part] = compress(f"[{','.join(held for _, held in members)}]")
            blobs[blob_name(i, 0)] = compress(to_json({"groups": listed}))
    return blobs


def _listed(problem: ShownProblem, part: str) -> dict[str, Any]:
    about = {"prompt_id": problem.problem_id, "visit": "", "role": "", "title": problem.title}
    return {**about, "part": part}


def _parts(problems: Iterable[ShownProblem]) -> Iterator[list[tuple[ShownProblem, str]]]:
    """Divide problems into runs of about `PART_CHARACTERS`, with what the part holds of each."""
    members: list[tuple[ShownProblem, str]] = []
    for problem in problems:
        keys = ("prompt", "images", "label", "num_samples", "classes", "rollouts")
        members.append((problem, to_json({key: getattr(problem, key) for key in keys})))
        if sum(len(held) for _, held in members) >= PART_CHARACTERS:
            yield members
            members = []
    if members:
        yield members
