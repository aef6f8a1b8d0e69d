"""What papers and their code say of their runs, by the beginning of a recipe's name."""

BATCHES = {  # where -> prompts, votes and trained rollouts of each, optimizer steps
    "ttrl/.*_math500": (32, 64, 32, 32),
    "ttrl/": (8, 64, 32, 8),
    "evol_rl/": (8, 64, 32, 8),
    "format_length/": (128, 8, 8, 1),
    "certainty/self_certainty": (128, 7, 7, 1),
    "certainty/semantic_entropy": (112, 5, 5, 1),
    "certainty/token_entropy": (480, 5, 5, 2),
    "scope/": (8, 64, 64, 8),
    "dare/": (8, 64, 32, 8),  # TTRL's
    "div_ttrl/": (16, 64, 32, 16),
    "ettrl/": (8, 60, 32, 8),
    "echo/": (8, 32, 32, 8),
    "reflected_vote/|self_verification/": (8, 64, 32, 8),  # TTRL's
    "tool_verified_vote/|weighted_vote/weighted_vote_(?:own|program)": (
        8,
        64,
        32,
        8,
    ),  # the prompts are TTRL's
    "em_ft/": (512, 4, 4, 1),
    "empo/": (256, 16, 16, 8),
    "rlsc/": (8, 16, 16, 1),  # the number of prompts is ours
    "co_rewarding/co_rewarding_1": (256, 8, 8, 1),  # 128 problems in two wordings
    "co_rewarding/co_rewarding_2": (128, 8, 8, 1),
    "srt/": (16, 32, 32, 1),
    "self_harmony/": (256, 16, 16, 1),
    "ttpo/": (4, 64, 8, 1),
    "select_ttrl/": (16, 32, 16, 16),
    "migu/|weighted_vote/weighted_vote_self": (8, 64, 32, 8),  # TTRL's
    "mixed_rewards/": (32, 64, 32, 32),  # TTRL's on MATH-500
    "spine/": (8, 8, 8, 1),  # the number of prompts is ours
    "mm_upt/": (512, 10, 10, 4),
    "spell/spell_single_gpu": (44, 8, 8, 1),  # 256 + 64 + 32 episodes, ours
    "spell/": (176, 8, 8, 1),  # 1024 + 256 + 128 episodes of the three roles
}
NUMBERS = (  # of the authors' code; SPINE's are those of another one
    *("learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "beta", "temperature"),
    *("loss_type", "epsilon_high", "entropy_coef", "max_completion_length"),
)
PUBLISHED = {
    "ttrl/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 3072),
    "evol_rl/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", 0.28, 0.003, 12288),
    "format_length/": (1e-6, "constant", 0, 0.01, 0.001, 0.6, "dapo", None, 0.001, 3072),
    "certainty/self": (3e-6, "cosine", 0.1, 0.0, 0.005, 1.0, "dapo", None, 0.0, 3072),
    "certainty/semantic": (1e-6, "constant", 0, 0.0, 0.0, 1.0, "dapo", None, 0.0, 2048),
    "certainty/token": (1e-6, "constant", 0, 0.01, 0.001, 1.0, "dapo", None, 0.0, 3072),
    "scope/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 3072),
    "ettrl/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 3072),
    "echo/": (5e-7, "cosine", 0.03, 0.01, 0.001, 0.8, "dapo", None, 0.0, 3072),
    "dare/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 3072),
    "div_ttrl/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", 0.28, 0.003, 4096),
    "reflected_vote/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 8192),
    "tool_verified_vote/": (5e-7, "cosine", 0.03, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 2560),
    "em_ft/": (1e-6, "constant", 0, 0.01, 0.001, 1.0, "dapo", None, 0.0, 2048),
    "empo/": (5e-7, "constant", 0, 0.0, 0.0, 1.0, "grpo", 4e-4, 0.0, 3072),
    "rlsc/": (1e-5, "constant", 0, 0.01, 0.0, 0.5, "dapo", None, 0.0, 3072),
    "co_rewarding/co_rewarding_1": (3e-6, "cosine", 0.1, 0.01, 0.005, 1.0, "bnpo", None, 0.0, 3072),
    "co_rewarding/co_rewarding_2": (3e-6, "cosine", 0.1, 0.01, 0.001, 1.0, "bnpo", None, 0.0, 3072),
    "srt/srt_qwen": (1e-6, "constant", 0, 0.01, 0.0, 1.0, "bnpo", None, 0.001, 3072),
    "srt/": (1e-6, "constant", 0, 0.01, 0.0, 1.0, "bnpo", None, 0.0, 3072),
    "self_harmony/": (3e-6, "cosine", 0.1, 0.01, 0.005, 1.0, "bnpo", None, 0.0, 3072),
    "ttpo/": (5e-6, "constant", 0, 0.0, 0.0, 1.1, "dapo", None, 0.0, 16000),
    "select_ttrl/": (5e-7, "cosine", 0, 0.01, 0.0, 0.6, "bnpo", None, 0.0, 4096),
    "spine/": (1e-6, "constant", 0, 0.0, 0.01, 0.7, "dapo", None, 0.0, 2048),
    "mm_upt/": (1e-6, "constant", 0, 0.01, 0.01, 0.7, "bnpo", None, 0.0, 2048),
    "spell/.*thinking": (2e-6, "constant", 0, 0.01, 0.0, 0.7, "dapo", None, 0.0, 20480),
    "spell/": (2e-6, "constant", 0, 0.01, 0.0, 0.7, "dapo", None, 0.0, 4096),
}
IN_ALL = {  # of every method; most of it stands in no recipe
    "epsilon": 0.2,
    "max_grad_norm": 1.0,
    "adam_beta1": 0.9,
    "adam_beta2": 0.999,
    "top_k": 0,
    "num_iterations": 1,
    "advantage": "normalized",
    "trained_subset": "first",
    "mask_truncated_completions": False,
    "vllm_importance_sampling_correction": False,
}
OF_SOME = {  # what some methods have in place of it
    "div_ttrl/": {"advantage": "diversity_density"},
    "srt/": {"advantage": "leave_one_out"},
    "ttpo/": {"advantage": "disagreement", "max_grad_norm": 0.1, "top_p": 0.95, "top_k": 20},
    "empo/": {"epsilon": 3e-4, "importance_sampling_level": "sequence"},
    "ettrl/": {"advantage": "entropy_reshaped", "trained_subset": "random"},
    "mm_upt/": {"importance_sampling_level": "token", "top_p": 0.99},
    "": {"importance_sampling_level": "token"},
}
