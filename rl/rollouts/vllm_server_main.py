"""The program of a vLLM server: vLLM's own, in processes that find all image processors."""

import runpy

from rl.data.pil_processors import show_pil_processors

# At import, because processes that vLLM spawns import this file again and run no further.
show_pil_processors()

if __name__ == "__main__":
    runpy.run_module("vllm.entrypoints.openai.api_server", run_name="__main__")
