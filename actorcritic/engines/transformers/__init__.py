"""The `hf:` engine over the transformers library; importing it imports torch."""

from actorcritic.engines.transformers.engine import TransformersEngine, TransformersOptions

__all__ = ["TransformersEngine", "TransformersOptions"]
