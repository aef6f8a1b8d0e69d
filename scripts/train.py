"""Train a policy with label-free rewards, as a recipe says."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.errors import exit_on_bad_input
from rl.plugins import add_code_argument

if TYPE_CHECKING:
    from rl.training.prepare import Run

EPILOG = """
Any field of the recipe can be set on the command line, as `--field value`; values are read as YAML:
  accelerate launch scripts/train.py recipes/demo.yaml --learning_rate 5e-5
  accelerate launch scripts/train.py recipes/demo.yaml --dataset questions.jsonl --model MODEL
  accelerate launch scripts/train.py recipes/demo.yaml --rewards '{majority_vote: {tie: drop}}'
  accelerate launch scripts/train.py recipes/demo.yaml --prompt_suffix '"\\nBox the answer."'
  accelerate launch scripts/train.py recipes/demo.yaml --resume_from_checkpoint auto
  accelerate launch --config_file recipes/accelerate/zero3.yaml scripts/train.py recipes/...
  torchrun --nproc_per_node 2 scripts/train.py recipes/demo.yaml            (two CPU ranks)
  python scripts/train.py recipes/demo.yaml --dry_run                       (load no model)

With `auto` the command starts a run or goes on with it, so that a job script needs this one only.
SIGTERM, SIGUSR1 and Ctrl-C save after the step at work and end with status 75; bad input, a full
disk and a folder in use with 2; what hung beyond its deadline with 124.

Rewards, views, selectors, loss terms, curricula, branching and gradient masks go by the names that
rewards/README.md lists; your own by file.py:name, as that page shows for each, with an example.

The fields are those of rl/training/config.py, listed here, and of trl.GRPOConfig.
"""


def main() -> None:
    """Read the recipe, check everything that can be checked, then train."""
    arguments, overrides = parse_arguments()
    log_warnings()

    import rewards
    from rl.processes import end_rank, end_with_launcher
    from rl.training.recipe import read_settings
    from rl.training.start import start_run

    end_with_launcher()
    settings = read_settings(arguments.recipe, overrides, arguments.allow_code)
    settings.setdefault("output_dir", str(Path("runs") / Path(arguments.recipe).stem))
    show = print_geometry if arguments.dry_run else print_preview
    summary = start_run(settings, rewards, dry_run=arguments.dry_run, show=show)
    if not arguments.dry_run:
        print_outcome(summary, settings["output_dir"])
    end_rank()


def parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Split the command line into our arguments and the recipe's fields."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        add_help=False,
    )
    parser.add_argument("recipe", help="YAML file of settings; see recipes/")
    parser.add_argument("--dry_run", action="store_true", help="check everything, print the batch")
    add_code_argument(parser)
    parser.add_argument("-h", "--help", action="store_true", help="show this text and end")
    if {"-h", "--help"} & set(sys.argv[1:]):
        from rl.training.settings_help import settings_help

        parser.epilog = EPILOG + settings_help()
        parser.print_help()
        raise SystemExit(0)
    return parser.parse_known_args()


def log_warnings() -> None:
    """Show warnings on standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def print_preview(run: "Run") -> None:
    """Say what is trained on what, where its files go, and what a game tells of itself."""
    config, source = run.config, source_of(run)
    if run.prompt_facts is not None:
        source = f"{len(run.prompts):,} prompts of {source}"
    print(f"Training {config.model} on {source}; files go to {config.output_dir}", flush=True)
    if run.preview:
        print_table("What the game is played on", run.preview)


def source_of(run: "Run") -> str:
    """Name the data set or the game."""
    config = run.config
    return f"a game of {config.selfplay['game']}" if config.selfplay else str(config.dataset)


def print_geometry(run: "Run") -> None:
    """Show what one generation batch and one optimizer step would hold."""
    config = run.config
    facts = run.prompt_facts
    last: dict[str, Any] = {}
    if run.game is not None:
        last = {"most rows a round trains": run.game.max_trained, **run.preview}
    if facts is not None:
        last = {
            "prompts in the dataset": facts.num_in_source,
            "prompts dropped": f"{len(facts.dropped_rows)}, over {facts.limit} tokens",
            "tokens of the longest prompt": facts.longest,
        }
    print_table(f"{config.model} on {source_of(run)}", {**config.geometry, **last})


def print_outcome(summary: dict[str, Any], output_dir: str) -> None:
    """Say how the run went, what it did to pass@1, what the base reaches without, what is next."""
    from accelerate import PartialState

    from rl.report.streams import stream_sentence

    if not PartialState().is_main_process:
        return
    if "verdict" in summary:
        print(f"guards: {summary['verdict']}")
    for benchmark, found in by_benchmark(summary).items():
        start = f"{benchmark}: " if benchmark else ""
        before, after = (found.get(when, {}).get("pass@1") for when in ("before", "after"))
        if before is not None and after is not None:
            print(f"{start}pass@1 {before:.3f} before training, {after:.3f} after")
        if "controls" in found:
            print(f"{start}{found['controls']['verdict']}")
    if kept := stream_sentence(summary.get("continual", {})):
        print(kept)
    print(f"Files: {output_dir}. One page of them: python scripts/report.py {output_dir}")


def by_benchmark(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Turn a summary's results around: benchmark -> "before", "after", "controls"; "" if single."""
    kinds = {kind: summary[kind] for kind in ("before", "after", "controls") if kind in summary}
    if not all(isinstance(value, dict) for value in kinds.get("after", {}).values()):
        return {"": kinds}
    names = kinds.get("after", {})
    return {name: {k: found[name] for k, found in kinds.items() if name in found} for name in names}


def print_table(title: str, rows: dict[str, Any]) -> None:
    """Show names and values under a title."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    with exit_on_bad_input():
        main()
