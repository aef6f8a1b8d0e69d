"""An engine that samples from the model as it was stored, whole on every rank under any launch."""

from transformers import AutoModelForCausalLM

from rl.rollouts.transformers_engine import TransformersEngine
from rl.whole_weights import whole_weights


class StoredPolicy(TransformersEngine):
    """Samples from the weights that a run begins with, so also before every update on a batch."""

    @classmethod
    def for_run(cls, policy, settings):
        with whole_weights():
            model = AutoModelForCausalLM.from_pretrained(policy.model.config._name_or_path)
        return cls(model.eval(), policy.tokenizer, settings)

    def sync_weights(self):
        pass
