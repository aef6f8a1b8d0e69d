"""What is told of documents before a model is loaded."""

import pytest

from rl.errors import InputError
from rl.selfplay.role_prompts import Templates
from rl.selfplay.tasks.document_qa import DocumentQA


def test_the_preview_tells_of_documents_and_checks_the_context(make_spell, scripted_sampler):
    counted = []

    def count_tokens(text):
        counted.append(text)
        return scripted_sampler().count_tokens(text)

    game = make_spell(max_prompt_tokens=460)
    report = game.preview(count_tokens, 460)
    # Both tasks ask about the same documents, which are counted once.
    assert sum("The colour of thing" in text for text in counted) == 24
    # 8 words each with the line `Document 1:` or the like around them, and a line break.
    tasks = ("document_qa", "multiple_choice")
    assert list(report) == [f"{task}: {fact}" for task in tasks for fact in ("shown", "shared")]
    assert report["document_qa: shown"].startswith("24 documents in 3 topics; ")
    assert "never shown" not in report["document_qa: shown"]
    with pytest.raises(InputError, match="max_prompt_tokens: got 460, expected at most 459"):
        game.preview(count_tokens, 459)
    long = game.topics["document_qa"][0].documents[0]
    shown_as = game.player.templates["document_qa"].texts["document"]
    game.player.document_tokens[(shown_as, long.id)] = 10_000
    told = game.preview(count_tokens, None)["document_qa: shown"]
    assert "to 10,000 each" in told
    assert "; 1 over " in told
    assert told.endswith("never shown")


def test_the_preview_tells_what_prompts_begin_with(make_spell, scripted_sampler, tmp_path):
    count_tokens = scripted_sampler().count_tokens
    told = make_spell(num_new_documents=8).preview(count_tokens, None)["document_qa: shared"]
    # 8 documents of 7 words, each below `[Document 1]`, and a line break: 8 x 10 tokens, all seen.
    assert told == (
        "responders' prompts of a topic begin with 80 tokens of documents in the mean; a "
        "questioner's, of fewer documents, with the first 80 of them"
    )
    (tmp_path / "document_qa").mkdir()
    (tmp_path / "document_qa" / "responder.txt").write_text("Read: {{documents}}{{question}}")
    game = make_spell(tasks=[DocumentQA()])
    game.player.templates["document_qa"] = Templates("document_qa", tmp_path)
    assert game.preview(count_tokens, None)["document_qa: shared"].startswith("nothing: ")
