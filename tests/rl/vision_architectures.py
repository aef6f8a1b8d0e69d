"""Tiny models of many vision-language architectures, pictures as each is given them, and rows."""

from types import SimpleNamespace

import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from rl.data.chat_parts import NO_IMAGES
from rl.data.image_inputs import join_pixels
from rl.trl_internals import add_fused_lm_head

IMAGE = 31
TEXT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
}
SIGLIP = {**CLIP, "model_type": "siglip_vision_model"}
TILES = {"image_grid_pinpoints": [[8, 8], [8, 16], [16, 8]], "image_token_index": IMAGE}
ROTARY = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
QWEN_TEXT = {**TEXT, "rope_parameters": ROTARY}
QWEN_VISION = {"depth": 1, "num_heads": 2, "in_channels": 3, "patch_size": 4}
QWEN = {"image_token_id": IMAGE, "video_token_id": 30, "vision_start_token_id": 29}
SETTINGS = {
    "idefics3": {
        "text_config": {"model_type": "llama", **TEXT},
        "vision_config": {**CLIP, "model_type": "idefics3_vision", "image_size": 16},
        "scale_factor": 2,
        "image_token_id": IMAGE,
    },
    "llava": {
        "text_config": {"model_type": "llama", **TEXT},
        "vision_config": CLIP,
        "image_token_index": IMAGE,
    },
    "llava_next": {
        "text_config": {"model_type": "mistral", **TEXT},
        "vision_config": CLIP,
        **TILES,
    },
    "llava_onevision": {
        "text_config": {"model_type": "qwen2", **TEXT},
        "vision_config": SIGLIP,
        "vision_feature_layer": -1,
        **TILES,
    },
    "internvl": {
        "text_config": {"model_type": "qwen3", **TEXT},
        "vision_config": {
            **CLIP,
            "model_type": "internvl_vision",
            "image_size": [16, 16],
            "patch_size": [4, 4],
        },
        "image_token_id": IMAGE,
    },
    "mistral3": {
        "text_config": {"model_type": "mistral", **TEXT},
        "vision_config": {**CLIP, "model_type": "pixtral", "image_size": 16, "head_dim": 8},
        "image_token_index": IMAGE,
        "vision_feature_layer": -1,
    },
    "qwen2_vl": {
        "text_config": QWEN_TEXT,
        "vision_config": {**QWEN_VISION, "embed_dim": 16, "hidden_size": 16},
        **QWEN,
    },
    "qwen2_5_vl": {
        "text_config": QWEN_TEXT,
        "vision_config": {
            **QWEN_VISION,
            **{"hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 16},
            **{"window_size": 16, "fullatt_block_indexes": [0]},
        },
        **QWEN,
    },
    "qwen3_vl": {
        "text_config": QWEN_TEXT,
        "vision_config": {
            **QWEN_VISION,
            **{"hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 16},
            **{"num_position_embeddings": 16, "deepstack_visual_indexes": [0]},
        },
        **QWEN,
    },
}
SETTINGS["qwen3_vl_moe"] = {
    **SETTINGS["qwen3_vl"],
    "text_config": {
        **QWEN_TEXT,
        **{"num_experts": 3, "num_experts_per_tok": 2, "moe_intermediate_size": 8},
    },
}
SETTINGS["glm4v"] = {
    "text_config": {**QWEN_TEXT, "rope_parameters": {**ROTARY, "partial_rotary_factor": 1.0}},
    "vision_config": {
        **QWEN_VISION,
        **{"hidden_size": 16, "intermediate_size": 16, "out_hidden_size": 16, "image_size": 16},
    },
    **QWEN,
    **{"image_start_token_id": 29, "image_end_token_id": 28},
    **{"video_start_token_id": 27, "video_end_token_id": 26},
}
SETTINGS["smolvlm"] = {
    **SETTINGS["idefics3"],
    "vision_config": {**SETTINGS["idefics3"]["vision_config"], "model_type": "smolvlm_vision"},
}


def build(architecture):
    config = AutoConfig.for_model(architecture, **SETTINGS[architecture])
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config, attn_implementation="sdpa")
    with torch.no_grad():  # so that positions and pictures matter
        for parameter in model.get_decoder().parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
        for parameter in model.parameters():
            parameter.nan_to_num_(nan=0.1)
    add_fused_lm_head(model, temperature=0.7, outputs=("log_probs", "entropy"))
    return model.eval()


class Pictures:
    """Pictures of noise as each architecture is given them: those of number 0 are two, of 2 wide.

    The tokens of 1 are those of 0, and those of 3 are those of 2.
    """

    def __init__(self, architecture):
        self.architecture = architecture
        self.inputs = SimpleNamespace(image_token_ids=[IMAGE])

    def pixels_of(self, rows):
        return join_pixels([self.of_row(row) for row in rows])

    def of_row(self, row):
        if row == NO_IMAGES:
            return {}
        noise = torch.Generator().manual_seed(row)
        sizes = [(16, 16)] if row >= 2 else [(16, 16), (16, 8)]
        sizes = [(8, 16)] if row == 2 else sizes
        return getattr(self, self.architecture.partition("_")[0])(sizes, noise)

    def idefics3(self, sizes, noise):
        values = torch.zeros(1, len(sizes), 3, 16, 16)
        mask = torch.zeros(1, len(sizes), 16, 16).long()
        for number, (height, width) in enumerate(sizes):
            values[0, number, :, :height, :width] = torch.randn(3, height, width, generator=noise)
            mask[0, number, :height, :width] = 1
        return {"pixel_values": values, "pixel_attention_mask": mask}

    smolvlm = idefics3

    def internvl(self, sizes, noise):
        return {"pixel_values": torch.randn(len(sizes), 3, 16, 16, generator=noise)}

    def mistral3(self, sizes, noise):
        values = torch.zeros(len(sizes), 3, 16, 16)
        for number, (height, width) in enumerate(sizes):
            values[number, :, :height, :width] = torch.randn(3, height, width, generator=noise)
        return {"pixel_values": values, "image_sizes": torch.tensor(sizes)}

    def llava(self, sizes, noise):
        if self.architecture == "llava":
            return {"pixel_values": torch.randn(len(sizes), 3, 8, 8, generator=noise)}
        sizes = [(min(height, 8) if height == width else height, width) for height, width in sizes]
        values = torch.randn(len(sizes), 3, 3, 8, 8, generator=noise)
        return {"pixel_values": values, "image_sizes": torch.tensor(sizes)}

    def qwen2(self, sizes, noise):
        grid = torch.tensor([(1, height // 4, width // 4) for height, width in sizes])
        values = torch.randn(int(grid.prod(-1).sum()), 3 * 2 * 4 * 4, generator=noise)
        return {"pixel_values": values, "image_grid_thw": grid}

    qwen3 = glm4v = qwen2


def image_tokens(model, pixels):
    """The tokens of pictures, as many for each as the tower makes of it, and one behind each."""
    with torch.no_grad():
        found = model.model.get_image_features(**pixels).pooler_output if pixels else []
    return [token for picture in found for token in [*[IMAGE] * len(picture), 7]]


def make_rows(model, pictures, groups):
    """Rows of groups: (pictures, text before, text behind, lengths of completions); mixed up."""
    noise = torch.Generator().manual_seed(0)
    rows = []
    for number, before, behind, lengths in groups:
        images = image_tokens(model, pictures.of_row(number))
        for length in lengths:
            completion = torch.randint(3, 28, (length,), generator=noise).tolist()
            rows.append((number, [*before, *images, *behind], completion))
    rows = rows[::2] + rows[1::2]
    longest = [max(len(row[i]) for row in rows) for i in (1, 2)]
    ids = torch.zeros(len(rows), sum(longest)).long()
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, (_, prompt, completion) in enumerate(rows):
        tokens = torch.tensor([*prompt, *completion])
        place = slice(longest[0] - len(prompt), longest[0] + len(completion))
        ids[row, place], mask[row, place] = tokens, 1
        labels[row, longest[0] : longest[0] + len(completion)] = torch.tensor(completion)
    given = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    if hasattr(model.model, "get_rope_index"):
        given["mm_token_type_ids"] = (ids == IMAGE).long()
    return given, torch.tensor([row[0] for row in rows])
