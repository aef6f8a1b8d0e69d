"""What a model's folder or hub id tells without its weights: tokenizer, processor, settings."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from rl.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from rl.data.image_inputs import ImageInputs

Loaded = TypeVar("Loaded")


def load_tokenizer(model: str, what: str, **source: Any) -> "PreTrainedTokenizerBase":
    """Load a model's tokenizer, set up to pad on the left, if need be with its end token.

    Args:
        model: Folder or hub id.
        what: The setting that names it, for messages.
        source: `revision` and `trust_remote_code` of `from_pretrained`.

    Raises:
        InputError: If the folder or hub id cannot be read.
    """
    from transformers import AutoTokenizer

    tokenizer: Any = _load(
        lambda: AutoTokenizer.from_pretrained(model, padding_side="left", **source), model, what
    )
    if not tokenizer("1", add_special_tokens=False)["input_ids"]:
        # A folder without a tokenizer's files gives one that knows no token.
        raise InputError(
            f"{what}: got {model}, whose tokenizer has no tokens, expected one with a tokenizer. "
            "Put the model's own into its folder (tokenizer.json)."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def takes_images(model_config: Any) -> bool:
    """Whether a model reads images beside text and writes text."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    is_known = model_config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    return is_known and hasattr(model_config, "vision_config")


def load_image_inputs(
    model: str, what: str, tokenizer: "PreTrainedTokenizerBase", **source: Any
) -> "ImageInputs":
    """Load the processor of a vision-language model; it gets the tokenizer.

    Args:
        model: Folder or hub id.
        what: The setting that names it, for messages.
        tokenizer: As `load_tokenizer` returned it.
        source: `revision` and `trust_remote_code` of `from_pretrained`.

    Raises:
        InputError: If it cannot be read, or its images become what the update does not know.
    """
    from transformers import AutoProcessor

    from rl.data.image_inputs import ImageInputs
    from rl.data.pil_processors import show_pil_processors

    show_pil_processors()
    processor: Any = _load(lambda: AutoProcessor.from_pretrained(model, **source), model, what)
    if not hasattr(processor, "image_processor"):
        raise InputError(
            f"{what}: got {model}, a vision-language model without an image processor, expected "
            "one with it. Put the model's own into its folder (preprocessor_config.json)."
        )
    processor.tokenizer = tokenizer
    return ImageInputs(processor)


def load_model_config(model: str, what: str, **source: Any) -> Any:
    """Load a model's configuration; arguments and errors as for `load_tokenizer`."""
    from transformers import AutoConfig

    return _load(lambda: AutoConfig.from_pretrained(model, **source), model, what)


def context_length(model_config: Any) -> int | None:
    """Return the most tokens of a prompt with its completion; None if the model names no limit."""
    return getattr(model_config.get_text_config(), "max_position_embeddings", None)


def _load(load: Callable[[], Loaded], model: str, what: str) -> Loaded:
    if not model or "\0" in model:
        raise InputError(f"{what}: got {model!r}, expected a model folder or a hub id. Name one.")
    try:
        return load()
    # Files of the user's may break whatever the libraries take for granted of them; the tokenizers'
    # library raises bare exceptions.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{what}: got {model}, expected a model folder or a hub id that can be reached "
            f"({reason}). Check the path; without a network, name a folder."
        ) from error
