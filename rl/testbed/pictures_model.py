"""The picture testbed's base model: a tiny Idefics3, its processor, and pretraining on its teacher.

Idefics3 (arXiv 2408.12637) is what SmolVLM is built of: a SigLIP tower, whose neighbouring patches
are joined into one token, a linear map, and a Llama. Here a picture is 36 patches of 4 x 4 pixels,
and each of its nine cells becomes one token.
"""

import random
from collections.abc import Callable
from typing import cast

import torch
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    Idefics3Processor,
    LlamaConfig,
)
from transformers.models.idefics3.configuration_idefics3 import Idefics3VisionConfig
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from rl.testbed.model import (
    CONTEXT_TOKENS,
    distribution_loss,
    make_tokenizer,
    minimize,
    plain_sampling,
    seeded_single_thread,
    solution_targets,
)
from rl.testbed.parts import Part
from rl.testbed.pictures import (
    DESCRIBE,
    SHAPES,
    SIDE,
    SIZE,
    WORK_PROB,
    Problem,
    Way,
    describe,
    draw_picture,
    write_prompt,
    write_solution,
)

BATCH_SIZE = 16
PATCH = 4
IMAGE_TOKENS = SIDE**2
DESCRIBE_SHARE = 0.4
CORPUS_WAYS: tuple[Way, ...] = ("guess", "rows", "rows", "rows", "columns", "columns", "columns")
# A message's parts in their order, and a plain text as it is.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}{% endfor %}"
)


def make_processor() -> Idefics3Processor:
    """Make the processor: a token for each word of a question, pictures as they are.

    A picture of `SIZE` pixels is neither resized nor split; one of another size is resized to it.

    Example:
        >>> processor = make_processor()
        >>> text = processor.apply_chat_template(
        ...     [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi"}]}]
        ... )
        >>> text
        '<image>Hi'
    """
    questions = [write_prompt(kind, SHAPES[0]) for kind in WORK_PROB] + [DESCRIBE]
    words = {f" {word.rstrip('?')}" for question in questions for word in question.split()[1:]}
    words |= {"How", "What", "By", "rows:", "columns:", *(f" {shape}s" for shape in SHAPES)}
    tokenizer = make_tokenizer(sorted(words))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<global-img>"]})
    tokenizer.chat_template = CHAT_TEMPLATE
    edge = {"longest_edge": SIZE}
    image_processor = Idefics3ImageProcessorPil(
        do_image_splitting=False,
        size=edge,  # type: ignore[arg-type]
        max_image_size=edge,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return Idefics3Processor(
        image_processor, tokenizer, image_seq_len=IMAGE_TOKENS, chat_template=CHAT_TEMPLATE
    )


def make_picture_model(processor: Idefics3Processor) -> Idefics3ForConditionalGeneration:
    """Make an untrained float32 Idefics3 from torch's current RNG state.

    `head_dim` is 32 because vLLM's CPU backend refuses smaller ones.
    """
    tokenizer = processor.tokenizer
    vision = Idefics3VisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIZE,
        patch_size=PATCH,
        initializer_range=0.06,
    )
    language = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=CONTEXT_TOKENS,
        tie_word_embeddings=False,
        initializer_range=0.06,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    config = Idefics3Config(
        vision_config=vision,
        text_config=language,
        image_token_id=processor.image_token_id,
        scale_factor=2,
        tie_word_embeddings=False,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    model = Idefics3ForConditionalGeneration(config)
    model.generation_config = plain_sampling(tokenizer)
    return model


def pretrain_on_pictures(
    draw_problem: Callable[[random.Random], Problem],
    *,
    seed: int,
    num_steps: int,
    describe_share: float = DESCRIBE_SHARE,
    show_progress: bool = True,
) -> tuple[Idefics3ForConditionalGeneration, Idefics3Processor]:
    """Train a fresh model on the teacher's solutions of random questions about pictures.

    As `rl.testbed.model.pretrain`, with pictures. Descriptions of all cells say more about where
    to look than answers do: with them the model can see after a few hundred steps.

    Args:
        draw_problem: Draws a question.
        seed: Fixes the initial weights and the corpus.
        num_steps: Optimizer steps of `BATCH_SIZE` solutions, at least 1.
        describe_share: Share of the questions in whose place a description is asked for.
        show_progress: Whether to show a progress bar with the loss.

    Returns:
        The model in evaluation mode, and its processor.
    """
    processor = make_processor()
    rng = random.Random(f"corpus {seed}")

    def draw_loss() -> torch.Tensor:
        problems = [draw_problem(rng) for _ in range(BATCH_SIZE)]
        return picture_loss(model, processor, problems, rng, describe_share)

    with seeded_single_thread(seed):
        model = make_picture_model(processor)
        minimize(model, draw_loss, num_steps, show_progress=show_progress)
    return model.eval(), processor


def picture_loss(
    model: Idefics3ForConditionalGeneration,
    processor: Idefics3Processor,
    problems: list[Problem],
    rng: random.Random,
    describe_share: float = DESCRIBE_SHARE,
) -> torch.Tensor:
    """Return the loss of one solution, or description, of each problem, drawn from the teacher."""
    images = [[draw_picture(picture) for picture in problem.pictures] for problem in problems]
    pixels = processor.image_processor(images, return_tensors="pt")
    placeholder = processor.replace_image_token({"rows": [[0]], "cols": [[0]]}, 0)
    examples = []
    for problem in problems:
        if rng.random() < describe_share:
            prompt, parts = DESCRIBE, [Part(describe(problem, rng.choice(("rows", "columns"))))]
        else:
            prompt = write_prompt(problem.kind, problem.shape)
            # Ways of working in full number: the first token's loss knows how rare they are.
            parts = write_solution(problem, rng, rng.choice(CORPUS_WAYS))
        prompt = placeholder * len(problem.pictures) + prompt
        examples.append(solution_targets(prompt, parts, processor.tokenizer))
    return distribution_loss(
        cast(torch.nn.Module, model),  # type: ignore[arg-type]
        examples,
        pixel_values=pixels["pixel_values"],
        pixel_attention_mask=pixels["pixel_attention_mask"],
    )
