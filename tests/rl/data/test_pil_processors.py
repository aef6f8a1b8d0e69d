from importlib import import_module

import pytest
from transformers.utils import is_torchvision_available

from rl.data.pil_processors import _HIDDEN, show_pil_processors


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there, nothing is hidden")
def test_every_hidden_processor_is_found_by_its_name():
    show_pil_processors()
    auto = import_module("transformers.models.auto.image_processing_auto")
    found = {name: auto.get_image_processor_class_from_name(name) for name in _HIDDEN.values()}
    assert [name for name, kind in found.items() if getattr(kind, "is_dummy", False)] == []
    assert {kind.__name__ for kind in found.values()} == {*_HIDDEN.values()}
