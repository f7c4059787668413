"""The `vllm:` engine: vLLM in processes of this program, see `engine.VllmEngine`.

Nothing is imported here, so that a spec can be read, and its lack of vLLM told, where there is no torch either.
"""

__all__: list[str] = []
