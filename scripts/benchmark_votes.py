"""Measure how fast completions become votes on one core, and how often the vote is right."""

import argparse
import os
import time
from pathlib import Path
from typing import Any

from measurements.vote_weights import (
    CANDIDATES,
    PROGRAMS,
    compare_weights,
    grade_groups,
    judge_weights,
    print_comparison,
)
from tqdm import tqdm

from rl.answers import (
    cluster_answers,
    extract_answer,
    same_answer,
    start_verifier,
    verification_counters,
)
from rl.answers.votes import count_votes
from rl.answers.workers import PairVerifier
from rl.data.json_lines import read_json_lines
from rl.errors import InputError, exit_on_bad_input
from rl.rollouts.adaptive_votes import VoteBudget
from rl.sandbox import require_sandbox
from rl.settings import check_value

EPILOG = """\
input lines: {"completions": [strings]}, and "gold": string for --referee and --weights

How it is counted: this process and the worker that runs Math-Verify are tied to one core. The
clock runs from the completion's text to the vote (extract, cluster, count) over all groups, wall
time, with all caches empty at the start. Reading the file is not counted; starting the worker,
which a run does once, is reported on its own line.

The referee compares each pseudo-label with "gold" by Math-Verify, either one as its gold answer, in
a killable worker of its own. A prompt without a pseudo-label counts as wrong.

--weights compares weighted votes with the plain one: it chooses a weight on a half of the problems
that a seed draws, and says what that one reaches on the other half, by the same referee; for each
seed anew. --programs adds weights that run the programs in completions, in the sandbox and on all
cores: minutes.

examples:
  python scripts/benchmark_votes.py completions.jsonl.gz --referee --adaptive
  python scripts/benchmark_votes.py completions.jsonl.gz --weights
  python scripts/benchmark_votes.py completions.jsonl.gz --programs --split_seed 0 1 2
"""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="JSON lines, plain or .gz")
    parser.add_argument(
        "--adaptive", action="store_true", help="replay votes that stop at a confidence of 0.95"
    )
    parser.add_argument("--referee", action="store_true", help='measure accuracy against "gold"')
    parser.add_argument(
        "--weights", action="store_true", help='compare weighted votes by accuracy against "gold"'
    )
    parser.add_argument(
        "--programs", action="store_true", help="--weights, with those that run programs too"
    )
    parser.add_argument(
        "--split_seed", type=int, nargs="+", default=[0], help="each draws other halves (0)"
    )
    return parser.parse_args()


def read_rows(path: Path, keys: list[str]) -> list[dict[str, Any]]:
    """Read the whole file; every line must have the keys."""
    if not path.is_file():
        raise InputError(f"file: got {path}, expected an existing file. Check the path.")
    with path.open("rb") as file:
        rows = [line.value for line in read_json_lines(file, path)]
    for number, row in enumerate(rows, start=1):
        known = row if isinstance(row, dict) else {}
        for key, kind in (("completions", list[str]), ("gold", str)):
            if key in keys:
                check_value(f"{path} line {number}, {key}", kind, known.get(key))
    if not rows:
        raise InputError(f"{path}: got no line, expected some. Check the file.")
    return rows


def measure_votes(groups: list[list[str]]) -> list[str | None]:
    """Time every group from text to vote, print the figures and return the pseudo-labels."""
    pseudo_labels: list[str | None] = []
    seconds: list[float] = []
    num_abstained = 0
    for completions in groups:
        started = time.perf_counter()
        answers = [extract_answer(text) for text in completions]
        clusters = cluster_answers(answers)
        vote = count_votes(clusters)
        label = None if vote.winner is None else answers[clusters.index(vote.winner)]
        seconds.append(time.perf_counter() - started)
        pseudo_labels.append(label)
        num_abstained += vote.num_abstained
    num_completions = sum(map(len, groups))
    counters = verification_counters()
    print(f"completions       {num_completions} in {len(groups)} groups, {num_abstained} abstained")
    print(
        f"text to vote      {sum(seconds):.3f} s, {num_completions / sum(seconds):,.0f} per second"
    )
    print(f"worst group       {max(seconds):.4f} s")
    print(f"Math-Verify       {counters.num_pairs} pairs, {counters.num_timeouts} timeouts")
    return pseudo_labels


def measure_adaptive(groups: list[list[str]], full: list[str | None]) -> None:
    """Replay votes that stop once they are decided, and compare them with the full votes."""
    num_votes = num_agreeing = 0
    for completions, label in zip(groups, full, strict=True):
        budget = VoteBudget(min=16, max=len(completions), confidence=0.95, chunk=8)
        answers = [extract_answer(text) for text in completions]
        size = budget.min
        while not budget.is_decided(cluster_answers(answers[:size])):
            size = min(size + budget.chunk, budget.max)
        clusters = cluster_answers(answers[:size])
        winner = count_votes(clusters).winner
        early = None if winner is None else answers[clusters.index(winner)]
        num_votes += size
        num_agreeing += early == label or same_answer(early, label)
    share = num_votes / sum(map(len, groups))
    print(
        f"adaptive votes    {share:.3f} of all votes, same pseudo-label in {num_agreeing}", end=""
    )
    print(f" of {len(groups)} groups ({num_agreeing / len(groups):.4f})")


def measure_accuracy(pseudo_labels: list[str | None], golds: list[str]) -> None:
    """Compare with the gold answers; they are read after the votes are cast."""
    referee = PairVerifier(deadline_seconds=10.0)
    num_right = 0
    pairs = zip(pseudo_labels, golds, strict=True)
    for label, gold in tqdm(pairs, total=len(golds), desc="referee", leave=False):
        num_right += label is not None and referee.is_same(gold, label)
    print(f"vote accuracy     {num_right / len(golds):.4f} ({num_right} of {len(golds)})")
    referee.close()


@exit_on_bad_input()
def main() -> None:
    """Read the file, start the worker on one core, vote, and ask the referee if wanted."""
    arguments = parse_arguments()
    compares = arguments.weights or arguments.programs
    needs_gold = arguments.referee or compares
    if arguments.programs:
        require_sandbox()
    rows = read_rows(arguments.file, ["completions", "gold"] if needs_gold else ["completions"])
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    started = time.perf_counter()
    start_verifier()
    print(f"worker start      {time.perf_counter() - started:.2f} s")
    pseudo_labels = measure_votes([row["completions"] for row in rows])
    if arguments.adaptive:
        measure_adaptive([row["completions"] for row in rows], pseudo_labels)
    if arguments.referee:
        measure_accuracy(pseudo_labels, [row["gold"] for row in rows])
    if compares:
        os.sched_setaffinity(0, cores)
        candidates = CANDIDATES + (PROGRAMS if arguments.programs else ())
        judged = judge_weights(grade_groups(rows), candidates)
        for seed in arguments.split_seed:
            print(f"split seed        {seed}")
            print_comparison(compare_weights(judged, seed), len(rows))


if __name__ == "__main__":
    main()
