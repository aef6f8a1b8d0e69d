import torch

from rl.testbed.model import BATCH_SIZE, pretrain
from rl.testbed.parts import Part


def test_further_kinds_of_examples_are_trained_beside_the_first():
    drawn = []

    def draw(name):
        def draw_example(rng):
            drawn.append(name)
            return name, [Part(name)]

        return draw_example

    model, _ = pretrain(
        draw("a"), seed=0, num_steps=2, others=[(draw("b"), 3)], show_progress=False
    )
    assert (drawn.count("a"), drawn.count("b")) == (2 * BATCH_SIZE, 2 * 3)
    alone, _ = pretrain(draw("a"), seed=0, num_steps=2, show_progress=False)
    weights = [m.get_input_embeddings().weight for m in (model, alone)]
    assert not torch.equal(*weights)
