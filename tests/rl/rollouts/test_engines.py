"""Engines by name, and an engine of one's own."""

import pytest

from rl.errors import InputError
from rl.rollouts.engine import SamplingSettings
from rl.rollouts.engines import ENGINES, StoredModel, check_takes_images, engine_class
from rl.rollouts.transformers_engine import TransformersEngine
from rl.training.recipe import make_config

OWN = """
class Own:
    @classmethod
    def for_model(cls, model):
        return model.model
"""


@pytest.mark.parametrize("name", ["transformers", "vllm", "vllm_server"])
def test_what_a_run_can_sample_with(name):
    assert hasattr(engine_class(name, "for_run", "engine"), "generate")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "transformers"),
        ({"use_vllm": True}, "vllm"),
        ({"use_vllm": True, "vllm_mode": "server"}, "vllm_server"),
        ({"engine": "mine.py:Engine"}, "mine.py:Engine"),
    ],
)
def test_a_recipe_s_settings_name_one(settings, name):
    assert make_config(settings).engine_name == name


def test_an_engine_of_one_s_own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    found = engine_class(f"{tmp_path}/own.py:Own", "for_model", "--engine")
    stored = StoredModel(
        model="m", tokenizer=None, settings=SamplingSettings(max_completion_length=1)
    )
    assert found.for_model(stored) == "m"


@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        ("vlm", "for_run", "engine: got 'vlm', expected one of"),
        ("openai", "for_run", "engine: got 'openai', expected an engine for a training run"),
        ("vllm_server", "for_model", "expected an engine for a model that does not change"),
    ],
)
def test_what_cannot_be_used_is_one_clear_line(name, method, message):
    with pytest.raises(InputError, match=message):
        engine_class(name, method, "engine")


def test_the_table_holds_every_engine():
    assert engine_class("transformers", "for_model", "engine") is TransformersEngine
    assert list(ENGINES) == ["transformers", "vllm", "vllm_server", "openai"]
    for name in ENGINES:
        method = "for_run" if name == "vllm_server" else "for_model"
        check_takes_images(engine_class(name, method, "engine"), name, "engine")
