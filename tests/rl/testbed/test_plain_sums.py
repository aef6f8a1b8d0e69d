"""The plain sums: each once, labels that are right, none both trained and held out."""

import json
import re

from rl.testbed.plain_sums import NUM_HELDOUT, NUM_TRAIN, plain_sums, write_plain_sums


def test_every_sum_stands_once_with_its_label():
    problems = plain_sums()
    # 40 x 40 pairs of numbers of 10 to 49, less the two that are shown.
    assert len({problem["prompt"] for problem in problems}) == len(problems) == 1598
    for problem in problems:
        *shown, asked = problem["prompt"].split("\n")
        assert shown == ["12 + 25 = 37", "41 + 18 = 59"]
        assert asked + " " + problem["label"] not in shown
        first, second = map(int, re.findall(r"\d\d", asked))
        assert int(problem["label"]) == first + second < 100


def test_heldout_sums_are_not_trained_on_and_train_has_no_label(tmp_path):
    write_plain_sums(tmp_path)
    train, labelled, heldout = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "labelled", "heldout")
    )
    assert train == [{"prompt": row["prompt"]} for row in labelled]
    assert (len(labelled), len(heldout)) == (NUM_TRAIN, NUM_HELDOUT)
    prompts = [row["prompt"] for row in [*labelled, *heldout]]
    assert len(set(prompts)) == NUM_TRAIN + NUM_HELDOUT
