"""A run's settings become the engine's."""

from rl.rollouts.engine import SamplingSettings
from rl.training.engines import sampling_settings
from rl.training.recipe import make_config


def test_the_defaults_sample_from_the_whole_policy():
    settings = sampling_settings(make_config({"max_completion_length": 7}))
    assert settings == SamplingSettings(max_completion_length=7)
    assert settings.is_full_distribution


def test_every_setting_arrives():
    given = {
        "max_completion_length": 7,
        "temperature": 0.6,
        "top_p": 0.9,
        "top_k": 20,
        "min_p": 0.05,
        "repetition_penalty": 1.1,
        "stop_strings": ["Question:"],
    }
    found = sampling_settings(make_config(given))
    assert found == SamplingSettings(**{**given, "stop_strings": ("Question:",)})
