import pytest

from rl.data.model_files import context_length, load_model_config, load_tokenizer
from rl.errors import InputError


def test_a_tokenizer_without_padding_pads_with_its_end_token(
    tmp_path, tiny_tokenizer, tiny_model_folder
):
    folder = tmp_path / "no_padding"
    type(tiny_tokenizer)(
        tokenizer_object=tiny_tokenizer.backend_tokenizer, eos_token="<eos>"
    ).save_pretrained(folder)
    padded = load_tokenizer(tiny_model_folder, "model")
    assert (padded.pad_token, padded.padding_side) == ("<pad>", "left")
    assert load_tokenizer(str(folder), "model").pad_token == "<eos>"


def test_the_context_is_the_model_s(tiny_model_folder):
    assert context_length(load_model_config(tiny_model_folder, "model")) == 128


@pytest.mark.parametrize("load", [load_tokenizer, load_model_config])
def test_no_model_there_is_one_clear_line(load, tmp_path):
    with pytest.raises(InputError, match=f"--model: got {tmp_path}/nothing, expected a model"):
        load(f"{tmp_path}/nothing", "--model")
