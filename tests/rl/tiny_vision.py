"""A tiny vision-language model of random weights: Idefics3, the architecture of SmolVLM."""

import json

import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    PreTrainedTokenizerFast,
)
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from rl.data.images import read_image

CHARACTERS = "0123456789+-=;\\boxed{}?"
IMAGE_TOKENS = (
    *("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
# Contents that are parts, as all vision-language models have them.
CHAT_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endfor %}"
)


def make_tokenizer(image_tokens=IMAGE_TOKENS, chat_template=CHAT_TEMPLATE):
    """One token per character of chain arithmetic, and those that stand for images."""
    tokens = ["<pad>", "<eos>", "\n", *dict.fromkeys(CHARACTERS), *image_tokens]
    vocabulary = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(""), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        additional_special_tokens=list(image_tokens),
        chat_template=chat_template,
    )


def make_processor(splits=False):
    """Pictures of 16 x 16 pixels: 4 image tokens each, and 4 for each tile where they are split."""
    image_processor = Idefics3ImageProcessorPil(
        size={"longest_edge": 32 if splits else 16},
        max_image_size={"longest_edge": 16},
        do_image_splitting=splits,
    )
    return Idefics3Processor(
        image_processor, make_tokenizer(), image_seq_len=4, chat_template=CHAT_TEMPLATE
    )


def make_model(seed=0):
    """Build it; a head of 32 numbers is the least that vLLM's CPU backend takes."""
    tokenizer = make_tokenizer()
    text = {
        "model_type": "llama",
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 32,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": None,
        "tie_word_embeddings": False,
    }
    vision = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "image_size": 16,
        "patch_size": 4,
    }
    torch.manual_seed(seed)
    config = Idefics3Config(
        text_config=text,
        vision_config=vision,
        scale_factor=2,
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=0,
        tie_word_embeddings=False,
    )
    model = Idefics3ForConditionalGeneration(config).eval()
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 1, 0
    return model


def picture(number, size=(20, 12)):
    """A picture of noise, another for each number."""
    generator = torch.Generator().manual_seed(number)
    pixels = torch.randint(0, 256, (size[1], size[0], 3), generator=generator)
    return Image.fromarray(pixels.to(torch.uint8).numpy())


def read_prompts(inputs):
    """Prompts with one, no and two pictures: their tokens, and their images."""
    images = [[read_image(picture(n), "test") for n in own] for own in ([0], [], [1, 2])]
    texts = ["1+1=<image>", "3=", "<image>4<image>="]
    return [inputs.prompt_ids(text, own) for text, own in zip(texts, images, strict=True)], images


@torch.no_grad()
def trainer_logps(model, inputs, prompt_ids, images, completion_ids, never_sampled):
    """The model's log-probability of each token of a completion, under those ever sampled."""
    tokens = torch.tensor([prompt_ids + completion_ids])
    logits = model(tokens, **inputs.pixels(images)).logits[0, len(prompt_ids) - 1 : -1]
    logits[:, never_sampled] = -torch.inf
    return logits.log_softmax(-1).gather(1, tokens[0, len(prompt_ids) :, None])[:, 0]


def largest_gap(model, engine, prompts, images, samples):
    """Largest difference of a token's log-probability between an engine and the model, in nats."""
    gaps = [
        trainer_logps(
            model, engine.image_inputs, ids, own, one.completion_ids, engine.never_sampled
        )
        - torch.tensor(one.sampling_per_token_logps)
        for ids, own, group in zip(prompts, images, samples, strict=True)
        for one in group
    ]
    return torch.cat(gaps).abs().max().item()


def write_dataset(folder, rows):
    """Write a data set of (text, numbers of pictures) with its pictures; return its path."""
    lines = []
    for text, numbers in rows:
        for number in numbers:
            picture(number).save(folder / f"{number}.png")
        lines.append({"prompt": text, "images": [f"{number}.png" for number in numbers]})
    path = folder / "pictures.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def save(folder, seed=0, splits=False):
    """Save model and processor to a folder."""
    make_model(seed).save_pretrained(folder)
    make_processor(splits).save_pretrained(folder)
