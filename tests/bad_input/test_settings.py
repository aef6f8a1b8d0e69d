"""Values of settings that no run can have: one line, exit status 2, before a model is loaded."""

import math

import pytest

INF, NAN, HUGE = math.inf, math.nan, 10**12
# Settings of a recipe that is right otherwise, and a part of the message.
NUMBERS = [
    *[({"learning_rate": value}, "learning_rate") for value in (NAN, -1, INF, "fast", True)],
    *[({"seed": value}, "seed") for value in (-1, 2**70, 1.5)],
    *[({"max_steps": value}, "max_steps") for value in (-5, 0, 2**70)],
    *[({"num_train_epochs": value}, "num_train_epochs") for value in (-1, NAN, INF)],
    *[({"temperature": value}, "temperature") for value in (INF, NAN, 0, -1)],
    *[({"top_p": value}, "top_p") for value in (0, 5, NAN, -1)],
    *[({"top_k": value}, "top_k") for value in (-7, 1.5)],
    *[({"min_p": value}, "min_p") for value in (2, -1, NAN)],
    *[({"repetition_penalty": value}, "repetition_penalty") for value in (0, -1, NAN, INF)],
    *[({"epsilon": value}, "epsilon") for value in (-1, NAN, INF)],
    *[({"epsilon_high": value}, "epsilon_high") for value in (-1, NAN)],
    *[({"delta": value}, "delta") for value in (-1, NAN)],
    *[({"beta": value}, "beta") for value in (-1, NAN, INF)],
    *[({"max_staleness": value}, "max_staleness") for value in (2, -1, 0.5)],
    ({"shared_prompts": "often"}, "shared_prompts"),
    *[({"num_iterations": value}, "num_iterations") for value in (0, -1)],
    *[({"entropy_coef": value}, "entropy_coef") for value in (NAN, INF)],
    *[({"top_entropy_quantile": value}, "top_entropy_quantile") for value in (5, -1, NAN)],
    ({"ref_model_mixup_alpha": 5}, "ref_model_mixup_alpha"),
    ({"ref_model_sync_steps": 0}, "ref_model_sync_steps"),
    ({"sapo_temperature_neg": 0}, "sapo_temperature_neg"),
    ({"sapo_temperature_pos": NAN}, "sapo_temperature_pos"),
    *[({"weight_decay": value}, "weight_decay") for value in (-1, NAN)],
    ({"adam_beta1": 1.5}, "adam_beta1"),
    ({"adam_beta2": -1}, "adam_beta2"),
    ({"adam_epsilon": -1}, "adam_epsilon"),
    *[({"max_grad_norm": value}, "max_grad_norm") for value in (-1, NAN)],
    *[({"warmup_steps": value}, "warmup_steps") for value in (-1, NAN)],
    *[({"logging_steps": value}, "logging_steps") for value in (0, -1, NAN)],
    *[({"save_steps": value}, "save_steps") for value in (0, -1, NAN)],
    ({"save_total_limit": -1}, "save_total_limit"),
    ({"dataloader_num_workers": -1}, "dataloader_num_workers"),
    ({"max_sampling_logp_gap": NAN}, "max_sampling_logp_gap"),
    ({"max_sampling_logp_gap": -1}, "max_sampling_logp_gap"),
    ({"eval_every": -1}, "eval_every"),
    ({"vllm_gpu_memory_utilization": 5}, "vllm_gpu_memory_utilization"),
    ({"vllm_server_port": 99_999_999}, "vllm_server_port"),
    ({"vllm_server_timeout": -1}, "vllm_server_timeout"),
    ({"vllm_tensor_parallel_size": 0}, "vllm_tensor_parallel_size"),
    ({"vllm_max_model_length": -1}, "vllm_max_model_length"),
    ({"vllm_importance_sampling_cap": -1}, "vllm_importance_sampling_cap"),
]
SIZES = [
    *[({"num_generations": value}, "num_generations") for value in (HUGE, 10**30, 0, -4)],
    *[({"num_votes": value}, "num_votes") for value in (HUGE, -1)],
    ({"num_votes": {"min": HUGE, "max": HUGE}}, "num_votes"),
    ({"num_votes": {"min": 16, "max": 4}}, "num_votes"),
    ({"num_votes": {"min": 4, "max": 8, "confidence": NAN}}, "num_votes"),
    ({"num_votes": {"min": 4, "max": 8, "chunk": 0}}, "num_votes"),
    *[({"num_prompts": value}, "num_prompts") for value in (HUGE, -1)],
    *[({"num_updates": value}, "num_updates") for value in (HUGE, 0)],
    *[({"max_completion_length": value}, "max_completion_length") for value in (HUGE, 0, 120.5)],
    ({"per_device_train_batch_size": HUGE}, "per_device_train_batch_size"),
    ({"max_prompt_length": HUGE}, "max_prompt_length"),
    ({"eval_num_samples": 0}, "eval_num_samples"),
    ({"eval_num_samples": HUGE}, "eval_num_samples"),
]
NAMES = [
    ({"lora": {"rank": 8}}, "lora: got 'rank'"),
    ({"lora": {"r": 0}}, "lora.r"),
    ({"lora": {"r": -4}}, "lora.r"),
    ({"lora": {"r": HUGE}}, "lora.r"),
    ({"lora": {"r": "wide"}}, "lora.r"),
    ({"lora": {"lora_dropout": 2}}, "lora.lora_dropout"),
    ({"lora": {"lora_alpha": NAN}}, "lora.lora_alpha"),
    ({"lora": {"bias": "some"}}, "lora.bias"),
    ({"lora": {"target_modules": ["nope"]}}, "lora"),
    ({"lora": {"target_modules": 5}}, "lora.target_modules"),
    ({"lora": {"task_type": "nope"}}, "lora.task_type"),
    ({"lora": 16}, "lora"),
    ({"model_init_kwargs": {"nope": 1}}, "model_init_kwargs"),
    ({"model_init_kwargs": {"dtype": "float99"}}, "model_init_kwargs.dtype"),
    ({"model_init_kwargs": {"attn_implementation": "nope"}}, "model_init_kwargs.attn_impl"),
    ({"model_init_kwargs": {"device_map": "moon"}}, "model_init_kwargs"),
    ({"model_init_kwargs": {"revision": 5}}, "model_init_kwargs.revision"),
    ({"model_init_kwargs": "float16"}, "model_init_kwargs"),
    ({"report_to": "nope"}, "report_to"),
    ({"report_to": ["wandb"]}, "report_to"),
    ({"report_to": [5]}, "report_to"),
    ({"lr_scheduler_type": "nope"}, "lr_scheduler_type"),
    ({"lr_scheduler_kwargs": {"nope": 1}}, "lr_scheduler_kwargs"),
    ({"optim": "nope"}, "optim"),
    ({"optim": "adamw_bnb_8bit"}, "optim"),
    ({"deepspeed": "no_such.json"}, "deepspeed"),
    ({"deepspeed": "{world}/binary.jsonl"}, "deepspeed"),
    ({"deepspeed": "{world}/empty.jsonl"}, "deepspeed"),
    ({"fsdp": "nope"}, "fsdp"),
    ({"accelerator_config": {"nope": 1}}, "accelerator_config"),
    ({"advantage": {}}, "advantage"),
    ({"advantage": {"pass_at_k": {"k": 0}}}, "advantage.pass_at_k.k"),
    ({"advantage": {"pass_at_k": {"k": HUGE}}}, "advantage.pass_at_k.k"),
    ({"advantage": {"normalized": {}, "centered": {}}}, "advantage"),
    ({"advantage": 5}, "advantage"),
    ({"token_selector": {"nope": {}}}, "token_selector"),
    *[({"views": value}, "views") for value in ({}, {"nope": {}}, {"column": {"name": "nope"}}, 5)],
    ({"views": {"template": {"texts": ["no place"]}}}, "views.template.texts"),
    ({"views": {"column": {"name": "prompt"}}}, "views"),
    ({"views": {"option_shuffle": {}}}, "views.option_shuffle"),
    ({"rewards": {"harmonic_vote": {}}}, "views"),
    ({"token_selector": {"random_share": {"share": NAN}}}, "token_selector"),
    ({"token_selector": {}}, "token_selector"),
    ({"answer_methods": []}, "answer_methods"),
    ({"answer_methods": ["boxd"]}, "answer_methods"),
    ({"answer_methods": "boxed"}, "answer_methods"),
    ({"answer_methods": [5]}, "answer_methods"),
    ({"answer_comparer": "nope"}, "answer_comparer"),
    ({"answer_choices": ""}, "answer_choices"),
    ({"keep_best": "nope"}, "keep_best"),
    ({"engine": "nope"}, "engine"),
    ({"bf16": True, "fp16": True}, "fp16"),
    ({"loss_type": "nope"}, "loss_type"),
    ({"selfplay": {}}, "selfplay"),
    ({"selfplay": {"game": 5}, "dataset": ""}, "selfplay.game"),
    ({"selfplay": {"game": "chess"}, "dataset": ""}, "selfplay.game"),
    ({"selfplay": {"game": "spell"}, "dataset": ""}, "selfplay.documents"),
    ({"selfplay": {"game": "spell", "documents": "nowhere"}, "dataset": ""}, "nowhere"),
    (
        {"selfplay": {"game": "spell", "documents": "{world}", "tasks": ["x"]}, "dataset": ""},
        "task",
    ),
    ({"selfplay": {"game": "r_zero", "num_questions": -1}, "dataset": ""}, "selfplay"),
    ({"system_prompt": 5}, "system_prompt"),
    ({"prompt_column": ""}, "prompt_column"),
    ({"label_column": "prompt"}, "label_column"),
]
REWARDS = [
    ({"rewards": {}}, "rewards"),
    ({"rewards": None}, "rewards"),
    ({"rewards": {"": {}}}, "reward"),
    ({"rewards": {5: {}}}, "rewards"),
    ({"rewards": {"majority_vote": 5}}, "rewards"),
    *[
        ({"rewards": {"majority_vote": {"weight": value}}}, "rewards.majority_vote.weight")
        for value in (NAN, INF, "heavy", [1])
    ],
    ({"rewards": {"majority_vote": {"tie": 5}}}, "rewards.majority_vote.tie"),
    ({"rewards": {"majority_vote": {5: 5}}}, "rewards.majority_vote"),
    ({"rewards": {"a:b:c": {}}}, "reward"),
    ({"rewards": {":": {}}}, "reward"),
    ({"rewards": {"no/such/file.py:f": {}}}, "reward"),
    ({"rewards": {"no.such.module:f": {}}}, "reward"),
]
CASES = NUMBERS + SIZES + NAMES + REWARDS


def name(case):
    changes = case[0]
    return "-".join(f"{key}={value}" for key, value in changes.items())[:60]


@pytest.mark.parametrize("case", CASES, ids=map(name, CASES))
def test_setting(refused_recipe, case):
    changes, message = case
    assert message in refused_recipe(changes, "--dry_run")
