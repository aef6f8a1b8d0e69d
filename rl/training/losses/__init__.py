"""Terms of the loss beside the policy's: one file a term, each with its own weights and count."""
