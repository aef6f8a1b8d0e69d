"""A stream's matrix and measures, as a study's table takes them."""

from rl.report.streams import stream_values

STREAM = {
    "benchmarks": ["data/a.jsonl", "data/b/heldout.jsonl"],
    "accuracies": [[0.75, 0.5], [0.25, 1.0]],
    "average_accuracy": 0.625,
    "forgetting": 0.5,
    "backward_transfer": -0.5,
    "forward_transfer": None,
}


def test_a_run_without_a_stream_has_nothing():
    assert stream_values({"after": {"pass@1": 0.5}}) == {}


def test_the_matrix_is_named_by_data_set_and_benchmark():
    assert stream_values({"continual": STREAM}) == {
        "after 1: a": 0.75,
        "after 1: b": 0.5,
        "after 2: a": 0.25,
        "after 2: b": 1.0,
        "average_accuracy": 0.625,
        "forgetting": 0.5,
        "backward_transfer": -0.5,
    }


def test_benchmarks_of_one_name_are_told_apart():
    names = ["x/a.jsonl", "y/a.jsonl"]
    values = stream_values({"continual": {**STREAM, "benchmarks": names}})
    assert {k: v for k, v in values.items() if k.startswith("after 2")} == {
        "after 2: x/a": 0.25,
        "after 2: y/a": 1.0,
    }


def test_the_base_may_have_been_evaluated_by_another_run():
    base = {"data/a.jsonl": {"pass@1": 0.5}, "data/b/heldout.jsonl": {"pass@1": 0.25}}
    assert stream_values({"continual": STREAM}, base)["forward_transfer"] == 0.25
    assert "forward_transfer" not in stream_values({"continual": STREAM}, {"pass@1": 0.5})


def test_a_stream_that_ended_in_its_first_data_set_forgot_nothing():
    first = {
        "benchmarks": STREAM["benchmarks"],
        "accuracies": STREAM["accuracies"][:1],
        "average_accuracy": 0.75,
        "forgetting": None,
        "backward_transfer": None,
        "forward_transfer": None,
    }
    values = stream_values({"continual": first}, {"data/a.jsonl": {"pass@1": 0.5}})
    assert values == {"after 1: a": 0.75, "after 1: b": 0.5, "average_accuracy": 0.75}
