"""Prompt files: those of the project, those of a user, and what is wrong with them."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from rl.data.prompts import tokenize_prompt
from rl.errors import InputError
from rl.selfplay.game import as_prompt
from rl.selfplay.role_prompts import SLOTS, Templates

TASKS = ["document_qa", "financial_math", "multiple_choice"]
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}<|im_start|>assistant\n"
)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_its_prompts(task):
    templates = Templates(task)
    assert set(templates.texts) == set(SLOTS)
    prompt = templates.fill(
        "questioner_with_memory",
        {
            "documents": templates.documents(["one", "two"]),
            "examples": templates.examples([("q", "a")]),
            "letter": "C",
        },
    )
    assert "{{" not in prompt
    assert "[Document 2]\ntwo" in prompt
    assert "Example 1\nQuestion: q\nAnswer: a" in prompt
    assert "[YES]" in templates.texts["verifier"]


@pytest.fixture(scope="module")
def tokenizer():
    """Byte-level BPE with a chat template, as Qwen's, learned from the prompts themselves."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=800,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [text for task in TASKS for text in Templates(task).texts.values()]
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=CHAT
    )


def test_prompts_of_all_roles_and_tasks_begin_with_the_same_tokens(tokenizer):
    found = {}
    for task in TASKS:
        templates = Templates(task)
        slots = {
            "documents": templates.documents(["The first, of 3 words.", "The second"]),
            "examples": "Why?",
            "question": "Why?",
            "letter": "A",
        }
        for name in ("questioner", "questioner_with_memory", "responder"):
            prompt = as_prompt(templates.fill(name, slots), chat=True)
            found[task, name] = tokenize_prompt(prompt, tokenizer)
    alike = 0
    while len({tuple(ids[: alike + 1]) for ids in found.values()}) == 1:
        alike += 1
    shared = tokenizer.decode(found["document_qa", "responder"][:alike])
    assert shared.startswith("<|im_start|>user\n<documents>\n[Document 1]\nThe first")
    assert shared.endswith("\nThe second\n</documents>\n\n")


def test_what_fills_a_slot_is_not_searched_for_slots():
    templates = Templates("document_qa")
    slots = {"documents": "{{question}} $x {0}", "question": "{{documents}}"}
    prompt = templates.fill("responder", slots)
    assert "{{question}} $x {0}" in prompt
    assert "Question: {{documents}}" in prompt


def test_a_folder_of_ones_own_comes_first(tmp_path):
    (tmp_path / "document_qa").mkdir()
    (tmp_path / "document_qa" / "responder.txt").write_text("{{documents}}?{{question}}\n")
    (tmp_path / "document.txt").write_text("<{{text}}>\n")
    templates = Templates("document_qa", tmp_path)
    assert templates.fill("responder", {"documents": "d", "question": "q"}) == "d?q"
    assert templates.documents(["a", "b"]) == "<a>\n<b>"
    assert templates.texts["verifier"] == Templates("document_qa").texts["verifier"]


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="expected a folder"):
        Templates("document_qa", tmp_path / "none")
    with pytest.raises(InputError, match=r"got no mine/questioner\.txt"):
        Templates("mine", tmp_path)
    folder = tmp_path / "document_qa"
    folder.mkdir()
    (folder / "verifier.txt").write_text("{{question}} {{reference}}")
    with pytest.raises(InputError, match=r"verifier\.txt: got no slot {{prediction}}"):
        Templates("document_qa", tmp_path)
    (folder / "verifier.txt").write_text("{{question}} {{reference}} {{prediction}} {{answer}}")
    with pytest.raises(InputError, match=r"got the slot {{answer}}, expected prediction, "):
        Templates("document_qa", tmp_path).fill(
            "verifier", {"question": "", "reference": "", "prediction": ""}
        )
    (folder / "verifier.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match="expected UTF-8 text"):
        Templates("document_qa", tmp_path)
