"""One interface to sample completions: transformers, vLLM in this process, or a vLLM server."""
