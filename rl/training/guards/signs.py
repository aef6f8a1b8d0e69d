"""When a number of one step is worse than it may be: rules that the guard and `keep_best` share."""

from collections.abc import Mapping
from math import sqrt

MAX_FLIP_SHARE = 0.15
MAX_KAPPA_FALL = 0.4
MAX_USELESS_SHARE = 0.5
# Settled prompts it takes to judge a share of flips.
MIN_SETTLED = 24
# What a share must have risen by, and kappa fallen by, to count at all.
LEAST_RISE, LEAST_FALL = 0.25, 0.1


def too_many_flips(flips: float, settled: float, max_share: float = MAX_FLIP_SHARE) -> bool:
    """Whether more settled prompts changed their leading answer than may.

    The share itself must be above `max_share`, and the lower end of its 95% interval above two
    thirds of it; of fewer than `MIN_SETTLED` prompts nothing is said.

    Example:
        >>> too_many_flips(13, 65), too_many_flips(10, 65), too_many_flips(6, 10)
        (True, False, False)
    """
    if settled < MIN_SETTLED:
        return False
    return flips / settled > max_share and wilson_low(flips, settled) > max_share * 2 / 3


def kappa_fell(best: float, now: float, max_fall: float = MAX_KAPPA_FALL) -> bool:
    """Whether kappa lost more than a share of its best value, and enough to tell it from chance.

    Example:
        >>> kappa_fell(0.7, 0.4), kappa_fell(0.7, 0.5), kappa_fell(0.1, 0.02)
        (True, False, False)
    """
    return best - now >= max(LEAST_FALL, max_fall * best)


def share_rose(start: float, now: float, max_share: float = MAX_USELESS_SHARE) -> bool:
    """Whether a share of completions that are no good is too large, and larger than at the start.

    Example:
        >>> share_rose(0.1, 0.6), share_rose(0.4, 0.6), share_rose(0.1, 0.4)
        (True, False, False)
    """
    return now > max(max_share, start + LEAST_RISE)


def wilson_low(count: float, total: float) -> float:
    """Lower end of the 95% interval of a share (Wilson, JASA 22, 1927).

    Example:
        >>> round(wilson_low(9, 60), 3), wilson_low(0, 60)
        (0.081, 0.0)
    """
    z = 1.96
    share = count / total
    middle = share + z * z / (2 * total)
    width = z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (middle - width) / (1 + z * z / total))


def veto(best: Mapping[str, float], now: Mapping[str, float]) -> str | None:
    """Say why a policy cannot be better than the best so far, by held-out prompts without labels.

    Args:
        best: Label-free metrics of the best policy: kappa, truncated_frac, no_answer_frac.
        now: Those of the newer one, and of its flips against the best: num_settled, settled_flips.

    Returns:
        A sentence without a full stop; None if nothing speaks against it. A metric that is missing
        says nothing.

    Example:
        >>> veto({"kappa": 0.6}, {"kappa": 0.1})
        'kappa fell from 0.60 to 0.10'
        >>> veto({}, {"num_settled": 60, "settled_flips": 2}) is None
        True
    """
    flips, settled = now.get("settled_flips", 0), now.get("num_settled", 0)
    if too_many_flips(flips, settled):
        return f"{flips:.0f} of {settled:.0f} prompts with a majority gave it to another answer"
    if "kappa" in best and "kappa" in now and kappa_fell(best["kappa"], now["kappa"]):
        return f"kappa fell from {best['kappa']:.2f} to {now['kappa']:.2f}"
    for name in ("truncated_frac", "no_answer_frac"):
        if name in best and name in now and share_rose(best[name], now[name]):
            return f"{name} rose from {best[name]:.2f} to {now[name]:.2f}"
    return None
