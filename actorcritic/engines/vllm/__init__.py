"""The `vllm:` engine: vLLM in this process's service; importing it imports torch, loading it imports vLLM."""

from actorcritic.engines.vllm.engine import VllmEngine
from actorcritic.engines.vllm.options import VllmOptions, VllmSpec, parse_spec

__all__ = ["VllmEngine", "VllmOptions", "VllmSpec", "parse_spec"]
