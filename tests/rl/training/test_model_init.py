"""What a model's folder and `model_init_kwargs` must be; wrong folders: tests/bad_input."""

import pytest
from transformers import AutoConfig

from rl.data.model_files import load_tokenizer
from rl.errors import InputError
from rl.training.config import LabelFreeConfig
from rl.training.model_init import check_model, check_model_init, check_remote_code
from rl.training.vision_tower import trains_vision


def test_names_and_types():
    check_model_init(None, "m")
    check_model_init({"dtype": "bfloat16", "attn_implementation": "eager"}, "m")
    with pytest.raises(InputError, match=r"model_init_kwargs: got 'dtpe'.* Did you mean 'dtype'"):
        check_model_init({"dtpe": "float32"}, "m")
    with pytest.raises(InputError, match="attn_implementation: got 'flash', expected one of eager"):
        check_model_init({"attn_implementation": "flash"}, "m")


def test_code_of_a_model_or_of_the_hub_needs_the_user_s_word(monkeypatch):
    check_remote_code("m")
    monkeypatch.setattr("rl.plugins._allowed", set())
    for settings, code in (
        ({"trust_remote_code": True}, "the Python files that come with m"),
        ({"attn_implementation": "owner/kernel"}, "a kernel from the hub, owner/kernel"),
    ):
        with pytest.raises(InputError, match=f"which would run {code}"):
            check_model_init(settings, "m")
    with pytest.raises(InputError, match="which would run the Python files that come with m"):
        LabelFreeConfig(model="m", trust_remote_code=True)
    check_model_init({"trust_remote_code": False}, "m")


def test_a_whole_model_passes(tiny_model_folder):
    model_config = AutoConfig.from_pretrained(tiny_model_folder)
    tokenizer = load_tokenizer(tiny_model_folder, "model")
    settings = {"model": tiny_model_folder, "dataset": "d"}
    check_model(LabelFreeConfig(**settings), model_config, tokenizer)
    lora = {"r": 4, "target_modules": "all-linear"}
    check_model(LabelFreeConfig(**settings, lora=lora), model_config, tokenizer)
    wrong = LabelFreeConfig(**settings, lora={"target_modules": ["q_prj"]})
    with pytest.raises(InputError, match=r"lora.target_modules: got .*q_prj"):
        check_model(wrong, model_config, tokenizer)
    of_head = LabelFreeConfig(**settings, lora={"target_modules": ["q_proj", "lm_head"]})
    with pytest.raises(InputError, match=r"lora.target_modules: got lm_head .* modules_to_save"):
        check_model(of_head, model_config, tokenizer)
    whole = {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}
    check_model(LabelFreeConfig(**settings, lora=whole), model_config, tokenizer)


def test_what_is_trained_of_a_vision_language_model(vision_folder):
    """Known before it is loaded, for what ranks that share its tower have to be told."""
    model_config = AutoConfig.from_pretrained(vision_folder)
    tokenizer = load_tokenizer(vision_folder, "model")
    for more, trains in (
        ({}, False),
        ({"freeze_vision_tower": False}, True),
        ({"lora": {"target_modules": ["q_proj"]}}, False),
        ({"lora": {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}}, False),
        ({"lora": {"target_modules": ["q_proj"], "modules_to_save": ["connector"]}}, True),
        ({"lora": {"target_modules": ["q_proj"], "exclude_modules": []}}, True),
    ):
        config = LabelFreeConfig(model=vision_folder, dataset="d", **more)
        assert trains_vision(check_model(config, model_config, tokenizer)) == trains, more
