"""Where a completion's text ends; that engines stop there is in the contract."""

import torch

from rl.rollouts.engine import Sample
from rl.rollouts.stop_strings import StopAtStrings, completion_texts, cut_at_stop


def test_a_text_ends_before_its_first_stop_string():
    assert cut_at_stop("", ["a"]) == ""
    assert cut_at_stop("12", []) == "12"
    # The string that stands first counts, not the one that is named first.
    assert cut_at_stop("1;2=3", ["=", ";"]) == "1"
    assert cut_at_stop(";1", [";"]) == ""


def test_texts_of_samples_end_there_too(tiny_tokenizer):
    assert completion_texts([], tiny_tokenizer, ["="]) == []
    ids = tiny_tokenizer("12=3")["input_ids"]
    samples = [Sample(completion_ids=[*ids, 1], truncated=False)]
    assert completion_texts(samples, tiny_tokenizer) == ["12=3"]
    assert completion_texts(samples, tiny_tokenizer, ["=3"]) == ["12"]


def test_the_prompt_stops_nothing(tiny_tokenizer):
    # Prompt "12", completions "=", "3": "2=" begins in the prompt, "12" stands in it.
    rows = torch.tensor([tiny_tokenizer(text)["input_ids"] for text in ("12=", "123")])
    stop = StopAtStrings(tiny_tokenizer, ["12", "2=", "3"], prompt_length=2)
    assert stop(rows, None).tolist() == [False, True]
    assert stop.ends == {1: 1}
