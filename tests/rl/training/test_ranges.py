"""Ranges of TRL's settings. That each is refused in a recipe: tests/bad_input/test_settings.py."""

from dataclasses import fields

import pytest

from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.ranges import RANGES


def test_the_table_names_fields_whose_defaults_are_in_range():
    assert set(RANGES) <= {field.name for field in fields(LabelFreeConfig)}
    LabelFreeConfig(model="m", dataset="d")


def test_ends_of_ranges():
    config = LabelFreeConfig(learning_rate=0.0, top_p=1, top_k=0, max_steps=-1, epsilon_high=None)
    assert (config.learning_rate, config.max_steps) == (0.0, -1)
    for name, value, rule in (
        ("max_steps", 0, "expected -1 or at least 1"),
        ("learning_rate", float("nan"), "expected a finite number"),
        ("top_p", 0, "expected above 0"),
        ("epsilon_high", -0.1, "expected at least 0. Raise it."),
        ("seed", 2**32, "expected below 4294967296. Lower it."),
        ("lr_scheduler_type", "cosin", "Did you mean 'cosine'?"),
    ):
        with pytest.raises(InputError) as raised:
            LabelFreeConfig(**{name: value})
        assert str(raised.value).startswith(f"{name}: got "), raised.value
        assert rule in str(raised.value)
