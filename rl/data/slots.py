"""Prompt templates: text with slots such as {{question}}, filled in one pass."""

import re
from collections.abc import Mapping

from rl.errors import InputError

_SLOT = re.compile(r"\{\{(\w+)\}\}")


def slots_of(template: str) -> set[str]:
    """Return the names of the slots in a template."""
    return set(_SLOT.findall(template))


def fill_slots(template: str, values: Mapping[str, str], what: str) -> str:
    """Fill all slots at once: what fills one is never searched for slots.

    Args:
        template: Text; everything in it but slots is taken as it is.
        values: Slot -> text.
        what: Names the template in messages.

    Raises:
        InputError: If the template has a slot that is not filled.

    Example:
        >>> fill_slots("{{a}} and {{b}}", {"a": "{{b}}", "b": "2"}, "template")
        '{{b}} and 2'
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise InputError(
                f"{what}: got the slot {match[0]}, expected {', '.join(sorted(values)) or 'none'}. "
                "Correct its name."
            )
        return values[match[1]]

    return _SLOT.sub(value, template)


def check_slots(template: str, known: set[str], needed: set[str], what: str) -> None:
    """Check a template of the user's before it is first filled.

    Args:
        template: The text.
        known: Slots that can be filled.
        needed: Those of them that it must have.
        what: Names the template in messages.

    Raises:
        InputError: If it lacks a slot, or has one that cannot be filled.
    """
    fill_slots(template, dict.fromkeys(known, ""), what)
    missing = sorted(needed - slots_of(template))
    if missing:
        raise InputError(
            f"{what}: got no slot {{{{{missing[0]}}}}}, expected {', '.join(sorted(needed))}. Add "
            "it to the text."
        )
