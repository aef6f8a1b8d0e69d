"""What a recipe's `selfplay` says to the trainer; the rest of it is the game's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rl.errors import InputError, unknown_name
from rl.selfplay.role_weights import ROLE_MEANS


@dataclass(frozen=True, kw_only=True)
class SelfPlaySettings:
    """The trainer's part of the settings of self-play.

    Attributes:
        game: Name of the game (`rewards.GAMES`).
        role_weights: Role -> weight in the loss, 1 where not named.
        role_mean: Whether tokens are averaged over all roles ("pooled") or within each role
            ("per_role"); see `rl.selfplay.role_weights.role_scales`.
        frozen_policy: Whether a second copy of the model is kept as it was at the start, for the
            canaries; takes the memory of one more model on every device.
        game_settings: All other settings.
    """

    game: str
    role_weights: dict[str, float] = field(default_factory=dict)
    role_mean: str = "pooled"
    frozen_policy: bool = False
    game_settings: dict[str, Any] = field(default_factory=dict)


def read_selfplay(setting: Mapping[str, Any]) -> SelfPlaySettings:
    """Split a recipe's `selfplay` into the trainer's settings and the game's.

    Raises:
        InputError: If the game is missing or a value of the trainer's part breaks its rule.
    """
    known = {f.name for f in fields(SelfPlaySettings)} - {"game_settings"}
    ours = {name: value for name, value in setting.items() if name in known}
    if not isinstance(ours.get("game"), str):
        raise InputError(
            f"selfplay.game: got {ours.get('game')!r}, expected the name of a game. Write "
            "`selfplay: {game: spell, ...}`."
        )
    settings = SelfPlaySettings(
        **ours, game_settings={k: v for k, v in setting.items() if k not in known}
    )
    if settings.role_mean not in ROLE_MEANS:
        raise unknown_name("selfplay.role_mean", str(settings.role_mean), list(ROLE_MEANS))
    if not isinstance(settings.frozen_policy, bool) or not isinstance(settings.role_weights, dict):
        name = "role_weights" if isinstance(settings.frozen_policy, bool) else "frozen_policy"
        raise InputError(
            f"selfplay.{name}: got {getattr(settings, name)!r}, expected "
            f"{'role: number' if name == 'role_weights' else 'true or false'}. Change the value."
        )
    if settings.game_settings.get("frozen_questioner") and not settings.frozen_policy:
        raise InputError(
            "selfplay.frozen_policy: got false beside frozen_questioner, expected true. Set it, so "
            "that the policy of the start is kept."
        )
    return settings
