"""The word problems: none twice, none both trained and held out, prompts that hold no answer."""

import json

from rl.testbed.word_problems import (
    NUM_HELDOUT_PER_FAMILY,
    PATTERNS,
    word_problems,
    write_word_problems,
)


def test_every_family_has_its_problems_once():
    for family in PATTERNS:
        problems = word_problems(family)
        assert len({problem["prompt"] for problem in problems}) == len(problems) > 100
        assert all(problem["label"].isalpha() for problem in problems)


def test_heldout_problems_are_not_trained_on_and_train_has_no_label(tmp_path):
    write_word_problems(tmp_path)
    rows = {
        name: [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "labelled", "heldout")
    }
    assert [row["prompt"] for row in rows["train"]] == [row["prompt"] for row in rows["labelled"]]
    assert all(row.keys() == {"prompt"} for row in rows["train"])
    assert len(rows["heldout"]) == NUM_HELDOUT_PER_FAMILY * len(PATTERNS)
    trained = {row["prompt"] for row in rows["train"]}
    assert trained.isdisjoint(row["prompt"] for row in rows["heldout"])
    assert len(trained) + len(rows["heldout"]) == sum(len(word_problems(f)) for f in PATTERNS)
