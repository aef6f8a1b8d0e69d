"""A real trainer of a tiny real model, on scripted completions."""

import torch
from datasets import Dataset
from peft import LoraConfig
from scripted_engine import ScriptedEngine
from transformers import AutoModelForCausalLM

from rl.data.views import num_views
from rl.training.config import LabelFreeConfig
from rl.training.host import LabelFreeTrainer
from rl.training.prepare import add_prompt_ids
from rl.training.prompt_source import PromptSource


def make_trainer(
    folder,
    tokenizer,
    output_dir,
    completions,
    rewards,
    prompts=("1+1=", "2+2="),
    logp=None,
    selector=None,
    views=1,
    model=None,
    dataset=None,
    images=None,
    **settings,
):
    """Build it; all rows of a batch are one micro-batch unless `settings` say otherwise.

    Args:
        folder: The model.
        tokenizer: Its tokenizer.
        output_dir: Where a run would write.
        completions: Of every prompt.
        rewards: Name -> reward; or prompt -> what the only reward gives its rollouts.
        prompts: Of a batch; not read where `rewards` names them.
        logp: What the engine says of every token.
        selector: A token selector.
        views: Wordings of each problem; the prompts of one stand in turn.
        model: In place of the one in the folder; `dataset` of the prompts, `images` are theirs.
        settings: Of the configuration.
    """
    if not callable(next(iter(rewards.values()))):
        prompts, rewards = tuple(rewards), {"scripted": paying(rewards)}
    geometry = {
        "num_prompts": len(prompts),
        "num_generations": len(completions),
        "per_device_train_batch_size": len(prompts) * len(completions),
    }
    config = LabelFreeConfig(
        output_dir=str(output_dir),
        model=folder,
        gradient_checkpointing=False,
        max_completion_length=16,
        token_selector=None if selector is None else {"here": None},
        **{**geometry, **settings},
    )
    dataset = dataset or rows_of_prompts(prompts, views)
    trainer = LabelFreeTrainer(
        model=model or AutoModelForCausalLM.from_pretrained(folder),
        config=config,
        source=PromptSource(rewards, num_views=num_views(dataset)),
        train_dataset=add_prompt_ids(dataset, tokenizer),
        tokenizer=tokenizer,
        images=images,
        token_selector=selector,
        engine=ScriptedEngine(tokenizer, completions, logp),
        peft_config=LoraConfig(**config.lora) if config.lora is not None else None,
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = trainer.args.gradient_accumulation_steps
    return trainer


def rows_of_prompts(prompts, views):
    """A training set of them."""
    columns = {"prompt": list(prompts), "row": [i // views for i in range(len(prompts))]}
    if views > 1:
        columns["view"] = [i % views for i in range(len(prompts))]
    return Dataset.from_dict(columns)


def paying(scores):
    """A reward that gives the rollouts of each prompt what a table says."""
    return lambda group: scores[group.prompt][: len(group.rollouts)]


def rows_of(trainer):
    """The rows of a generation batch, as the trainer's sampler orders them."""
    return [row for row in trainer.train_dataset for _ in range(trainer.args.num_generations)]


def tensors_of(trainer):
    """A batch as the loss reads it, before it is shuffled and cut up."""
    return trainer.to_tensors(trainer.next_batch(rows_of(trainer)))


def micro_batches(trainer):
    """The micro-batches of a batch; the same rows in the same order for each trainer."""
    torch.manual_seed(0)
    trainer._prepare_inputs(rows_of(trainer))
    return trainer._buffered_inputs


def move_away(trainer):
    """Change the policy, so that ratios, KL and entropies differ from those of the rollouts."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))


def gradient(trainer, *batches):
    """The gradient of one optimizer step over these micro-batches."""
    trainer.model.zero_grad()
    for batch in batches:
        trainer._compute_loss(trainer.model, dict(batch)).backward()
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    return torch.cat([p.grad.flatten() for p in trained])


def logged(trainer):
    """Name -> last value of what would be logged; means since the last call as after an update."""
    values = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    return values | trainer.step_means.finish()
