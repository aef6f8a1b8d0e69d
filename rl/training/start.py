"""Start a run from its settings: what a recipe holds, or a dictionary of one's own."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from accelerate import PartialState

from rl.selfplay.game import Game
from rl.selfplay.run_settings import read_selfplay
from rl.settings import Finite, check_value
from rl.training.config import LabelFreeConfig
from rl.training.prepare import Run, load_run_model_config, prepare_run
from rl.training.recipe import make_config
from rl.training.token_selection import TokenSelector
from rl.types import Reward
from rl.versions import check_trl_version


class Registry(Protocol):
    """Builds what settings name, as the package `rewards` does."""

    def get_reward_for_run(  # noqa: D102
        self, name: str, settings: Mapping[str, Any], run_settings: Mapping[str, Any]
    ) -> tuple[Reward, dict[str, Any]]: ...

    def get_token_selector(self, name: str, **settings: Any) -> TokenSelector: ...  # noqa: D102

    def get_game(self, name: str, **settings: Any) -> Game: ...  # noqa: D102


def start_run(
    settings: Mapping[str, Any],
    registry: Registry,
    *,
    dry_run: bool = False,
    show: Callable[[Run], None] | None = None,
) -> dict[str, Any]:
    """Check everything that can be checked, then train.

    Args:
        settings: Field of `LabelFreeConfig` -> value. Files and modules that they name are run only
            after `rl.allow_code`, as they may come from a recipe.
        registry: Where rewards, token selectors and games are looked up: the package `rewards`.
        dry_run: Whether to end before a model is loaded or a file is written.
        show: Called with what was checked, on the main process, before a model is loaded.

    Returns:
        The run's summary; nothing of a dry run.

    Raises:
        InputError: For anything the user has to mend.
    """
    check_trl_version()
    config = make_config(settings)
    game = _build_game(config, registry)
    run = prepare_run(
        config,
        {} if game else _build_rewards(config, registry),
        token_selector=_build_token_selector(config, registry),
        game=game,
        dry_run=dry_run,
    )
    if show is not None and PartialState().is_main_process:
        show(run)
    if dry_run:
        return {}
    from rl.training.run import train  # loads the trainers, which takes seconds

    return train(run)


def _build_rewards(config: LabelFreeConfig, registry: Registry) -> dict[str, tuple[Reward, float]]:
    """Build each reward the settings name, with its weight; fill in the run's length limit."""
    rewards = {}
    for name, given in config.rewards.items():
        settings = dict(given or {})
        weight = check_value(f"rewards.{name}.weight", Finite, settings.pop("weight", 1.0))
        run_settings = {"max_completion_length": config.max_completion_length}
        reward, _ = registry.get_reward_for_run(name, settings, run_settings)
        rewards[name] = (reward, weight)
    return rewards


def _build_token_selector(config: LabelFreeConfig, registry: Registry) -> TokenSelector | None:
    for name, settings in (config.token_selector or {}).items():
        return registry.get_token_selector(name, **(settings or {}))
    return None


def _build_game(config: LabelFreeConfig, registry: Registry) -> Game | None:
    if config.selfplay is None:
        return None
    settings = read_selfplay(config.selfplay)
    if config.model:
        load_run_model_config(
            config
        )  # a mistyped name shows before documents are read and embedded
    return registry.get_game(settings.game, seed=config.seed, **settings.game_settings)
