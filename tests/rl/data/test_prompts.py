import json

import pytest
from tiny_vision import make_processor
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from rl.data.chat_parts import in_parts
from rl.data.prompts import join_prompts, load_prompts, prompt_id, render_prompt, tokenize_prompt
from rl.errors import InputError

USER = {"role": "user", "content": "2+2="}
SYSTEM = {"role": "system", "content": "Add."}
ASSISTANT = {"role": "assistant", "content": "4"}


def write(folder, *rows):
    folder.mkdir(exist_ok=True)
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def prompts_in(tmp_path, *values, **settings):
    rows = [{"prompt": value} for value in values]
    return list(load_prompts(write(tmp_path, *rows), **settings).dataset["prompt"])


def test_the_dataset_holds_the_prompt_and_its_row_and_nothing_else(tmp_path):
    path = write(tmp_path, {"prompt": "1+1=", "label": 2, "x": 0}, {"prompt": "1+2=", "label": 3})
    loaded = load_prompts(path, label_column="label")
    assert loaded.dataset.to_list() == [{"prompt": "1+1=", "row": 0}, {"prompt": "1+2=", "row": 1}]
    assert loaded.labels == {0: "2", 1: "3"}


def test_labels_are_left_alone_unless_their_column_is_named(tmp_path):
    assert load_prompts(write(tmp_path, {"prompt": "1+1=", "label": 2})).labels is None


def test_labels_become_text_and_rows_without_one_are_missing(tmp_path):
    # 142.0 stays "142.0": whether it equals 142 is for the equivalence check.
    labels = [7, 142.0, "x", None, float("nan"), "", ["5"], 10**20]
    path = write(tmp_path, *({"prompt": "a", "label": label} for label in labels))
    assert load_prompts(path, label_column="label").labels == {
        0: "7",
        1: "142.0",
        2: "x",
        6: "5",
        7: "100000000000000000000",
    }


def test_a_suffix_is_appended_exactly_as_written(tmp_path):
    assert prompts_in(tmp_path, "2+2=", prompt_suffix="\n box it ") == ["2+2=\n box it "]


def test_a_system_prompt_makes_text_a_chat_and_the_suffix_goes_to_the_user(tmp_path):
    assert prompts_in(tmp_path, "2+2=", system_prompt="Add.", prompt_suffix="?") == [
        [SYSTEM, {"role": "user", "content": "2+2=?"}]
    ]


def test_an_empty_system_prompt_gives_the_user_message_alone(tmp_path):
    assert prompts_in(tmp_path, "2+2=", "2+2=", system_prompt="") == [[USER], [USER]]


def test_in_a_chat_the_suffix_goes_to_the_last_user_message(tmp_path):
    chat = [USER, ASSISTANT, USER]
    suffixed = {"role": "user", "content": "2+2=!"}
    assert prompts_in(tmp_path, chat, prompt_suffix="!") == [[USER, ASSISTANT, suffixed]]


def test_a_chat_keeps_role_and_content_and_nulls_do_not_matter(tmp_path):
    assert prompts_in(tmp_path, [SYSTEM, {**USER, "name": None}]) == [[SYSTEM, USER]]


@pytest.mark.parametrize(
    ("values", "settings", "message"),
    [
        (["a", 3], {}, r"row 1 \(from 0\), column 'prompt': got 3, expected text"),
        (["a", None], {}, "row 1 .* got None"),
        ([" \n"], {}, "row 0 .* empty text"),
        (["a\ud800"], {}, "row 0 .* half a surrogate pair"),
        ([[]], {}, "no messages"),
        ([[USER, ASSISTANT]], {}, "end with the assistant"),
        ([["2+2="]], {}, r"got the message '2\+2='"),
        ([[{"role": "user"}]], {}, "expected an object with role and content"),
        ([[{**USER, "tool_calls": [1]}]], {}, "expected an object with role and content"),
        (
            [[{"role": "user", "content": [{"text": "a"}]}]],
            {},
            "expected one of type text or image",
        ),
        (["a", [USER]], {}, "row 1 .* got messages, expected the same kind as in row 0"),
        ([[SYSTEM, USER]], {"system_prompt": "B"}, "system message of its own"),
        ([[SYSTEM]], {"prompt_suffix": "B"}, "no user message"),
        (["a"], {"prompt_column": "promt"}, "got 'promt'.* Did you mean 'prompt'"),
        (["a"], {"label_column": "gold"}, "label_column: got 'gold', expected one of prompt"),
        (["a"], {"label_column": "prompt"}, "expected another column than the prompt's"),
    ],
)
def test_bad_rows_and_columns_say_what_is_wrong_and_where(tmp_path, values, settings, message):
    with pytest.raises(InputError, match=message):
        prompts_in(tmp_path, *values, **settings)


def test_a_label_that_is_no_answer_is_refused(tmp_path):
    path = write(tmp_path, {"prompt": "a", "label": {"x": 1}})
    with pytest.raises(InputError, match=r"label in row 0 \(from 0\), column 'label': got \{'x'"):
        load_prompts(path, label_column="label")


@pytest.fixture
def tokenizer():
    """One token per character; plain text gets a start token, as Llama's tokenizer adds one."""
    vocabulary = {token: i for i, token in enumerate(["<s>", "<e>", *"0123456789+=:uAd.\n"])}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token="<e>"))
    model.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    model.decoder = decoders.Fuse()
    model.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=model, bos_token="<s>", eos_token="<e>")


TEMPLATE = (
    "<s>{% for m in messages %}{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}A:{% endif %}"
)


def test_text_is_rendered_as_it_is_and_a_chat_through_the_template(tokenizer):
    assert render_prompt("2+2=", tokenizer) == "2+2="
    tokenizer.chat_template = TEMPLATE
    assert render_prompt([USER], tokenizer) == "<s>2+2=\nA:"


def test_a_chat_without_a_template_is_refused(tokenizer):
    with pytest.raises(InputError, match="chat template: got none"):
        render_prompt([USER], tokenizer)


def test_token_ids_hold_one_start_token_for_text_and_for_a_chat(tokenizer):
    # "0".."9" are 2..11, "+" 12, "=" 13, ":" 14, "A" 16, newline 19.
    tokenizer.chat_template = TEMPLATE
    assert tokenize_prompt("2+2=", tokenizer) == [0, 4, 12, 4, 13]
    assert tokenize_prompt([USER], tokenizer) == [0, 4, 12, 4, 13, 19, 16, 14]
    ids = tokenizer.apply_chat_template([USER], add_generation_prompt=True, return_dict=False)
    assert tokenize_prompt([USER], tokenizer) == ids
    tokenizer.chat_template = "{{ messages[0].content }}{% if adds %}+{% endif %}"
    assert tokenize_prompt([USER], tokenizer, {"adds": True}) == [4, 12, 4, 13, 12]


def test_the_prompt_id_depends_on_the_text_alone():
    assert prompt_id("2+2=") == prompt_id("2+2=") != prompt_id("2+2= ")
    assert len(prompt_id("\u00e9")) == 16


def test_rows_of_several_files_are_counted_on(tmp_path):
    first = write(tmp_path / "a", {"prompt": "a0", "label": "1"}, {"prompt": "a1"})
    second = write(tmp_path / "b", {"prompt": "b0", "label": "2"})
    parts = [load_prompts(name, label_column="label") for name in (first, second)]
    assert join_prompts(parts[:1]) is parts[0]
    joined = join_prompts(parts)
    assert joined.dataset["prompt"][:] == ["a0", "a1", "b0"]
    assert joined.dataset["row"][:] == [0, 1, 2]
    assert joined.dataset["part"][:] == [0, 0, 1]
    assert joined.labels == {0: "1", 2: "2"}
    assert join_prompts([load_prompts(first), load_prompts(second)]).labels is None


def test_text_and_messages_do_not_mix(tmp_path):
    text = load_prompts(write(tmp_path / "a", {"prompt": "a"}))
    chat = load_prompts(write(tmp_path / "b", {"prompt": "b"}), system_prompt="")
    with pytest.raises(InputError, match="text in one file and messages in another"):
        join_prompts([text, chat])


# Images.


IMAGE = {"type": "image"}


def text(words):
    return {"type": "text", "text": words}


def contents(prompt):
    """The contents of messages, without what Arrow fills parts up with."""
    return [in_parts(message["content"]) for message in prompt]


def test_images_stand_before_the_text_and_make_it_a_chat(tmp_path):
    rows = [{"prompt": "2+2=", "images": ["a.png", "b.png"]}, {"prompt": "3+3=", "images": []}]
    loaded = load_prompts(write(tmp_path, *rows), system_prompt="Add.", prompt_suffix="?").dataset
    assert [contents(prompt) for prompt in loaded["prompt"]] == [
        [[text("Add.")], [IMAGE, IMAGE, text("2+2=?")]],
        [[text("Add.")], [text("3+3=?")]],
    ]
    assert [[image["path"] for image in row] for row in loaded["images"]] == [
        ["a.png", "b.png"],
        [],
    ]


def test_parts_of_text_alone_are_joined_to_text(tmp_path):
    message = {"role": "user", "content": [text("2+"), text("2=")]}
    assert prompts_in(tmp_path, [message]) == [[USER]]


def test_wordings_of_a_prompt_have_its_images(tmp_path):
    rows = [{"prompt": "2+2=", "image": "a.png"}, {"prompt": "3+3=", "image": "b.png"}]
    maker = lambda prompt, columns: [f"Say {prompt}"]  # noqa: E731
    loaded = load_prompts(write(tmp_path, *rows), views=maker).dataset
    assert [contents(prompt) for prompt in loaded["prompt"][:2]] == [
        [[IMAGE, text("2+2=")]],
        [[IMAGE, text("Say 2+2=")]],
    ]
    paths = [[image["path"] for image in row] for row in loaded["images"]]
    assert paths == [["a.png"], ["a.png"], ["b.png"], ["b.png"]]


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"role": "system", "content": "a"}, "no user message, expected one for the images"),
        ({"role": "user", "content": [{"type": "video"}]}, "expected one of type text or image"),
        ({"role": "user", "content": [{"type": "text"}]}, "expected text in it"),
    ],
)
def test_bad_messages_with_images_say_what_is_wrong(tmp_path, message, error):
    path = write(tmp_path, {"prompt": [message], "image": "a.png"})
    with pytest.raises(InputError, match=f"prompt in row 0 .*{error}"):
        load_prompts(path)


def test_a_template_that_reads_parts_alone_gets_parts():
    parts = "{% for p in m['content'] %}{{ p['text'] }}{% endfor %}"
    template = f"{{% for m in messages %}}{parts};{{% endfor %}}"
    tokenizer = make_processor().tokenizer
    tokenizer.chat_template = template
    assert render_prompt([SYSTEM, USER], tokenizer) == "Add.;2+2=;"


def test_an_id_is_of_text_and_images():
    assert prompt_id("a") != prompt_id("a", ["0"]) != prompt_id("a", ["0", "1"])
    assert prompt_id("a", ["01"]) != prompt_id("a", ["0", "1"])
    assert prompt_id("a", ["0", "1"]) != prompt_id("a", ["1", "0"])
