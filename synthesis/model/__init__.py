"""The view-conditioned diffusion transformer."""

from synthesis.model.config import PRESETS, ModelConfig
from synthesis.model.transformer import SourceContext, ViewTransformer

__all__ = ["PRESETS", "ModelConfig", "SourceContext", "ViewTransformer"]
