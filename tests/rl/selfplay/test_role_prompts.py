"""Prompt files: those of the project, those of a user, and what is wrong with them."""

import pytest

from rl.errors import InputError
from rl.selfplay.role_prompts import SLOTS, Templates


@pytest.mark.parametrize("task", ["document_qa", "financial_math", "multiple_choice"])
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
