"""Templates: what fills a slot stays text, and a wrong slot is named."""

import pytest

from rl.data.slots import check_slots, fill_slots, slots_of
from rl.errors import InputError


def test_nothing_to_fill():
    assert fill_slots("{single} {{ spaced }} {{}}", {}, "template") == "{single} {{ spaced }} {{}}"
    assert slots_of("no slot") == set()


def test_what_fills_a_slot_is_never_searched():
    hostile = {"a": "{{b}}\\1\\g<0>", "b": "{{a}}"}
    assert (
        fill_slots("{{a}}|{{b}}|{{a}}", hostile, "template")
        == "{{b}}\\1\\g<0>|{{a}}|{{b}}\\1\\g<0>"
    )


def test_a_slot_nobody_fills_is_named():
    with pytest.raises(InputError, match=r"mine: got the slot {{c}}, expected a, b\. Correct"):
        fill_slots("{{c}}", {"b": "", "a": ""}, "mine")


def test_a_template_is_checked_before_it_is_filled():
    check_slots("{{a}}", {"a", "b"}, {"a"}, "mine")
    with pytest.raises(InputError, match=r"mine: got no slot {{b}}, expected a, b\. Add"):
        check_slots("{{a}}", {"a", "b"}, {"a", "b"}, "mine")
    with pytest.raises(InputError, match=r"got the slot {{c}}"):
        check_slots("{{a}}{{c}}", {"a"}, {"a"}, "mine")
