"""Studies: which runs a file means, and what a table makes of their results."""

import json

import pytest
import yaml

from rl.errors import InputError
from rl.report.studies import (
    BASE,
    StudyRow,
    collect,
    differences_table,
    load_study,
    markdown_table,
    read_curves,
)

STUDY = {
    "recipe": "recipes/ttrl/ttrl_testbed.yaml",
    "settings": {"num_prompts": 2},
    "seeds": [3, 4],
    "variants": {"slow": {"learning_rate": 1e-5}, "fast": {"learning_rate": 1e-3}},
    "methods": {"TTRL": None, "TTRL + clip-high": {"epsilon_high": 0.28, "num_prompts": 4}},
}


@pytest.fixture
def write_study(tmp_path):
    def write(**changes):
        path = tmp_path / "study.yaml"
        path.write_text(yaml.safe_dump({**STUDY, **changes}, sort_keys=False))
        return path

    return write


def test_every_method_runs_under_every_variant_with_every_seed(write_study):
    study = load_study(write_study())
    assert [run.name for run in study.runs] == [
        *("ttrl-slow-3", "ttrl-slow-4", "ttrl_clip_high-slow-3", "ttrl_clip_high-slow-4"),
        *("ttrl-fast-3", "ttrl-fast-4", "ttrl_clip_high-fast-3", "ttrl_clip_high-fast-4"),
    ]
    # The method has the last word, and the base model is evaluated once.
    assert study.runs[-1].settings == {
        "num_prompts": 4,
        "learning_rate": 1e-3,
        "epsilon_high": 0.28,
        "seed": 4,
        "eval_base": False,
    }
    assert [run.settings["eval_base"] for run in study.runs] == [True] + [False] * 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": []}, r"study seeds: got \[\], expected a filled list"),
        ({"methods": ["TTRL"]}, "study methods: got .*, expected a filled dict"),
        ({"recipe": None}, "study recipe: got None, expected a filled str"),
        ({"method": {}}, "study key: got 'method', .*'methods'"),
        ({"methods": {"a+b": None, "a b": None}}, "got two with the folder a_b-slow-3"),
    ],
)
def test_a_wrong_study(write_study, changes, message):
    with pytest.raises(InputError, match=message):
        load_study(write_study(**changes))


def write_run(folder, pass_at_1, entropies, before=None):
    folder.mkdir()
    results = {"data/easy/heldout.jsonl": {"pass@1": pass_at_1}}
    summary = {"after": results} | ({"before": before} if before else {})
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = [
        {"step": 1 + i, "entropy": entropy, "cost/num_sampled_tokens": 10.0}
        for i, entropy in enumerate(entropies)
    ]
    lines.append({"step": len(lines) + 1, "train_loss": 0.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_nothing_has_finished(write_study, tmp_path):
    assert collect(load_study(write_study()), tmp_path) == []


def test_results_are_collected_by_method_and_variant(write_study, tmp_path):
    before = {"data/easy/heldout.jsonl": {"pass@1": 0.25}}
    write_run(tmp_path / "ttrl-slow-3", 0.5, [9.0] + [1.0] * 10, before)
    write_run(tmp_path / "ttrl-slow-4", 0.75, [2.0])
    write_run(tmp_path / "ttrl_clip_high-fast-3", 1.0, [3.0])
    assert collect(load_study(write_study()), tmp_path) == [
        StudyRow(method=BASE, variant="slow", runs=[""], values={"easy pass@1": [0.25]}),
        StudyRow(
            method="TTRL",
            variant="slow",
            runs=["3", "4"],
            # Entropy over the last ten steps: the first of eleven does not count.
            values={
                "easy pass@1": [0.5, 0.75],
                "entropy": [1.0, 2.0],
                "sampled_tokens": [11 * 10 / 1e6, 10 / 1e6],
            },
        ),
        StudyRow(method=BASE, variant="fast", runs=[""], values={"easy pass@1": [0.25]}),
        StudyRow(
            method="TTRL + clip-high",
            variant="fast",
            runs=["3"],
            values={"easy pass@1": [1.0], "entropy": [3.0], "sampled_tokens": [10 / 1e6]},
        ),
    ]


def test_a_run_with_one_benchmark_does_not_name_it(write_study, tmp_path):
    write_run(tmp_path / "ttrl-slow-3", 0.5, [1.0])
    path = tmp_path / "ttrl-slow-3" / "summary.json"
    path.write_text(json.dumps({"after": {"pass@1": 0.5}}))
    [row] = collect(load_study(write_study()), tmp_path)
    assert row.values == {"pass@1": [0.5], "entropy": [1.0], "sampled_tokens": [10 / 1e6]}


def test_several_benchmarks_also_have_a_mean(write_study, tmp_path):
    write_run(tmp_path / "ttrl-slow-3", 0.5, [1.0])
    path = tmp_path / "ttrl-slow-3" / "summary.json"
    after = {"a.jsonl": {"pass@1": 0.5, "maj@8": 1.0}, "b.jsonl": {"pass@1": 1.0}}
    controls = {name: {"temperature": 0.25, "verdict": "..."} for name in after}
    path.write_text(json.dumps({"after": after, "controls": controls}))
    cooled, trained, *_ = collect(load_study(write_study()), tmp_path)
    assert (cooled.method, cooled.values["mean pass@1"]) == ("base at its best temperature", [0.25])
    assert trained.values["mean pass@1"] == [0.75]
    assert "mean maj@8" not in trained.values


def test_benchmarks_of_one_name_have_a_column_each(write_study, tmp_path):
    write_run(tmp_path / "ttrl-slow-3", 0.5, [1.0])
    after = {"x/a.jsonl": {"pass@1": 0.5}, "y/a.jsonl": {"pass@1": 1.0}}
    (tmp_path / "ttrl-slow-3" / "summary.json").write_text(json.dumps({"after": after}))
    [trained] = collect(load_study(write_study()), tmp_path)
    assert (trained.values["x/a pass@1"], trained.values["y/a pass@1"]) == ([0.5], [1.0])


def test_runs_are_read_off_where_the_most_frugal_ended(write_study, tmp_path):
    for name, num_steps in (("ttrl-slow-3", 1), ("ttrl_clip_high-slow-3", 3)):
        write_run(tmp_path / name, 0.5, [1.0])
        lines = []
        for step in range(1, num_steps + 1):
            spent = {"cost/num_sampled_tokens": 10.0, "cost/rows_skipped_frac": 0.5}
            lines += [{"step": step, "entropy": 1.0, **spent}]
            lines += [{"step": step, "eval/pass@1": step / 4}]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / name / "metrics.jsonl").write_text(text)
    rows = collect(load_study(write_study()), tmp_path)
    # After one step both have sampled ten tokens; of 4 prompts the second trained twice as many
    # rows in it, so that it had no evaluation yet after as many rows as the first.
    assert [row.values.get("at equal sampled tokens") for row in rows] == [[0.25], [0.25]]
    assert [row.values.get("at equal trained rows") for row in rows] == [[0.25], None]


def test_a_curve_is_over_sampled_tokens(tmp_path):
    write_run(tmp_path / "run", 0.5, [1.0, None, 3.0])
    entropy = read_curves(tmp_path / "run")["entropy"]
    assert (entropy["tokens"], entropy["value"]) == ([10.0, 30.0], [1.0, 3.0])


def test_a_table_by_hand():
    rows = [
        StudyRow(method=BASE, variant="v", runs=["0"], values={"a": [0.5]}),
        # Mean 0.5, sample deviation sqrt(2 * 0.25**2) = 0.354; mean 15, deviation 7.07.
        StudyRow(
            method="m", variant="v", runs=["0", "1"], values={"a": [0.25, 0.75], "b": [10, 20]}
        ),
    ]
    assert markdown_table(rows, {"A": "a", "B": "b"}).splitlines() == [
        "| method | A | B |",
        "|---|---|---|",
        "| base model | 0.500 | - |",
        "| m | 0.500 ± 0.354 | 15.0 ± 7.1 |",
    ]


def test_what_the_base_model_reaches_without_training_has_rows_of_its_own(write_study, tmp_path):
    variants = {"a": {}, "b": {"model": "another"}}
    study = load_study(write_study(variants=variants, columns={"right": "pass@1"}))
    # A variant with a base model of its own evaluates it.
    names = [run.name for run in study.runs if run.settings["eval_base"]]
    assert names == ["ttrl-a-3", "ttrl-b-3"]
    assert study.columns == {"right": "pass@1"}
    for name, greedy in (("ttrl-a-3", 0.125), ("ttrl-b-3", 0.25)):
        write_run(tmp_path / name, 0.75, [1.0], before={"pass@1": 0.5})
        summary = json.loads((tmp_path / name / "summary.json").read_text())
        summary["controls"] = {"greedy": greedy, "majority": 0.625, "verdict": "..."}
        (tmp_path / name / "summary.json").write_text(json.dumps(summary))
    rows = {(row.method, row.variant): row.values for row in collect(study, tmp_path)}
    assert rows["base greedy", "a"] == {"pass@1": [0.125]}
    assert rows["base greedy", "b"] == {"pass@1": [0.25]}
    assert rows["base majority", "b"] == {"pass@1": [0.625]}


def test_runs_of_several_bases_share_a_row(write_study, tmp_path):
    settings = {"model": "{base}/model", "eval_benchmarks": ["{base}/heldout.jsonl"]}
    study = load_study(
        write_study(settings=settings, bases=["runs/a", "runs/b"], variants={"v": {}}, seeds=[3])
    )
    assert [run.name for run in study.runs] == [
        *("ttrl-v-a-3", "ttrl-v-b-3", "ttrl_clip_high-v-a-3", "ttrl_clip_high-v-b-3")
    ]
    assert study.runs[1].settings["model"] == "runs/b/model"
    assert study.runs[1].settings["eval_benchmarks"] == ["runs/b/heldout.jsonl"]
    assert [run.settings["eval_base"] for run in study.runs] == [True, True, False, False]
    for base, before in (("a", 0.25), ("b", 0.5)):
        write_run(tmp_path / f"ttrl-v-{base}-3", 0.75, [1.0], before={"pass@1": before})
    rows = collect(study, tmp_path)
    assert [(row.method, row.runs) for row in rows] == [
        (BASE, ["a", "b"]),
        ("TTRL", ["a-3", "b-3"]),
    ]
    assert rows[0].values == {"pass@1": [0.25, 0.5]}


def test_differences_are_paired_by_hand():
    rows = [
        StudyRow(method=BASE, variant="v", runs=[""], values={"a": [0.5]}),
        StudyRow(method="m", variant="v", runs=["0", "1", "2"], values={"a": [0.5, 0.25, 0.75]}),
        # Differences 0.25 and 0.75 over the runs that both have: mean 0.5, deviation 0.354, and
        # 0.354 / sqrt(2) * 12.706 (Student's t, one degree of freedom) = 3.177.
        StudyRow(method="n", variant="v", runs=["1", "0"], values={"a": [0.5, 1.25]}),
        StudyRow(method="o", variant="v", runs=["2"], values={"a": [0.5], "b": [1.0]}),
    ]
    assert differences_table(rows, {"A": "a", "B": "b"}).splitlines() == [
        "| against m | A | B |",
        "|---|---|---|",
        "| n | +0.500 (-2.677 to +3.677) | - |",
        "| o | -0.250 | - |",
    ]
    assert differences_table(rows[:2], {"A": "a"}) == ""
