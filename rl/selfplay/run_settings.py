"""What a recipe's `selfplay` says to the trainer; the rest of it is the game's own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from rl.errors import InputError
from rl.settings import build, checked


@checked
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
    role_weights: dict[str, Annotated[float, Field(ge=0, lt=math.inf)]] = field(
        default_factory=dict
    )
    role_mean: Literal["pooled", "per_role"] = "pooled"
    frozen_policy: bool = False
    game_settings: dict[str, Any] = field(default_factory=dict)


def read_selfplay(setting: Mapping[str, Any]) -> SelfPlaySettings:
    """Split a recipe's `selfplay` into the trainer's settings and the game's.

    Raises:
        InputError: If the game is missing or a value of the trainer's part breaks its rule.
    """
    known = {f.name for f in fields(SelfPlaySettings)} - {"game_settings"}
    ours = {name: value for name, value in setting.items() if name in known}
    rest = {name: value for name, value in setting.items() if name not in known}
    settings: SelfPlaySettings = build(
        "selfplay", SelfPlaySettings, {**ours, "game_settings": rest}
    )
    if settings.game_settings.get("frozen_questioner") and not settings.frozen_policy:
        raise InputError(
            "selfplay.frozen_policy: got false beside frozen_questioner, expected true. Set it, so "
            "that the policy of the start is kept."
        )
    return settings
