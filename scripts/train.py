"""Train a policy with label-free rewards, as a recipe says."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl.errors import InputError, exit_on_bad_input

if TYPE_CHECKING:
    from rl.training.config import LabelFreeConfig

EPILOG = """
Any field of the recipe can be set on the command line, as `--field value`; values are read as YAML:
  accelerate launch scripts/train.py recipes/demo.yaml --learning_rate 5e-5
  accelerate launch scripts/train.py recipes/demo.yaml --dataset questions.jsonl --model MODEL
  accelerate launch scripts/train.py recipes/demo.yaml --rewards '{majority_vote: {tie: drop}}'
  accelerate launch scripts/train.py recipes/demo.yaml --prompt_suffix '"\\nBox the answer."'
  accelerate launch scripts/train.py recipes/demo.yaml --resume_from_checkpoint true
  accelerate launch --config_file recipes/accelerate/zero3.yaml scripts/train.py recipes/...
  torchrun --nproc_per_node 2 scripts/train.py recipes/demo.yaml            (two CPU ranks)
  python scripts/train.py recipes/demo.yaml --dry_run                       (load no model)

The fields are those of rl/training/config.py, listed here, and of trl.GRPOConfig:
"""


def main() -> None:
    """Read the recipe, check everything that can be checked, then train."""
    arguments, overrides = parse_arguments()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")

    from rl.training.recipe import load_recipe, make_config, parse_overrides

    settings = {**load_recipe(arguments.recipe), **parse_overrides(overrides)}
    settings.setdefault("output_dir", str(Path("runs") / Path(arguments.recipe).stem))
    config = make_config(settings)

    from rl.training.prepare import prepare_run

    game = load_game(config)
    run = prepare_run(
        config,
        {} if game else load_rewards(config),
        token_selector=load_token_selector(config),
        game=game,
        dry_run=arguments.dry_run,
    )
    if arguments.dry_run:
        print_geometry(config, run)
        return
    if run.preview:
        print_table("What the game is played on", run.preview)

    from rl.training.run import train

    train(run)


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
    parser.add_argument("-h", "--help", action="store_true", help="show this text and end")
    if {"-h", "--help"} & set(sys.argv[1:]):
        parser.epilog = EPILOG + describe_fields()
        parser.print_help()
        raise SystemExit(0)
    return parser.parse_known_args()


def describe_fields() -> str:
    """List our own settings with their defaults and meaning."""
    from dataclasses import MISSING, fields

    from trl.trainer.grpo_config import GRPOConfig

    from rl.training.config import LabelFreeConfig

    inherited = {f.name for f in fields(GRPOConfig)}
    lines = []
    for field in fields(LabelFreeConfig):
        if field.name in inherited:
            continue
        default = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        lines.append(f"  --{field.name} ({default})\n      {field.metadata['help']}")
    return "\n".join(lines)


def load_rewards(config: "LabelFreeConfig") -> dict[str, tuple[Any, float]]:
    """Build each reward the recipe names, with its weight; fill in the run's length limit."""
    from rewards import get_reward_for_run

    rewards = {}
    for name, given in config.rewards.items():
        settings = dict(given or {})
        weight = settings.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float):
            raise InputError(
                f"rewards.{name}.weight: got {weight!r}, expected a number. Change the value."
            )
        run_settings = {"max_completion_length": config.max_completion_length}
        reward, _ = get_reward_for_run(name, settings, run_settings)
        rewards[name] = (reward, float(weight))
    return rewards


def load_token_selector(config: "LabelFreeConfig") -> Any:
    """Build the token selector the recipe names, if it names one."""
    from rewards import get_token_selector

    for name, settings in (config.token_selector or {}).items():
        return get_token_selector(name, **(settings or {}))
    return None


def load_game(config: "LabelFreeConfig") -> Any:
    """Build the game the recipe names in `selfplay`, if it names one."""
    if config.selfplay is None:
        return None
    from rewards import get_game
    from rl.selfplay.run_settings import read_selfplay
    from rl.training.prepare import model_context

    settings = read_selfplay(config.selfplay)
    if config.model:
        model_context(config)  # a mistyped name shows before documents are read and embedded
    return get_game(settings.game, seed=config.seed, **settings.game_settings)


def print_geometry(config: Any, run: Any) -> None:
    """Show what one generation batch and one optimizer step would hold."""
    source = f"a game of {config.selfplay['game']}" if run.game else config.dataset
    facts = run.prompt_facts
    last = (
        {"most rows a round trains": run.game.max_trained, **run.preview}
        if facts is None
        else {
            "prompts in the dataset": facts.num_in_source,
            "prompts dropped": f"{len(facts.dropped_rows)}, over {facts.limit} tokens",
            "tokens of the longest prompt": facts.longest,
        }
    )
    print_table(f"{config.model} on {source}", {**config.geometry, **last})


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
