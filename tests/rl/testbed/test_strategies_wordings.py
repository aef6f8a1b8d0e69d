"""Sums in their other wordings: the same terms, and never a held-out prompt."""

import json
import random

import pytest

from rl.testbed.strategies import draw_terms, write_prompt
from rl.testbed.strategies_build import TRAIN_WORDINGS
from rl.testbed.strategies_wordings import other_wordings, read_prompt, write_wordings


@pytest.mark.parametrize("wording", ["compact", "spaced", "listed", "spoken"])
def test_what_was_written_is_read(wording):
    rng = random.Random(0)
    for kind, num_terms in (("plain", 2), ("dips", 3), ("peaks", 4), ("plain", 5)):
        terms = draw_terms(rng, num_terms, kind)
        assert read_prompt(write_prompt(terms, wording)) == (terms, wording)


@pytest.mark.parametrize("prompt", ["", "3+5-2", "add 3 and 5:", "what is 3+5?"])
def test_other_texts_are_refused(prompt):
    with pytest.raises(ValueError, match="expected a sum of the testbed of strategies"):
        read_prompt(prompt)


def test_its_own_wording_and_taken_prompts_are_left_out():
    assert other_wordings("add 3,5,-2:", TRAIN_WORDINGS) == ["3+5-2=", "3 + 5 - 2 = "]
    assert other_wordings("add 3,5,-2:", TRAIN_WORDINGS, {"3+5-2="}) == ["3 + 5 - 2 = "]


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_no_wording_is_held_out(tmp_path):
    (tmp_path / "heldout").mkdir()
    rows = [{"prompt": "3+5-2=", "label": "6"}, {"prompt": "4-1=", "label": "3"}]
    write_lines(tmp_path / "labelled.jsonl", rows)
    heldout = ["3 + 5 - 2 = ", "4 - 1 = ", "add 4,-1:"]
    write_lines(tmp_path / "heldout" / "some.jsonl", [{"prompt": p, "label": "0"} for p in heldout])
    assert write_wordings(tmp_path, TRAIN_WORDINGS) == 1
    [line] = (tmp_path / "wordings.jsonl").read_text().splitlines()
    assert json.loads(line) == {**rows[0], "paraphrases": ["add 3,5,-2:"]}
