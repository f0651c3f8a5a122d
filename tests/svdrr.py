"""A published model for tests: the smallest random parts, in the published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

CLIP_WIDTH, WIDTH, SIZE = 8, 24, 64
"""Of the image embedding, of the transformer; side of the images in pixels."""

INDEX = {
    "_class_name": "SvdrrDiTPipeline",
    "vae": ["diffusers", "AutoencoderKL"],
    "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "transformer": ["svdrr_transformer_2d", "SvdrrTransformer2DModel"],
    "cc_projection": ["pipeline_svdrr_DiT", "CCProjection"],
    "safety_checker": [None, None],
    "feature_extractor": [None, None],
}


def tiny_transformer(**settings: Any) -> Any:
    return PixArtTransformer2DModel(
        **{
            "num_attention_heads": 2, "attention_head_dim": 12, "num_layers": 2, "in_channels": 8,
            "out_channels": 8, "cross_attention_dim": WIDTH, "caption_channels": None,
            "sample_size": SIZE // 8, "interpolation_scale": 0.5,
            "use_additional_conditions": False, **settings,
        }
    )  # fmt: skip


def tiny_model(folder: Path, *, seed: int = 0, **transformer: Any) -> Path:
    """Write a model of 64 px whose every part matters to the result."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        parts = {
            "vae": AutoencoderKL(
                block_out_channels=(8, 8, 8, 16), layers_per_block=1, norm_num_groups=4,
                down_block_types=("DownEncoderBlock2D",) * 4,
                up_block_types=("UpDecoderBlock2D",) * 4, latent_channels=4,
                sample_size=SIZE, scaling_factor=0.13025,
            ),
            "image_encoder": CLIPVisionModelWithProjection(
                CLIPVisionConfig(
                    hidden_size=16, intermediate_size=32, projection_dim=CLIP_WIDTH,
                    num_hidden_layers=2, num_attention_heads=2, image_size=224, patch_size=32,
                )
            ),
            "transformer": tiny_transformer(**transformer),
        }  # fmt: skip
        for part in parts.values():
            for weight in part.parameters():
                if weight.ndim > 1:  # the usual start is so small that conditions would not show
                    weight.data += 0.15 * torch.randn_like(weight)
        # Conditions have to show in every pixel, far above the tolerance of any comparison.
        for block in parts["transformer"].transformer_blocks:
            block.attn2.to_v.weight.data *= 3.0
        projection = {
            "projection.weight": torch.randn(WIDTH, CLIP_WIDTH + 4),
            "projection.bias": torch.randn(WIDTH),
        }
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    DPMSolverMultistepScheduler().save_pretrained(folder / "scheduler")
    change_json(folder / "transformer/config.json", _class_name="SvdrrTransformer2DModel")
    (folder / "cc_projection").mkdir()
    save_file(projection, folder / "cc_projection/diffusion_pytorch_model.safetensors")
    (folder / "cc_projection/config.json").write_text(
        json.dumps(
            {"_class_name": "CCProjection", "in_channel": CLIP_WIDTH + 4, "out_channel": WIDTH}
        )
    )
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
