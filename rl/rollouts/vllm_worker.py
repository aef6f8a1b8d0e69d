"""What the trainer may ask of a vLLM worker beyond sampling; loaded by vLLM, not by the trainer."""

from collections.abc import Iterator
from typing import Any

import torch

from rl.rollouts.fingerprint import weight_fingerprint


class TrainerExtension:
    """Worker extension: finish a reload of weights and report a fingerprint of those now held.

    Start vLLM with `--worker-extension-cls rl.rollouts.vllm_worker.TrainerExtension`; the trainer
    then proves after each sync that the worker computes with the new weights.
    """

    def repack_tied_weights(self) -> None:
        """Rebuild the CPU kernels of matrices that a reload reaches through another layer.

        vLLM 0.31 repacks a layer when its own weights are reloaded. An output head tied to the
        embedding has none, so on the CPU backend it would go on computing with the old ones.
        """
        for module in self.model_runner.get_model().modules():  # type: ignore[attr-defined]
            if hasattr(module, "cpu_linear") and module.weight.numel() > 0:
                module.quant_method.process_weights_after_loading(module)

    def weight_fingerprint(self) -> dict[str, object]:
        """Return the two sums of `fingerprint.weight_fingerprint`, precision, and shards."""
        model = self.model_runner.get_model()  # type: ignore[attr-defined]
        dtype = self.model_config.dtype  # type: ignore[attr-defined]
        sums = weight_fingerprint(held_weights(model, dtype), dtype)
        parallel = self.vllm_config.parallel_config  # type: ignore[attr-defined]
        return {
            "sums": list(sums),
            "dtype": str(dtype).removeprefix("torch."),
            "num_shards": parallel.tensor_parallel_size * parallel.pipeline_parallel_size,
        }


def held_weights(model: Any, dtype: torch.dtype) -> Iterator[torch.Tensor]:
    """Yield every weight the model computes with, each once.

    vLLM's CPU backend packs a linear layer's matrix into a kernel and mostly empties the parameter.
    Such a matrix is read back by running the kernel on the identity, which is exact.

    Raises:
        RuntimeError: If a packed matrix differs from the parameter it was packed from.
    """
    seen = set()
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            if parameter.numel() and id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter
        kernel = getattr(module, "cpu_linear", None)
        if kernel is None:
            continue
        weight = module.weight
        if weight.numel():
            num_inputs = weight.shape[1]
        else:  # a layer that is never split over devices has no share of its own
            is_split = hasattr(module, "input_size_per_partition")
            num_inputs = module.input_size_per_partition if is_split else module.input_size
        packed = kernel(torch.eye(num_inputs, dtype=dtype), weight, None).t()
        if weight.numel() == 0:
            yield packed
        elif not torch.equal(packed, weight):
            raise RuntimeError(
                f"weights held by vLLM: got a packed {type(module).__name__} that differs from its "
                "parameter, expected equality. Its kernel was not rebuilt after the reload."
            )
