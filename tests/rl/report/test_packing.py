"""The compressed parts of a page."""

import base64
import gzip
import json

from rl.report.packing import PART_CHARACTERS, blob_name, packed_bytes, rollout_blobs, rollout_room
from rl.report.shown_rollouts import ShownRollouts, ShownStep
from rl.report.shown_samples import ShownProblem


def unpacked(blob):
    return json.loads(gzip.decompress(base64.b64decode(blob)))


def problem(name, completion):
    return ShownProblem(
        problem_id=name,
        title=f"What is {name}?",
        prompt=f"What is {name}?",
        label="3",
        num_samples=4,
        num_right=4,
        is_right=True,
        classes=[{"key": 0, "answer": "3", "votes": 4, "correct": True}],
        rollouts=[{"rollout": 0, "completion": completion}],
    )


def test_nothing_to_pack():
    assert rollout_blobs([]) == rollout_blobs([ShownRollouts()]) == {}
    assert packed_bytes({}) == 0
    assert packed_bytes({"a": "AAAA", "b": "AAAAAAAA"}) == 9


def test_a_step_is_a_part():
    shown = ShownRollouts(steps=[ShownStep(step=7, groups=[{"prompt_id": "p"}])])
    blobs = rollout_blobs([ShownRollouts(), shown])
    assert list(blobs) == [blob_name(1, 7)] == ["rollouts-1-7"]
    assert unpacked(blobs["rollouts-1-7"]) == {"groups": [{"prompt_id": "p"}]}


def test_problems_lie_in_parts_that_a_list_names():
    # Two long problems fill a part, the third one begins another.
    text = "x" * (PART_CHARACTERS // 2)
    problems = [problem(name, text) for name in "abc"]
    blobs = rollout_blobs([ShownRollouts(problems=problems)])
    listed = unpacked(blobs["rollouts-0-0"])["groups"]
    assert [(one["prompt_id"], one["part"][-1]) for one in listed] == [
        ("a", "0"),
        ("b", "0"),
        ("c", "1"),
    ]
    first, second = (unpacked(blobs[f"rollouts-0-0-part-{i}"]) for i in (0, 1))
    assert (len(first), len(second)) == (2, 1)
    # The list and a part together say everything of a problem that the page shows.
    assert {**listed[2], **second[0]} == {
        "prompt_id": "c",
        "visit": "",
        "role": "",
        "title": "What is c?",
        "part": "rollouts-0-0-part-1",
        "prompt": "What is c?",
        "images": [],
        "label": "3",
        "num_samples": 4,
        "classes": problems[2].classes,
        "rollouts": [{"rollout": 0, "completion": text}],
    }


def test_room_for_rollouts():
    # 0.95 of the 1,000,000 bytes that are left, of which base64 leaves three quarters.
    assert rollout_room(3_000_000, 2_000_000) == 712_500
    assert rollout_room(1_000_000, 2_000_000) == 0
