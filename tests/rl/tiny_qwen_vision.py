"""A tiny vision-language model of random weights: Qwen2.5-VL, whose processor needs torchvision."""

import tiny_vision
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

IMAGE_TOKENS = {
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
}
TEMPLATE = tiny_vision.CHAT_TEMPLATE.replace(
    "<image>", "<|vision_start|><|image_pad|><|vision_end|>"
)


def make_tokenizer():
    """That of `tiny_vision`, with Qwen's tokens for images."""
    return tiny_vision.make_tokenizer(IMAGE_TOKENS.values(), TEMPLATE)


def make_processor():
    """Pictures of at most 56 x 56 pixels: an image token for each 28 x 28."""
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=make_tokenizer(),
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=TEMPLATE,
    )


def make_model(seed=0):
    """Build it with windowed and full layers in its vision tower."""
    tokenizer = make_tokenizer()
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 256,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [4, 6, 6],
        },
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "out_hidden_size": 64,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in IMAGE_TOKENS.items()}
    torch.manual_seed(seed)
    config = Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, tie_word_embeddings=False, **ids
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 1, 0
    return model


def save(folder):
    """Save model and processor to a folder."""
    make_model().save_pretrained(folder)
    make_processor().save_pretrained(folder)
