"""Majority vote over saved completions: one pseudo-label per prompt, no model and no labels."""

import argparse
import gzip
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from tqdm import tqdm

from rewards.vote_weights import get_vote_weight
from rl.answers import cluster_answers, comparer_in_use, extract_answer, verification_counters
from rl.answers.options import add_answer_arguments, use_answer_arguments
from rl.answers.votes import TIE_RULES, count_votes, rank_classes
from rl.data.json_lines import read_json_lines
from rl.data.whole_files import check_output
from rl.data.yaml_text import read_yaml
from rl.errors import InputError, exit_on_bad_input
from rl.plugins import add_code_argument, allow_code, call_plugin
from rl.report.folders import rollout_settings
from rl.settings import Letters, check_options, check_value
from rl.types import Group, Reward, Rollout

_ROLLOUT = ("prompt_id", "visit", "completion")  # in a line that a run wrote
EPILOG = """\
input lines:   {"id": "p1", "completions": ["... \\\\boxed{0.5}", "... \\\\boxed{1/2}", "no idea"]},
               or a run's rollouts/step_N.jsonl.gz: each visit to a prompt, under its prompt_id,
               its answers found and compared as in the run
output lines:  {"id": "p1", "pseudo_label": "0.5", "majority_ratio": 0.667, "num_votes": 3,
                "num_abstained": 1, "clusters": [{"answer": "0.5", "count": 2}]}

Equal answers count as one (0.5 = 1/2), a completion without an answer abstains, and
majority_ratio is a share of all completions. pseudo_label is null if nobody answered.

--weight makes votes count differently, by what the text alone tells: length, repetition, finished,
own_code (its python blocks, run in a sandbox, print its answer), program_votes (so do those of
others), history (of the lines before with the same id), or a function of yours as file.py:name
(rewards/README.md). majority_ratio is then a share of the weight, and each cluster has its weight.

examples:
  python scripts/vote.py completions.jsonl --output votes.jsonl
  python scripts/vote.py completions.jsonl.gz --output votes.jsonl.gz --tie drop
  python scripts/vote.py gpqa.jsonl --output votes.jsonl --choices ABCD
  python scripts/vote.py completions.jsonl --output votes.jsonl --weight '{length: {power: -0.5}}'
"""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", type=Path, help="JSON lines, plain or .gz")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines, plain or .gz")
    parser.add_argument(
        "--tie", choices=TIE_RULES, default="first", help="first answer wins, or no pseudo-label"
    )
    parser.add_argument(
        "--weight",
        metavar="NAME",
        help="what a vote weighs; with settings as {NAME: {...}} (equal)",
    )
    add_answer_arguments(parser, default="the run's, or boxed final_answer_phrase")
    parser.add_argument(
        "--choices", help="letters of multiple-choice prompts, such as ABCD (the run's, or none)"
    )
    add_code_argument(parser)
    arguments = parser.parse_args()
    check_options(arguments, {"choices": Letters})
    if arguments.allow_code:
        allow_code()
    return arguments


def use_answers_of_run(arguments: argparse.Namespace) -> None:
    """Look for answers as the run does whose rollouts are read, where nothing else is said."""
    saved = rollout_settings(arguments.input)
    arguments.answer_methods = use_answer_arguments(arguments, saved)
    if arguments.choices is None:
        letters = saved.get("answer_choices")
        arguments.choices = check_value("answer_choices", Letters | None, letters)


def read_prompts(file: BinaryIO, path: Path) -> Iterator[tuple[Any, list[str]]]:
    """Yield each line's id and completions; a bad line is an error that names its number.

    Of a run's rollouts the completions of a visit are joined, and come last.
    """
    visits: dict[tuple[Any, Any], list[Any]] = defaultdict(list)
    for number, row, line in read_json_lines(file, path):
        parts = [row.get(name) for name in _ROLLOUT] if isinstance(row, dict) else []
        if parts and _is_texts(parts):
            visits[parts[0], parts[1]].append(parts[2])
            continue
        if not isinstance(row, dict) or "id" not in row or not _is_texts(row.get("completions")):
            raise InputError(
                f"{path} line {number}: got {line[:60].decode(errors='replace').strip()!r},"
                ' expected {"id": ..., "completions": [strings]}, or a rollout of a run. Correct'
                " or remove the line."
            )
        yield row["id"], row["completions"]
    yield from ((prompt_id, completions) for (prompt_id, _), completions in visits.items())


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def find_weight(text: str | None) -> Reward | None:
    """Build what weighs votes; it must need nothing but text."""
    if text is None:
        return None
    by = read_yaml(text, "--weight")
    allow_code(by)
    weigh = get_vote_weight(check_value("--weight", str | dict[str, Any], by), "--weight")
    if getattr(weigh, "needs_token_statistics", False):
        raise InputError(
            f"--weight: got {text}, expected a weight that needs text alone, since saved "
            "completions have no token statistics. Name another; a training run has them."
        )
    return weigh


def vote_on(
    prompt_id: Any, completions: list[str], arguments: argparse.Namespace, weigh: Reward | None
) -> dict[str, Any]:
    """Extract, cluster and count; a class is shown by the first answer in it."""
    answers = [
        extract_answer(text, methods=arguments.answer_methods, choices=arguments.choices)
        for text in completions
    ]
    clusters = cluster_answers(answers)
    weights = None if weigh is None else weights_of(prompt_id, completions, answers, weigh)
    vote = count_votes(clusters, arguments.tie, weights)
    ranked = rank_classes(answers, clusters, vote)
    return {
        "pseudo_label": next((c.answer for c in ranked if c.cluster == vote.winner), None),
        "majority_ratio": vote.majority_ratio,
        "num_votes": vote.num_votes,
        "num_abstained": vote.num_abstained,
        "clusters": [
            {"answer": c.answer, "count": c.count} | ({} if weigh is None else {"weight": c.weight})
            for c in ranked
        ],
    }


def weights_of(
    prompt_id: Any, completions: list[str], answers: Sequence[str | None], weigh: Any
) -> list[float | None]:
    """Weigh the votes of a line, and let the weight remember it."""
    rollouts = map(
        lambda text, answer: Rollout(completion=text, answer=answer), completions, answers
    )
    group = Group(prompt_id=json.dumps(prompt_id), prompt="", rollouts=tuple(rollouts))
    weights = call_plugin("--weight", weigh, group)
    if hasattr(weigh, "observe"):
        weigh.observe([group])
    return weights


def write_votes(
    arguments: argparse.Namespace, partial: Path, weigh: Reward | None
) -> list[dict[str, Any]]:
    """Vote on every prompt, one line at a time, and return the outcomes without their clusters."""
    is_compressed = arguments.output.suffix == ".gz"
    votes: list[dict[str, Any]] = []
    with (
        arguments.input.open("rb") as file,
        (gzip.open if is_compressed else open)(partial, "wt", encoding="ascii") as output,
        tqdm(total=arguments.input.stat().st_size, unit="B", unit_scale=True) as progress,
    ):
        for prompt_id, completions in read_prompts(file, arguments.input):
            vote = vote_on(prompt_id, completions, arguments, weigh)
            output.write(json.dumps({"id": prompt_id, **vote}) + "\n")
            votes.append({key: value for key, value in vote.items() if key != "clusters"})
            progress.update(file.tell() - progress.n)
    return votes


def print_summary(
    arguments: argparse.Namespace, votes: list[dict[str, Any]], seconds: float
) -> None:
    """Print what was voted on, how sure the votes are, and what it took."""
    num_votes = sum(vote["num_votes"] for vote in votes)
    num_abstained = sum(vote["num_abstained"] for vote in votes)
    num_labelled = sum(vote["pseudo_label"] is not None for vote in votes)
    mean_ratio = sum(vote["majority_ratio"] for vote in votes) / max(1, len(votes))
    counters = verification_counters()
    print(f"prompts              {len(votes)} ({num_labelled} with a pseudo-label)")
    letters = f", one of {arguments.choices}" if arguments.choices else ""
    comparer = f", compared by {comparer_in_use()}" if comparer_in_use() else ""
    print(f"answers              {', '.join(arguments.answer_methods)}{letters}{comparer}")
    print(f"mean majority ratio  {mean_ratio:.3f}")
    print(
        f"abstained            {num_abstained / max(1, num_votes):.3f} of {num_votes} completions"
    )
    print(f"time                 {seconds:.1f} s ({num_votes / seconds:,.0f} completions/s)")
    print(f"Math-Verify          {counters.num_pairs} pairs, {counters.num_timeouts} timeouts,")
    print(f"                     {counters.num_errors} errors, {counters.num_skipped} skipped")


@exit_on_bad_input()
def main() -> None:
    """Check the paths, vote into a temporary file, and give it the final name when complete."""
    arguments = parse_arguments()
    if not arguments.input.is_file():
        raise InputError(
            f"input: got {arguments.input}, expected an existing file. Check the path."
        )
    check_output(arguments.output)
    if arguments.output.resolve() == arguments.input.resolve():
        raise InputError(
            f"--output: got {arguments.output}, expected a file other than the input."
            " Choose another name."
        )
    use_answers_of_run(arguments)
    weigh = find_weight(arguments.weight)
    partial = arguments.output.with_name(f".{arguments.output.name}.{os.getpid()}.partial")
    started = time.perf_counter()
    try:
        votes = write_votes(arguments, partial, weigh)
        partial.replace(arguments.output)
    finally:
        partial.unlink(missing_ok=True)
    print_summary(arguments, votes, time.perf_counter() - started)


if __name__ == "__main__":
    main()
