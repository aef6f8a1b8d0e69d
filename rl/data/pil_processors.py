"""Image processors that work without torchvision, where transformers does not find them itself.

transformers 5.17 takes a file of image processors for one that needs torchvision as soon as the
word `TorchvisionBackend` stands in it, and in four files it stands in a comment alone.
"""

from importlib import import_module

# Values of `model_type` whose processor is hidden so -> the class's name.
_HIDDEN = {
    "idefics2": "Idefics2ImageProcessorPil",
    "idefics3": "Idefics3ImageProcessorPil",
    "smolvlm": "SmolVLMImageProcessorPil",
    "ovis2": "Ovis2ImageProcessorPil",
}


def show_pil_processors() -> None:
    """Let `AutoProcessor` find them, in this process; with torchvision there is nothing to do."""
    from transformers.utils.import_utils import is_torchvision_available

    if is_torchvision_available():
        return
    for model_type, name in _HIDDEN.items():
        package = f"transformers.models.{model_type}"
        found = getattr(import_module(f"{package}.image_processing_pil_{model_type}"), name)
        setattr(import_module(package), name, found)
