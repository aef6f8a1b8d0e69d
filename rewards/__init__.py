"""Label-free signals, one idea per file, and the names by which recipes call them.

A reward is a callable `Group -> list[float | None]`: one number per rollout, in order, None for a
rollout it cannot score, which beside other rewards counts as the least it gives in the group. To
add one, write `rewards/<idea>.py` and name it in `REWARDS`. A token selector
(`rl.training.token_selection`) says which tokens are trained; those are named in `TOKEN_SELECTORS`.
"""

from collections.abc import Callable, Mapping
from inspect import isclass, signature
from typing import TYPE_CHECKING, Any

from rewards.boxed_format import boxed_format
from rewards.correctness import Correctness
from rewards.cross_view_vote import CrossViewVote
from rewards.dare import Dare
from rewards.evol_rl import EvolRL
from rewards.format_length import FormatLength
from rewards.guarded_vote import GuardedVote
from rewards.harmonic_vote import HarmonicVote
from rewards.leave_one_out_vote import leave_one_out_vote
from rewards.majority_vote import MajorityVote
from rewards.random_reward import RandomReward
from rewards.reflected_vote import ReflectedVote
from rewards.scope import Scope
from rewards.self_certainty import SelfCertainty
from rewards.self_verification import SelfVerification
from rewards.semantic_entropy import SemanticEntropy
from rewards.sequence_probability import SequenceProbability
from rewards.teacher_vote import TeacherVote
from rewards.token_entropy import TokenEntropy
from rewards.tool_verified_vote import ToolVerifiedVote
from rewards.weighted_vote import WeightedVote
from rl.plugins import Contract, find
from rl.settings import build, check_settings
from rl.types import Reward

if TYPE_CHECKING:
    from rl.training.token_selection import TokenSelector

ENTRY_POINT_GROUP = "label_free_rl.rewards"

# What a plug-in of somebody else's must be to be called as one.
REWARD = Contract(takes=("group",))
TOKEN_SELECTOR = Contract(takes=("entropies", "mask", "groups"))
GAME = Contract(built_with=("seed",))

REWARDS: dict[str, Callable[..., Any]] = {
    "majority_vote": MajorityVote,
    "leave_one_out_vote": leave_one_out_vote,
    "guarded_vote": GuardedVote,
    "cross_view_vote": CrossViewVote,
    "harmonic_vote": HarmonicVote,
    "teacher_vote": TeacherVote,
    "weighted_vote": WeightedVote,
    "scope": Scope,
    "dare": Dare,
    "evol_rl": EvolRL,
    "self_verification": SelfVerification,
    "reflected_vote": ReflectedVote,
    "tool_verified_vote": ToolVerifiedVote,
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
    "confident_errors": "rewards.confident_errors:ConfidentErrors",
    "entropy_confidence": "rewards.entropy_confidence:EntropyConfidence",
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
        InputError: If the name or a setting is unknown, what it names cannot be loaded, or a value
            breaks its rule.

    Example:
        >>> get_reward("majority_vote", tie="drop")
        MajorityVote(preset='default', tie='drop')
    """
    return _build_reward(name, _find_reward(name), settings)


def get_token_selector(name: str, **settings: Any) -> "TokenSelector":
    """Build the token selector a recipe names.

    Args:
        name: A key of `TOKEN_SELECTORS`, `package.module:attribute` or `path/to/file.py:attribute`;
            the attribute is a class.
        settings: The selector's settings.

    Raises:
        InputError: As `get_reward`.
    """
    selector = find(name, TOKEN_SELECTORS, "token_selector", contract=TOKEN_SELECTOR)
    return build(f"token_selector.{name}", selector, settings)


def get_game(name: str, **settings: Any) -> Any:
    """Build the game that a recipe's `selfplay` names.

    Args:
        name: A key of `GAMES`, `package.module:attribute` or `path/to/file.py:attribute`; what it
            names returns a `rl.selfplay.game.Game` and takes the run's `seed`.
        settings: The game's settings.

    Raises:
        InputError: As `get_reward`.
    """
    game = find(name, GAMES, "selfplay.game", contract=GAME)
    return game(**check_settings("selfplay", game, settings))


def get_reward_for_run(
    name: str, settings: Mapping[str, Any], run_settings: Mapping[str, Any]
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
    target = _find_reward(name)
    filled_in = {
        setting: value
        for setting, value in run_settings.items()
        if setting in signature(target).parameters and setting not in settings
    }
    return _build_reward(name, target, {**settings, **filled_in}), filled_in


def _find_reward(name: str) -> Callable[..., Any]:
    return find(name, REWARDS, "reward", ENTRY_POINT_GROUP, contract=REWARD)


def _build_reward(name: str, target: Callable[..., Any], settings: Mapping[str, Any]) -> Reward:
    # A function's first parameter is the group.
    group = () if isclass(target) else [*signature(target).parameters][:1]
    return build(f"rewards.{name}", target, settings, filled_in=group, further_names=("weight",))
