"""How much each role counts in the loss of a round."""

from collections.abc import Mapping

from rl.errors import unknown_name


def role_scales(
    num_tokens_by_role: Mapping[str, int], weights: Mapping[str, float], how: str = "pooled"
) -> dict[str, float]:
    """Return what advantages of each role are multiplied with.

    The loss is sum_t A_t ratio_t / N over all N trained tokens of a step. With s_role from here,

        pooled     s_role = w_role, so that the loss is a mean over the tokens of all roles: what
                   the authors' runs used. Roles with more and longer texts count more
        per_role   s_role = w_role N / N_role, so that the loss is
                   sum_role w_role mean over the role's own tokens (eq. 10 of the paper, read
                   literally). A token of a role with few tokens weighs as much more: of 1024
                   answers of 500 tokens and 128 judgments of 200, twenty times an answer's

    Source: SPELL, arXiv 2509.23863, eq. 10. Reference code: Tongyi-Zhiwen/Qwen-Doc, folder SPELL:
        its scripts set loss_agg_mode=token-mean and train all roles in one batch without a weight.
    Differs: the code's mean is over the tokens of a micro-batch (of up to 32,000 tokens, prompts
        included, roles mixed), and a micro-batch weighs as its share of the rows; here it is over
        all tokens of the step, however they are cut into micro-batches.

    A role without trained tokens contributes nothing, and the others keep their weights.

    Args:
        num_tokens_by_role: Trained tokens of each role in this step, at least 0.
        weights: Role -> weight, at least 0; a role that is not named has weight 1.
        how: "pooled" or "per_role".

    Returns:
        Role -> factor, for every role of `num_tokens_by_role`; 0.0 for a role without tokens.

    Raises:
        InputError: If a role of `weights` is unknown.

    Example:
        >>> role_scales({"questioner": 100, "responder": 300}, {"questioner": 0.5})
        {'questioner': 0.5, 'responder': 1.0}
        >>> role_scales({"questioner": 100, "responder": 300}, {"questioner": 0.5}, "per_role")
        {'questioner': 2.0, 'responder': 1.3333333333333333}
    """
    for role in weights:
        if role not in num_tokens_by_role:
            raise unknown_name("selfplay.role_weights", role, list(num_tokens_by_role))
    total = sum(num_tokens_by_role.values())
    scales = {}
    for role, num_tokens in num_tokens_by_role.items():
        weight = float(weights.get(role, 1.0))
        if num_tokens == 0:
            scales[role] = 0.0
        else:
            scales[role] = weight * total / num_tokens if how == "per_role" else weight
    return scales
