"""Every script but train.py, with arguments and files that are wrong."""

import pytest

EVALUATE = "evaluate.py --model {world}/model --benchmark {world}/train.jsonl --output_dir {new}/e"
MODEL = "evaluate.py --model"
SOLVE = "solve.py {world}/train.jsonl --model {world}/model --output {new}/answers.jsonl"
VOTE = "vote.py {world}/saved.jsonl --output {new}/votes.jsonl"
REPORT = "report.py {world}/run_with_bad_metrics --output {new}/report.html"
BENCHMARK = "benchmark.py --parts update --output_dir {new}/benchmark"
HUGE = "9" * 5000
LONG = "a" * 5000
DAMAGED = ("empty", "binary", "utf16", "deep", "list", "no_columns", "loop", "unreadable", "folder")
CASES = [
    # evaluate.py
    "evaluate.py",
    "evaluate.py --model {world}/model --output_dir {new}/e",
    *(f"{EVALUATE} --num_samples {n}" for n in ("0", "-1", "x", "1000000000000", HUGE)),
    *(f"{EVALUATE} --k {k}" for k in ("0", "a", "17", "")),
    *(f"{EVALUATE} --temperature {t}" for t in ("-1", "nan", "inf")),
    *(f"{EVALUATE} --top_p {p}" for p in ("0", "5", "nan")),
    *(f"{EVALUATE} --top_k {k}" for k in ("-7",)),
    *(f"{EVALUATE} --min_p {p}" for p in ("2", "nan")),
    *(f"{EVALUATE} --max_completion_length {n}" for n in ("0", "-5", "1000000000000")),
    *(f"{EVALUATE} --seed {n}" for n in ("-1", HUGE)),
    *(f"{EVALUATE} --batch_size {n}" for n in ("0", "-1")),
    *(f"{EVALUATE} --option_seed {n}" for n in ("-1",)),
    f"{EVALUATE} --g_pass 5",
    f"{EVALUATE} --engine nope",
    f"{EVALUATE} --engine os:system",
    f"{EVALUATE} --template nope",
    f"{EVALUATE} --chat_template {{world}}/binary.jsonl",
    f"{EVALUATE} --chat_template_args [1]",
    f"{EVALUATE} --chat_template_args {'[' * 100_000}",
    f"{EVALUATE} --train_run nowhere",
    f"{EVALUATE} --train_run {{world}}/run_with_binary_config",
    f"{EVALUATE} --train_run {{world}}/run_with_a_deep_config",
    f"{EVALUATE} --prompt_column nope",
    f"{EVALUATE} --label_column nope",
    f"{EVALUATE} --answer_methods nope",
    f"{EVALUATE} --answer_comparer nope",
    f"{EVALUATE} --answer_kind nope",
    f"{EVALUATE} --base_url http://127.0.0.1:9/v1",
    f"{EVALUATE} --engine openai --base_url nope",
    *(
        f"{MODEL} {{world}}/model --benchmark {{world}}/{name}.jsonl --output_dir {{new}}/e"
        for name in DAMAGED
    ),
    *(
        f"{MODEL} {{world}}/{name} --benchmark {{world}}/train.jsonl --output_dir {{new}}/e"
        for name in ("empty_folder", "config_is_a_list", "no_tokenizer", "tokenizer_is_binary")
    ),
    f"{MODEL} {{world}}/model --benchmark {{world}}/train.jsonl --output_dir {{world}}/saved.jsonl",
    f"evaluate.py --model {{world}}/model --benchmark {LONG} --output_dir {{new}}/e",
    *(
        f"evaluate.py --rescore {{world}}/{name}"
        for name in (
            "nowhere",
            "empty_folder",
            "train.jsonl",
            "evaluation_of_nothing",
            "evaluation_with_binary_samples",
            "evaluation_with_a_list_for_manifest",
            "evaluation_with_a_deep_manifest",
            "evaluation_with_an_empty_manifest",
        )
    ),
    *(f"evaluate.py --score {{world}}/{name}.jsonl --output_dir {{new}}/e" for name in DAMAGED),
    # solve.py
    *(f"{SOLVE} --num_samples {n}" for n in ("0", "x", "1000000000000")),
    *(f"{SOLVE} --temperature {t}" for t in ("-1", "nan", "inf")),
    *(f"{SOLVE} --top_p {p}" for p in ("0", "5", "nan")),
    *(f"{SOLVE} --max_completion_length {n}" for n in ("0", "-5", "1000000000000")),
    f"{SOLVE} --batch_size 0",
    f"{SOLVE} --seed -1",
    f"{SOLVE} --engine nope",
    f"{SOLVE} --stray",
    f"{SOLVE} --prompt_column nope",
    f"{SOLVE} --answer_methods nope",
    f"{SOLVE} --adapt nowhere.yaml",
    f"{SOLVE} --adapt {{world}}/binary.jsonl",
    *(
        f"solve.py {{world}}/{name}.jsonl --model {{world}}/model --output {{new}}/a.jsonl"
        for name in DAMAGED
    ),
    *(
        f"solve.py {{world}}/train.jsonl --model {{world}}/{name} --output {{new}}/a.jsonl"
        for name in ("nowhere", "empty_folder", "config_is_empty", "no_tokenizer")
    ),
    "solve.py {world}/train.jsonl --model {world}/model --output {world}/folder.jsonl",
    "solve.py {world}/train.jsonl --model {world}/model --output {new}/none/a.jsonl",
    "solve.py {world}/train.jsonl --model {world}/model --output {world}/pipe.jsonl",
    *(
        f"{SOLVE} --adapt {{world}}/right.yaml --{setting}"
        for setting in ("answer_methods 5", "stop_strings 5", "temperature warm", "top_p [1]")
    ),
    "solve.py {world}/train.jsonl --model {world}/model --output {world}/train.jsonl",
    f"solve.py {{world}}/train.jsonl --model {{world}}/model --output {LONG}",
    # vote.py
    *(f"vote.py {{world}}/{name}.jsonl --output {{new}}/v.jsonl" for name in DAMAGED[1:]),
    *(f"vote.py {{world}}/{name} --output {{new}}/v.jsonl" for name in ("not_gzip.jsonl.gz", LONG)),
    "vote.py {world}/saved.jsonl --output {new}/none/v.jsonl",
    f"vote.py {{world}}/saved.jsonl --output {LONG}",
    "vote.py {world}/saved.jsonl --output {world}/saved.jsonl",
    *(f"{VOTE} --weight {weight}" for weight in ("borda", "[1]")),
    "vote.py {world}/saved.jsonl --output {world}/pipe.jsonl",
    f"{VOTE} --tie nope",
    f"{VOTE} --answer_methods nope",
    f"{VOTE} --answer_methods no/such.py:f",
    f"{VOTE} --answer_comparer nope",
    f"{VOTE} --choices ''",
    # check_reward.py
    "check_reward.py nope",
    "check_reward.py nope.py:f",
    "check_reward.py :",
    "check_reward.py subprocess:Popen",
    "check_reward.py os:system",
    *(
        f"check_reward.py majority_vote --settings {s}"
        for s in ("[1]", "{", '{"x":1}', "[" * 100_000)
    ),
    "check_reward.py majority_vote --show -1",
    "check_reward.py majority_vote --show 999",
    "check_reward.py majority_vote --max_groups -1",
    *(f"check_reward.py majority_vote --groups {{world}}/{name}.jsonl" for name in DAMAGED[1:]),
    # compare_evaluations.py
    "compare_evaluations.py nowhere nowhere",
    "compare_evaluations.py {world}/empty_folder {world}/empty_folder",
    *(
        f"compare_evaluations.py {{world}}/{name} {{world}}/{name}"
        for name in (
            "evaluation_of_nothing",
            "evaluation_with_binary_samples",
            "evaluation_with_a_list_for_manifest",
            "evaluation_with_a_deep_manifest",
            "evaluation_with_an_empty_manifest",
        )
    ),
    "compare_evaluations.py {world}/evaluation_of_nothing nowhere --seed -1",
    "compare_evaluations.py {world}/evaluation_of_nothing nowhere --k 0",
    # report.py
    "report.py nowhere",
    "report.py {world}/empty_folder",
    "report.py {world}/train.jsonl",
    *(
        f"report.py {{world}}/{name} --output {{new}}/r.html"
        for name in (
            "run_with_binary_config",
            "run_with_a_deep_config",
            "run_with_bad_metrics",
            "evaluation_with_binary_samples",
            "evaluation_with_a_deep_manifest",
        )
    ),
    f"{REPORT} --steps x",
    f"{REPORT} --steps 5",
    f"{REPORT} --max_megabytes 0",
    f"{REPORT} --smoothing 0",
    "report.py {world}/run_with_bad_metrics --output {world}",
    "report.py {world}/run_with_text_for_metrics --output {world}/pipe.jsonl",
    # compare.py
    "compare.py nowhere.yaml --output_dir {new}/s",
    *(f"compare.py {{world}}/{name}.jsonl --output_dir {{new}}/s" for name in DAMAGED),
    "compare.py {world}/study_of_nothing.yaml --output_dir {new}/s",
    "compare.py {world}/study_with_text_for_a_method.yaml --output_dir {new}/s",
    "compare.py {world}/study_with_a_wrong_setting.yaml --output_dir {new}/s",
    "compare.py {world}/study_of_nothing.yaml --output_dir {new}/s --workers 0",
    "compare.py {world}/study_with_a_wrong_seed.yaml --output_dir {new}/s",
    # signatures.py
    "signatures.py nowhere.yaml --output_dir {new}",
    *(f"signatures.py {{world}}/{name}.jsonl --output_dir {{new}}" for name in DAMAGED),
    "signatures.py {world}/study_of_nothing.yaml --output_dir {new}",
    "signatures.py {world}/study_without_a_model.yaml --output_dir {new}",
    "signatures.py {world}/study_without_labels.yaml --output_dir {new}",
    "signatures.py {world}/study_without_labels.yaml --output_dir {world}",
    # build_testbed.py, fetch_smollm2.py, demo.py
    "build_testbed.py --output_dir {world}",
    "build_testbed.py --output_dir {world}/train.jsonl",
    "build_testbed.py --output_dir {world}/loop.jsonl",
    "build_testbed.py --output_dir {new}/t --seed -1",
    f"build_testbed.py --output_dir {{new}}/t --seed {HUGE}",
    "build_testbed.py --output_dir {new}/t --seed 99999999999999999999999999",
    "build_testbed.py --strategies --output_dir {new}/t --seed -1",
    "build_testbed.py --selfplay --output_dir {new}/t --seed -1",
    "build_testbed.py --selfplay --output_dir {world}/train.jsonl",
    "build_testbed.py --strategies --output_dir {world}/train.jsonl",
    "build_testbed.py --strategies --selfplay --output_dir {new}/t",
    "fetch_smollm2.py --output_dir {world}/train.jsonl",
    "demo.py --seed x",
    "demo.py --seed -1",
    "demo.py --output_dir {world}",
    "demo.py --output_dir {world}/train.jsonl",
    # serve_vllm.py
    "serve_vllm.py nowhere.yaml --dry_run",
    "serve_vllm.py {world}/binary.jsonl --dry_run",
    "serve_vllm.py {world}/wrong_recipe.yaml --dry_run",
    *(
        f"serve_vllm.py {{world}}/right.yaml --dry_run --tensor_parallel_size {n}"
        for n in ("0", "-1", "x")
    ),
    *(
        f"serve_vllm.py {{world}}/right.yaml --dry_run --data_parallel_size {n}"
        for n in ("0", "-5")
    ),
    "serve_vllm.py {world}/right.yaml --dry_run --vllm_server_port 99999999",
    "serve_vllm.py {world}/right.yaml --dry_run --model",
    "serve_vllm.py {world}/right.yaml --dry_run --model {world}/empty_folder",
    # benchmark.py and benchmark_votes.py
    f"{BENCHMARK} --parts nope",
    *(
        f"{BENCHMARK} --{name} {value}"
        for name, value in (
            ("repetitions", "0"),
            ("seeds", "-1"),
            ("num_prompts", "0"),
            ("num_generations", "1"),
            ("micro_batch", "0"),
            ("mean_length", "-3"),
            ("hidden_size", "0"),
            ("hidden_size", "33"),
            ("num_layers", "0"),
            ("target", "nan"),
            ("target", "5"),
            ("ranks", "0"),
            ("ranks", "1,x"),
        )
    ),
    "benchmark.py --parts update --output_dir {world}/train.jsonl",
    "benchmark.py --parts steps --output_dir {new}/b --testbed nowhere",
    *(
        f"benchmark.py --parts votes --output_dir {{new}}/b --completions {{world}}/{name}.jsonl"
        for name in DAMAGED
    ),
    *(f"benchmark_votes.py {{world}}/{name}.jsonl" for name in DAMAGED),
    "benchmark_votes.py {world}/saved.jsonl --referee",
    "benchmark_votes.py {world}/saved.jsonl --weights",
]


@pytest.fixture(autouse=True)
def files(world):
    """Recipes and studies."""
    recipe = f"model: {world}/model\ndataset: {world}/train.jsonl\nnum_prompts: 2\n"
    study = f"recipe: {world}/right.yaml\nvariants: {{one: {{}}}}\n"
    contents = {
        "right.yaml": recipe,
        "wrong_recipe.yaml": recipe + "learning_rate: -1\n",
        "study_of_nothing.yaml": "methods: {}\n",
        "study_with_text_for_a_method.yaml": study + "seeds: [0]\nmethods: {vote: text}\n",
        "study_with_a_wrong_setting.yaml": study + "seeds: [0]\nmethods: {vote: {seeed: 1}}\n",
        "study_without_a_model.yaml": study + "seeds: [0]\nmethods: {vote: {}}\n",
        "study_without_labels.yaml": study + "seeds: [0]\nmethods: {vote: {}}\nsettings: "
        f"{{model: {world}/model, dataset: {world}/no_columns.jsonl}}\n",
        "study_with_a_wrong_seed.yaml": study + "seeds: [0, -1]\nmethods: {vote: {}}\n",
    }
    for name, content in contents.items():
        (world / name).write_text(content)


@pytest.mark.parametrize("command", CASES, ids=lambda command: command[:70])
def test_command(refused, command):
    script, *arguments = command.split(" ")
    assert refused(script, *arguments)
