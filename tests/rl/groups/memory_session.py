"""Measure what a step with a large vocabulary adds to this process's memory, in bytes.

Usage: python memory_session.py ROWS LENGTH VOCABULARY; the last line it prints is JSON.
"""

import json
import resource
import sys


def main(num_rows, length, vocabulary):
    import torch
    from accelerate import Accelerator
    from transformers import Qwen3Config, Qwen3ForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from rl.groups.token_statistics import add_token_statistics, measure_tokens

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=1,
            num_key_value_heads=1,
            head_dim=32,
            intermediate_size=64,
            tie_word_embeddings=False,
        )
    )
    # As the trainer does: TRL's output head in tiles for the loss, ours for statistics.
    add_fused_lm_head(model, outputs=("log_probs", "entropy"))
    add_token_statistics(model, temperature=1.0)
    ids = torch.randint(vocabulary, (num_rows, length))
    mask = torch.ones_like(ids)
    accelerator = Accelerator(cpu=True)
    rows = [([row[0]], row[1:]) for row in ids.tolist()]
    measure_tokens(model, accelerator, [([1], [2, 3])], 0, 1)  # what a first call costs once

    peaks = {}
    before = peak()
    measure_tokens(model, accelerator, rows, 0, num_rows)
    peaks["token statistics"] = peak() - before
    gradients = 2 * vocabulary * 32 * 4  # of embedding and output head: the model's, not the loss's
    output = model(input_ids=ids, attention_mask=mask, labels=ids, fused_lm_head=True)
    (output.log_probs.sum() + output.entropy.sum()).backward()
    peaks["loss"] = peak() - before - gradients
    print(json.dumps(peaks))


def peak():
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * 1024


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
