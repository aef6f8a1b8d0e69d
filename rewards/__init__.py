"""Label-free signals, one idea per file, and the names by which recipes call them.

A reward is a callable `Group -> list[float | None]`: one number per rollout, in order, None for a
rollout it cannot score, which beside other rewards counts as the least it gives in the group. To
add one, write `rewards/<idea>.py` and name it in `REWARDS`. A token selector
(`rl.training.token_selection`) says which tokens are trained; those are named in `TOKEN_SELECTORS`.
"""

from collections.abc import Callable
from functools import partial
from importlib.metadata import entry_points
from inspect import Parameter, isclass, signature
from typing import TYPE_CHECKING, Any

from rewards.boxed_format import boxed_format
from rewards.correctness import Correctness
from rewards.evol_rl import EvolRL
from rewards.format_length import FormatLength
from rewards.guarded_vote import GuardedVote
from rewards.leave_one_out_vote import leave_one_out_vote
from rewards.majority_vote import MajorityVote
from rewards.random_reward import RandomReward
from rewards.self_certainty import SelfCertainty
from rewards.semantic_entropy import SemanticEntropy
from rewards.sequence_probability import SequenceProbability
from rewards.token_entropy import TokenEntropy
from rl.errors import unknown_name
from rl.plugins import load_plugin
from rl.types import Reward

if TYPE_CHECKING:
    from rl.training.token_selection import TokenSelector

ENTRY_POINT_GROUP = "label_free_rl.rewards"

REWARDS: dict[str, Callable[..., Any]] = {
    "majority_vote": MajorityVote,
    "leave_one_out_vote": leave_one_out_vote,
    "guarded_vote": GuardedVote,
    "evol_rl": EvolRL,
    "semantic_entropy": SemanticEntropy,
    "self_certainty": SelfCertainty,
    "token_entropy": TokenEntropy,
    "sequence_probability": SequenceProbability,
    "format_length": FormatLength,
    "boxed_format": boxed_format,
    "random": RandomReward,
    "correctness": Correctness,  # supervised: the one that sees labels
}

# By their place, because they compute with torch, which rewards do not wait for.
TOKEN_SELECTORS: dict[str, str] = {
    "entropy_band": "rewards.entropy_band:EntropyBand",
    "random_share": "rewards.entropy_band:RandomShare",
}

# Self-play, with the rewards of its roles; likewise by their place.
GAMES: dict[str, str] = {
    "spell": "rewards.selfplay.games:build_spell",
    "r_zero": "rewards.selfplay.games:build_r_zero",
}


def get_reward(name: str, **settings: Any) -> Reward:
    """Build the reward a recipe names.

    Args:
        name: A key of `REWARDS`, a name published through the entry-point group
            `label_free_rl.rewards`, `package.module:attribute` or `path/to/file.py:attribute`. The
            attribute is a class, which is called with the settings, or a function of a group, which
            gets the settings as further keyword arguments.
        settings: The reward's settings.

    Returns:
        A callable that scores a whole group.

    Raises:
        InputError: If the name is unknown, what it names cannot be loaded, or a setting is none of
            the reward's.

    Example:
        >>> get_reward("majority_vote", tie="drop")
        MajorityVote(preset='default', tie='drop')
    """
    return _build(f"reward {name!r}", _find(name), settings)


def get_token_selector(name: str, **settings: Any) -> "TokenSelector":
    """Build the token selector a recipe names.

    Args:
        name: A key of `TOKEN_SELECTORS`, `package.module:attribute` or `path/to/file.py:attribute`;
            the attribute is a class.
        settings: The selector's settings.

    Raises:
        InputError: As `get_reward`.
    """
    if ":" not in name and name not in TOKEN_SELECTORS:
        raise unknown_name("token_selector", name, list(TOKEN_SELECTORS))
    selector = load_plugin(TOKEN_SELECTORS.get(name, name), "token_selector")
    return _build(f"token_selector {name!r}", selector, settings)


def get_game(name: str, **settings: Any) -> Any:
    """Build the game that a recipe's `selfplay` names.

    Args:
        name: A key of `GAMES`, `package.module:attribute` or `path/to/file.py:attribute`; what it
            names returns a `rl.selfplay.game.Game` and takes the run's `seed`.
        settings: The game's settings.

    Raises:
        InputError: If the name is unknown, or a setting is.
    """
    if ":" not in name and name not in GAMES:
        raise unknown_name("selfplay.game", name, list(GAMES))
    return load_plugin(GAMES.get(name, name), "selfplay.game")(**settings)


def get_reward_for_run(
    name: str, settings: dict[str, Any], run_settings: dict[str, Any]
) -> tuple[Reward, dict[str, Any]]:
    """Build a reward as a run does: what it can be told of the run and was not set is filled in.

    Args:
        name: As for `get_reward`.
        settings: The reward's settings.
        run_settings: What the run knows, such as its max_completion_length.

    Returns:
        The reward, and what was filled in.

    Raises:
        InputError: As `get_reward`.
    """
    target = _find(name)
    filled_in = {
        setting: value
        for setting, value in run_settings.items()
        if setting in signature(target).parameters and setting not in settings
    }
    return _build(f"reward {name!r}", target, {**settings, **filled_in}), filled_in


def _build(what: str, target: Any, settings: dict[str, Any]) -> Any:
    _check_settings(what, target, settings)
    if isclass(target):
        return target(**settings)
    return partial(target, **settings) if settings else target


def _find(name: str) -> Any:
    if name in REWARDS:
        return REWARDS[name]
    published = {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name in published:
        return published[name].load()
    if ":" in name:
        return load_plugin(name, "reward")
    raise unknown_name("reward", name, [*REWARDS, *published])


def _check_settings(what: str, target: Callable[..., Any], settings: dict[str, Any]) -> None:
    parameters = list(signature(target).parameters.values())
    if not isclass(target):
        parameters = parameters[1:]  # the group
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return
    known = [parameter.name for parameter in parameters]
    for setting in settings:
        if setting not in known:
            raise unknown_name(f"setting of {what}", setting, [*known, "weight"])
