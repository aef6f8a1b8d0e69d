"""Check a reward before a run does: does it keep the contract, and what does it pay, and why?"""

import argparse
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.answers.options import add_answer_arguments, use_answer_arguments
from rl.errors import InputError, exit_on_bad_input
from rl.plugins import allow_code
from rl.settings import Count, check_options
from rl.training.rollout_files import read_rollout_file

if TYPE_CHECKING:
    from rewards.contract import Finding
    from rl.types import Group, Reward

MAX_COMPLETION_LENGTH = 256
ROLLOUT_KINDS = (  # field of a saved rollout, what it must be, what it is if left out
    ("completion", str, None),
    ("answer", str | None, None),
    ("cluster", int | None, None),
    ("num_tokens", int, 0),
    ("truncated", bool, False),
    ("trained", bool, True),
)
EPILOG = """\
A reward is a name of rewards/, package.module:attribute or path/to/file.py:attribute. It is run on
built-in groups (ties, no answers, one rollout, none, text that means harm) and, with --groups, on
saved ones: a run's rollouts/step_N.jsonl.gz, or lines of {"id": ..., "completions": [...]}.

One table says which rules it keeps; one shows what each rollout of a group got. If the reward has a
method explain(group), which returns one {"part": number} per rollout, the parts are columns.

examples:
  python scripts/check_reward.py majority_vote
  python scripts/check_reward.py majority_vote --settings '{"preset": "paper"}' --show 2
  python scripts/check_reward.py shortest.py:shortest_right_vote
  python scripts/check_reward.py weighted_vote --settings '{"by": "early.py:early"}'
  python scripts/check_reward.py guarded_vote --groups runs/demo/rollouts/step_000001.jsonl.gz

exit status: 0 all checks passed, 1 one failed, 2 bad input. Warnings fail nothing.
"""


@exit_on_bad_input()
def main() -> None:
    """Build the reward, gather the groups, check, show."""
    arguments = parse_arguments()
    settings = read_settings(arguments.settings)
    allow_code([arguments.reward, settings])
    arguments.answer_methods = use_answer_arguments(arguments)

    from rewards.contract import check_reward, example_groups

    reward, notes = build_reward(arguments.reward, settings)
    found = read_groups(
        arguments.groups, arguments.max_groups, arguments.answer_methods, arguments.reward
    )
    saved = {f"saved {number}, {name}": group for number, (name, group) in enumerate(found)}
    if saved and getattr(reward, "needs_token_statistics", False):
        saved = {name: complete(group) for name, group in saved.items()}
        notes.append("token statistics that saved groups lack are made up, as in built-in groups")
    groups = {**saved, **example_groups()}
    if not 0 <= arguments.show < len(groups):
        raise InputError(
            f"--show: got {arguments.show}, expected 0 to {len(groups) - 1}. Saved groups come "
            "first, then the built-in ones."
        )
    if hasattr(reward, "questions"):
        from rewards.scripted_replies import Scripted

        reward = Scripted(reward)
        notes.append(
            "it asks the policy, and there is none here: a few words stand in for replies, yes and "
            "no and numbers among them, but where saved groups hold those of their run"
        )
    if getattr(reward, "sees_labels", False):
        give_labels(reward, groups.values())
        notes.append("it is a supervised control; the first answer of each group is its label")

    findings = check_reward(reward, groups)
    print_findings(arguments.reward, findings, notes)
    print_times(reward, groups)
    print_group(reward, arguments.show, groups)
    if any(finding.problem and not finding.is_warning for finding in findings):
        raise SystemExit(1)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reward", help="name, package.module:attribute or file.py:attribute")
    parser.add_argument("--settings", default="{}", help="the reward's settings, as JSON")
    parser.add_argument(
        "--groups", type=Path, nargs="+", default=[], help="saved groups, .jsonl or .jsonl.gz"
    )
    parser.add_argument(
        "--max_groups", type=int, default=20, help="saved groups to take, at most (default 20)"
    )
    parser.add_argument(
        "--show",
        type=int,
        default=0,
        metavar="N",
        help="show the rewards of group N, counted from 0, saved groups first (default 0)",
    )
    add_answer_arguments(parser)
    arguments = parser.parse_args()
    check_options(arguments, {"max_groups": Count})
    return arguments


def read_settings(text: str) -> dict[str, Any]:
    """Read the settings; they are one JSON object."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"--settings: got {text!r}, expected JSON ({error}). Quote names with double quotes."
        ) from error
    if not isinstance(settings, dict):
        raise InputError(f'--settings: got {text!r}, expected {{"name": value}}. Use braces.')
    return settings


def build_reward(name: str, settings: dict[str, Any]) -> tuple["Reward", list[str]]:
    """Build the reward as a run would, and say what was filled in."""
    from rewards import get_reward_for_run

    run_settings = {"max_completion_length": MAX_COMPLETION_LENGTH}
    reward, filled_in = get_reward_for_run(name, settings, run_settings)
    return reward, [f"{key} is {value}; a run fills in its own" for key, value in filled_in.items()]


def read_groups(
    paths: Iterable[Path], max_groups: int, methods: Sequence[str], reward: str
) -> Iterator[tuple[str, "Group"]]:
    """Yield the first saved groups with a name each, from files of rollouts or of completions.

    A group of a run with this reward holds what it asked the policy.
    """
    from rl.types import Group

    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    num_groups = 0
    for path in paths:
        for where, row in read_rows(path):
            if "completions" in row:
                if num_groups + len(rows) >= max_groups:
                    break
                num_groups += 1
                yield f"{row.get('id')}", group_of_completions(where, row, methods)
                continue
            key = str(row.get("prompt_id")), str(row.get("visit"))
            if key not in rows and num_groups + len(rows) >= max_groups:
                break
            rows[key].append({"where": where, **row})
    groups = []
    for (prompt_id, visit), members in rows.items():
        rollouts = tuple(rollout_of_row(member) for member in members)
        prompt = str(members[0].get("prompt", ""))
        asked = asked_of_row(members[0], reward)
        groups.append(
            Group(prompt_id=prompt_id, prompt=prompt, visit=visit, rollouts=rollouts, asked=asked)
        )
    for group in with_views(groups):
        yield f"{group.prompt_id[:8]} visit {group.visit}", group


def with_views(groups: Iterable["Group"]) -> Iterator["Group"]:
    """Join the wordings of a problem, whose visits a run with `views` calls 3-17, 3-17.1, ..."""
    from rl.answers.views import link_views

    problems: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        own, _, view = group.visit.partition(".")
        number = int(view) if view.isdecimal() else 0
        problems[own if view else group.visit].append(replace(group, view=number))
    for views in problems.values():
        is_whole = [group.view for group in views] == list(range(len(views)))
        yield from link_views(views, len(views)) if is_whole else views


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each line with the place it stands in; a bad line is an error that names it."""
    if not path.is_file():
        raise InputError(f"--groups: got {path}, expected an existing file. Check the path.")
    for number, row, line in read_rollout_file(path):
        if not isinstance(row, dict):
            raise bad_line(f"{path} line {number}", line)
        yield f"{path} line {number}", row


def bad_line(where: str, value: object) -> InputError:
    """Build the error for a line that is neither a rollout nor a list of completions."""
    return InputError(
        f'{where}: got {str(value)[:60]!r}, expected a rollout of a run, or {{"id": ..., '
        '"completions": [strings]}. Correct or remove the line.'
    )


def group_of_completions(where: str, row: Mapping[str, Any], methods: Sequence[str]) -> "Group":
    """Extract and group the answers; words stand in for tokens, which the file does not have."""
    from rl.answers import cluster_answers, extract_answer
    from rl.types import Group, Rollout

    texts = row["completions"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise bad_line(where, row)
    answers = [extract_answer(text, methods=methods) for text in texts]
    votes = zip(texts, answers, cluster_answers(answers), strict=True)
    rollouts = tuple(
        Rollout(completion=text, answer=answer, cluster=cluster, num_tokens=len(text.split()) + 1)
        for text, answer, cluster in votes
    )
    return Group(prompt_id=str(row.get("id")), prompt="", rollouts=rollouts)


def rollout_of_row(row: Mapping[str, Any]) -> Any:
    """Rebuild a rollout from the line a run wrote."""
    from rl.types import Branch, Rollout, TokenStatistics

    known = {field.name: row[field.name] for field in fields(Rollout) if field.name in row}
    try:
        if known.get("token_statistics"):
            lists = known["token_statistics"].items()
            known["token_statistics"] = TokenStatistics(**{k: tuple(v) for k, v in lists})
        if known.get("branch"):
            known["branch"] = Branch(**known["branch"])
        if all(isinstance(known.get(name, default), kind) for name, kind, default in ROLLOUT_KINDS):
            return Rollout(**known)
    except (TypeError, AttributeError):
        pass  # statistics, or a branch, that are none
    raise bad_line(row["where"], {name: row[name] for name in row if name != "where"})


def asked_of_row(row: Mapping[str, Any], reward: str) -> Any:
    """Rebuild what a reward asked from the first line of a group, none if it holds nothing."""
    from rl.questions import Answered, Asked

    try:
        found = tuple(
            Asked(**{**one, "replies": tuple(Answered(**reply) for reply in one["replies"])})
            for one in (row.get("asked") or {}).get(reward, ())
        )
        if all(isinstance(reply.completion, str) for one in found for reply in one.replies):
            return found
    except (TypeError, KeyError, AttributeError):
        pass  # what no run wrote
    raise bad_line(row["where"], row["asked"])


def complete(group: "Group") -> "Group":
    """Make up the token statistics of the rollouts that have none."""
    from rewards.contract import with_token_statistics

    made_up = with_token_statistics(group).rollouts
    return replace(
        group,
        rollouts=tuple(
            rollout if rollout.token_statistics else other
            for rollout, other in zip(group.rollouts, made_up, strict=True)
        ),
    )


def give_labels(reward: Any, groups: Iterable["Group"]) -> None:
    """Give a supervised control something to compare with."""
    firsts = {g.prompt_id: [r.answer for r in g.rollouts if r.answer is not None] for g in groups}
    reward.set_labels({prompt_id: answers[0] for prompt_id, answers in firsts.items() if answers})


def print_findings(name: str, findings: Iterable["Finding"], notes: Iterable[str]) -> None:
    """Print one line a check."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Contract of {shown(name, 60)}")
    for column in ("check", "result", "reason"):
        table.add_column(column)
    for finding in findings:
        failed = "[yellow]warn[/]" if finding.is_warning else "[red]FAIL[/]"
        result = failed if finding.problem else "[green]pass[/]"
        table.add_row(finding.check, result, shown(finding.problem or "", 300))
    console = Console()
    console.print(table)
    for note in notes:
        console.print(f"note: {note}")


def print_times(reward: "Reward", groups: Mapping[str, "Group"]) -> None:
    """Print how long a group takes."""
    from rewards.contract import attempt

    seconds: dict[str, float] = {}
    for name, group in groups.items():
        started = time.perf_counter()
        _, raised = attempt(partial(reward, group))
        if raised is None:  # else it is among the findings already
            seconds[name] = time.perf_counter() - started
    if seconds:
        slowest = max(seconds, key=lambda name: seconds[name])
        print(
            f"time: {1000 * statistics.median(seconds.values()):.2f} ms a group (median of "
            f"{len(seconds)}), {1000 * seconds[slowest]:.2f} ms for the slowest, {slowest!r}"
        )


def print_group(reward: Any, number: int, groups: Mapping[str, "Group"]) -> None:
    """Print what each rollout of one group got, beside what the reward could know of it."""
    from rich.console import Console
    from rich.table import Table

    from rewards.contract import attempt

    def score_and_explain() -> tuple[list[float | None], list[dict[str, float | None]]]:
        scores = reward(group)
        return scores, reward.explain(group) if hasattr(reward, "explain") else [{} for _ in scores]

    name, group = list(groups.items())[number]
    outcome, raised = attempt(score_and_explain)
    if outcome is None:
        print(f"group {number}, {name!r}, cannot be shown: {shown(raised or '', 200)}")
        return
    scores, parts = outcome
    names = list(dict.fromkeys(part for rollout in parts for part in rollout))
    table = Table(title=f"Group {number} of {len(groups)}, {shown(name, 60)}")
    for column in ("rollout", *names, "reward", "class", "tokens"):
        table.add_column(column, justify="right")
    table.add_column("answer", no_wrap=True)
    for g, (rollout, score, values) in enumerate(zip(group.rollouts, scores, parts, strict=False)):
        cluster = "-" if rollout.cluster is None else str(rollout.cluster)
        table.add_row(
            str(g),
            *(number_text(values.get(part)) for part in names),
            number_text(score),
            cluster,
            str(rollout.num_tokens),
            "(none)" if rollout.answer is None else shown(rollout.answer, 40),
        )
    Console().print(table)


def number_text(value: Any) -> str:
    """Format a reward or a part of one."""
    return "None" if value is None else f"{value:.4g}"


def shown(text: str, most: int) -> str:
    """Make model text fit to print: short, one line, no control characters, no rich markup."""
    from rich.markup import escape

    printable = (c if c.isprintable() else repr(c)[1:-1] for c in text[:most])
    return escape("".join(printable)) + ("..." if len(text) > most else "")


if __name__ == "__main__":
    main()
