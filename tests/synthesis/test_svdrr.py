"""The published weights: the same pixels as the published loop, and what can be wrong in a folder.

The reference below is that loop written out plainly: one view at a time, nothing kept from one view
or step to the next, attention as attention. It reads the parts by their own libraries' loaders.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, PixArtTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionModelWithProjection

from synthesis.engine import SynthesisEngine, fitted
from synthesis.engine import load as load_engine
from synthesis.errors import CheckpointError, RadiographError, ViewError
from synthesis.families import svdrr
from synthesis.families.svdrr.drawing import faced, latent_noise
from synthesis.geometry import project
from synthesis.types import (
    IntensityScale,
    Radiograph,
    SeenFrom,
    SynthesisRequest,
    View,
    ViewSet,
)
from tests.svdrr import SIZE, change_json, tiny_model

TOLERANCE = 1e-4
VIEWS = ViewSet(
    name="some",
    views=(
        View(primary_deg=30.0),
        View(primary_deg=-75.0, secondary_deg=20.0),
        View(primary_deg=90.0, secondary_deg=-35.0),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("svdrr") / "tiny")


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> svdrr.SvdrrPipeline:
    return svdrr.load(folder, "cpu")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def chest(height: int = SIZE, width: int = SIZE) -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.sin(rows / 9.0) * torch.cos(columns / 7.0 + rows / 30.0)
    return 2 * (image - image.min()) / (image.max() - image.min()) - 1


def draw_noise(count: int = len(VIEWS), height: int = SIZE, width: int = SIZE) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, 4, height // 8, width // 8, generator=generator)


@torch.no_grad()
def reference(
    folder: Path,
    source: torch.Tensor,
    view: View,
    noise: torch.Tensor,
    *,
    steps: int,
    guidance: float,
    sign: float = 1.0,
) -> torch.Tensor:
    """One view (h, w) by the published loop; ``sign`` -1 turns the pose the wrong way."""
    vae = AutoencoderKL.from_pretrained(folder / "vae")
    clip = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder").eval()
    transformer = PixArtTransformer2DModel.from_pretrained(folder / "transformer")
    linear = load_file(folder / "cc_projection/diffusion_pytorch_model.safetensors")
    scheduler = DPMSolverMultistepScheduler.from_pretrained(folder / "scheduler")
    scheduler.set_timesteps(steps)
    height, width = source.shape
    rgb = torch.stack([source] * 3)[None]
    latents = noise[None]
    for time in scheduler.timesteps:
        looked = F.interpolate(rgb, (224, 224), mode="bicubic", align_corners=True)
        looked = (looked + 1) / 2
        looked = looked - torch.tensor([0.48145466, 0.4578275, 0.40821073]).reshape(1, 3, 1, 1)
        looked = looked / torch.tensor([0.26862954, 0.26130258, 0.27577711]).reshape(1, 3, 1, 1)
        d_theta = sign * (0.0 - math.radians(view.secondary_deg))
        d_phi = sign * (0.0 - math.radians(view.primary_deg))
        pose = torch.tensor([[d_theta, math.sin(d_phi), math.cos(d_phi), 0.0]])
        condition = torch.cat([clip(looked).image_embeds, pose], dim=-1)
        token = condition @ linear["projection.weight"].T + linear["projection.bias"]
        source_latent = vae.encode(rgb).latent_dist.mode()

        def predict(token: Any, source_latent: Any, time: Any = time, noisy: Any = latents) -> Any:
            return transformer(
                torch.cat([noisy, source_latent], dim=1),
                encoder_hidden_states=token[:, None],
                timestep=time[None],
                added_cond_kwargs={
                    "resolution": torch.tensor([[float(height), float(width)]]),
                    "aspect_ratio": torch.tensor([[height / width]]),
                },
            ).sample[:, :4]

        epsilon = predict(token, source_latent)
        if guidance > 1:
            free = predict(torch.zeros_like(token), torch.zeros_like(source_latent))
            epsilon = free + guidance * (epsilon - free)
        latents = scheduler.step(epsilon, time, latents).prev_sample
    image = vae.decode(latents / vae.config.scaling_factor).sample[0]
    grey: torch.Tensor = (image / 2 + 0.5).clamp(0, 1).mean(dim=0)
    return grey


def references(folder: Path, *, size: tuple[int, int] = (SIZE, SIZE), **how: Any) -> torch.Tensor:
    noise = draw_noise(len(VIEWS), *size)
    return torch.stack(
        [reference(folder, chest(*size), v, n, **how) for v, n in zip(VIEWS, noise, strict=True)]
    )


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max())


@pytest.mark.parametrize("guidance", [3.0, 1.0])
def test_the_same_noise_gives_the_pixels_of_the_published_loop(
    folder: Path, pipeline: svdrr.SvdrrPipeline, guidance: float
) -> None:
    made = pipeline.sample(chest(), VIEWS, noise=draw_noise(), steps=6, guidance=guidance)
    wanted = references(folder, steps=6, guidance=guidance)
    assert made.shape == (len(VIEWS), SIZE, SIZE)
    assert made.dtype == torch.float32
    assert apart(made, wanted) <= TOLERANCE
    # The comparison sees what it is about: views differ, and are neither black nor white.
    assert min(apart(wanted[i], wanted[j]) for i in range(3) for j in range(i)) > 50 * TOLERANCE
    assert float(((wanted > 0) & (wanted < 1)).float().mean()) > 0.5


def test_a_pose_turned_the_wrong_way_would_be_seen(
    folder: Path, pipeline: svdrr.SvdrrPipeline
) -> None:
    noise = draw_noise()
    made = pipeline.sample(chest(), VIEWS, noise=noise, steps=3, guidance=3.0)
    how: dict[str, Any] = {"steps": 3, "guidance": 3.0}
    for index, view in enumerate(VIEWS):
        flipped = reference(folder, chest(), view, noise[index], sign=-1.0, **how)
        assert apart(made[index], flipped) > 50 * TOLERANCE
        assert apart(made[index], reference(folder, chest(), view, noise[index], **how)) < TOLERANCE


def test_the_condition_is_source_minus_target() -> None:
    told = svdrr.pose_condition([View(primary_deg=90.0, secondary_deg=30.0)])
    assert torch.allclose(told, torch.tensor([[-math.pi / 6, -1.0, 0.0, 0.0]]), atol=1e-7)


def test_additional_conditions_are_passed_where_the_configuration_asks_for_them(
    tmp_path: Path,
) -> None:
    folder = tiny_model(tmp_path / "model", use_additional_conditions=True)
    made = svdrr.load(folder, "cpu").sample(
        chest(), VIEWS, noise=draw_noise(), steps=2, guidance=3.0
    )
    assert apart(made, references(folder, steps=2, guidance=3.0)) <= TOLERANCE


def test_an_image_need_not_be_square_nor_of_the_trained_size(
    folder: Path, pipeline: svdrr.SvdrrPipeline
) -> None:
    noise = draw_noise(len(VIEWS), 96, 48)
    made = pipeline.sample(chest(96, 48), VIEWS, noise=noise, steps=2, guidance=2.0)
    assert apart(made, references(folder, size=(96, 48), steps=2, guidance=2.0)) <= TOLERANCE


def test_a_view_does_not_depend_on_its_neighbours(pipeline: svdrr.SvdrrPipeline) -> None:
    views = ViewSet(name="many", views=tuple(View(primary_deg=float(a)) for a in range(0, 99, 11)))
    noise = draw_noise(len(views))
    together = pipeline.sample(chest(), views, noise=noise, steps=2, guidance=3.0)
    for index in (0, 7, 8):
        one = ViewSet(name="one", views=views.views[index : index + 1])
        alone = pipeline.sample(chest(), one, noise=noise[index : index + 1], steps=2, guidance=3.0)
        assert apart(alone[0], together[index]) < 1e-5
    back = ViewSet(name="back", views=views.views[::-1])
    turned = pipeline.sample(chest(), back, noise=noise.flip(0), steps=2, guidance=3.0)
    assert apart(turned.flip(0), together) < 1e-5


def test_source_and_condition_are_read_once_a_request(
    pipeline: svdrr.SvdrrPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = pipeline._parts
    calls = {"vae": 0, "clip": 0, "queries": 0}

    def count(name: str) -> Any:
        def hook(*_: Any) -> None:
            calls[name] += 1

        return hook

    hooks = [
        parts.vae.encoder.register_forward_hook(count("vae")),
        parts.image_encoder.register_forward_hook(count("clip")),
        parts.transformer.transformer_blocks[0].attn2.to_q.register_forward_hook(count("queries")),
    ]
    try:
        pipeline.sample(chest(), VIEWS, noise=draw_noise(), steps=3, guidance=3.0)
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == {"vae": 1, "clip": 1, "queries": 0}


def test_pickled_weights_and_older_names_are_read(
    copy: Path, pipeline: svdrr.SvdrrPipeline
) -> None:
    for part in ("transformer", "cc_projection", "vae"):
        path = copy / part / "diffusion_pytorch_model.safetensors"
        weights = load_file(path)
        for new, old in {"to_q": "query", "to_out.0": "proj_attn"}.items():
            if part == "vae":
                weights = {
                    name.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): value
                    for name, value in weights.items()
                }
        torch.save(weights, path.with_suffix(".bin"))
        path.unlink()
    how: dict[str, Any] = {"noise": draw_noise(), "steps": 1, "guidance": 3.0}
    read = svdrr.load(copy, "cpu").sample(chest(), VIEWS, **how)
    assert torch.equal(read, pipeline.sample(chest(), VIEWS, **how))


def test_the_scheduler_that_the_trainer_stores_is_read_as_the_sampler_s(
    copy: Path, pipeline: svdrr.SvdrrPipeline
) -> None:
    change_json(copy / "model_index.json", scheduler=["diffusers", "DDPMScheduler"])
    change_json(
        copy / "scheduler/scheduler_config.json",
        _class_name="DDPMScheduler", variance_type="fixed_small", clip_sample=True,
    )  # fmt: skip
    how: dict[str, Any] = {"noise": draw_noise(), "steps": 2, "guidance": 3.0}
    read = svdrr.load(copy, "cpu").sample(chest(), VIEWS, **how)
    assert torch.equal(read, pipeline.sample(chest(), VIEWS, **how))


def test_the_identity_says_what_the_folder_holds(copy: Path, folder: Path) -> None:
    made = svdrr.load(copy, "cpu").identity
    assert (made.family, made.resolution, made.default_steps) == ("svdrr", SIZE, 20)
    assert made.digest == svdrr.load(folder, "cpu").identity.digest
    (copy / "README.md").write_text("about it")
    assert svdrr.load(copy, "cpu").identity.digest == made.digest
    change_json(copy / "scheduler/scheduler_config.json", solver_order=1)
    assert svdrr.load(copy, "cpu").identity.digest != made.digest


PARTS = ("vae", "scheduler", "image_encoder", "transformer", "cc_projection")


@pytest.mark.parametrize("part", PARTS)
def test_a_missing_part_is_named(copy: Path, part: str) -> None:
    shutil.rmtree(copy / part)
    with pytest.raises(CheckpointError, match=rf"lacks its part {part}/: copy the whole model"):
        svdrr.load(copy, "cpu")


@pytest.mark.parametrize(
    "name", ["model_index.json", "vae/config.json", "scheduler/scheduler_config.json"]
)
def test_a_missing_or_broken_description_is_named(copy: Path, name: str) -> None:
    (copy / name).write_text("{")
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read as JSON"):
        svdrr.load(copy, "cpu")
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=rf"there is no .*{name}"):
        svdrr.load(copy, "cpu")


@pytest.mark.parametrize("part", [part for part in PARTS if part != "scheduler"])
def test_missing_and_broken_weights_are_named(copy: Path, part: str) -> None:
    (path,) = (copy / part).glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=rf"{part}/{path.name} cannot be read: .*copy it"):
        svdrr.load(copy, "cpu")
    path.unlink()
    with pytest.raises(CheckpointError, match=rf"{part} holds no weights: it needs"):
        svdrr.load(copy, "cpu")


@pytest.mark.parametrize("part", [part for part in PARTS if part != "scheduler"])
def test_weights_that_do_not_fit_are_named(copy: Path, part: str) -> None:
    (path,) = (copy / part).glob("*.safetensors")
    whole = load_file(path)
    first = sorted(whole)[-1]
    rest = {name: value for name, value in whole.items() if name != first}
    for weights, told in (
        (rest, rf"1 are missing \({first}\)"),
        ({**whole, "more": torch.zeros(1)}, r"1 are left over \(more\)"),
        ({**rest, first: torch.zeros(3, 1, 2)}, rf"1 have another shape \({first} \(3, 1, 2\) "),
        ({**rest, first: whole[first] / 0}, rf"{first} holds NaN or infinity"),
    ):
        save_file(weights, path)
        with pytest.raises(CheckpointError, match=told):
            svdrr.load(copy, "cpu")


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("model_index.json", {"vae": ["diffusers", "AutoencoderTiny"]}, "this family reads Auto"),
        ("model_index.json", {"transformer": [None, None]}, "this family reads SvdrrTransformer"),
        ("transformer/config.json", {"_class_name": "DiT"}, "is of class DiT: this family reads"),
        ("transformer/config.json", {"in_channels": 4}, "in_channels is 4, a published model has"),
        ("transformer/config.json", {"caption_channels": 16}, "caption_channels is 16"),
        ("transformer/config.json", {"norm_type": "layer"}, "cannot be built"),
        ("vae/config.json", {"latent_channels": 16}, "latent_channels is 16"),
        ("scheduler/scheduler_config.json", {"_class_name": "Euler"}, "is of class Euler"),
        ("scheduler/scheduler_config.json", {"prediction_type": "v_prediction"}, "v_prediction"),
        ("scheduler/scheduler_config.json", {"algorithm_type": "sde-dpmsolver++"}, "sde-dpm"),
        ("cc_projection/config.json", {"in_channel": 772}, "in_channel is 772, but image_enc"),
        ("cc_projection/config.json", {"out_channel": 1152}, "out_channel is 1152, but transf"),
    ],
)
def test_a_part_of_another_kind_is_named(
    copy: Path, name: str, changes: dict[str, Any], told: str
) -> None:
    change_json(copy / name, **changes)
    with pytest.raises(CheckpointError, match=told):
        svdrr.load(copy, "cpu")


def test_a_pickle_that_would_run_something_is_refused(copy: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "ran",)

    (copy / "cc_projection/diffusion_pytorch_model.safetensors").unlink()
    torch.save({"projection.weight": Trap()}, copy / "cc_projection/diffusion_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="cannot be read"):
        svdrr.load(copy, "cpu")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no folder"):
        svdrr.load(tmp_path / "nothing", "cpu")


@pytest.mark.parametrize(
    ("source", "noise", "steps", "error"),
    [
        (chest(60, 64), draw_noise(), 2, RadiographError),
        (chest()[None], draw_noise(), 2, RadiographError),
        (chest() * 1.5, draw_noise(), 2, RadiographError),
        (chest() * math.nan, draw_noise(), 2, RadiographError),
        (chest(), draw_noise(2), 2, ViewError),
        (chest(), draw_noise(3, 128, 64), 2, ViewError),
        (chest(), draw_noise(), 0, ViewError),
    ],
)
def test_what_cannot_be_sampled_is_refused(
    pipeline: svdrr.SvdrrPipeline,
    source: torch.Tensor,
    noise: torch.Tensor,
    steps: int,
    error: type[Exception],
) -> None:
    with pytest.raises(error, match=r"shape|leaves|steps"):
        pipeline.sample(source, VIEWS, noise=noise, steps=steps, guidance=3.0)


PA, AP = View(primary_deg=0.0), View(primary_deg=180.0)
SCALE = IntensityScale(low=200.0, high=3200.0)


def request(view: View = PA, **changes: Any) -> SynthesisRequest:
    pixels = 700.0 + 900.0 * (chest(96, 80).numpy() + 1.0)
    source = Radiograph(pixels=pixels, spacing_mm=(4.0, 4.0), view=view, intensity=SCALE)
    values = {"views": VIEWS, "steps": 2, "allow_ineligible": True, **changes}
    return SynthesisRequest(source=source, **values)


@pytest.fixture(scope="module")
def engine(folder: Path) -> SynthesisEngine:
    return load_engine(folder, device="cpu")


def test_the_engine_draws_by_a_folder_of_published_weights(
    folder: Path, engine: SynthesisEngine, pipeline: svdrr.SvdrrPipeline
) -> None:
    asked = request()
    result = engine.synthesize(asked)
    assert result.model == pipeline.identity == svdrr.load(folder, "cpu").identity
    assert [image.view for image in result.images] == list(VIEWS)
    # By hand: the source from its minimum to its maximum, the views back to the same range, and
    # what the exposure took away put back.
    model, _ = fitted(asked.source, SIZE)
    low, high = float(model.min()), float(model.max())
    noise = torch.stack([latent_noise(0, 0, view, SIZE // 8) for view in VIEWS])
    unit = torch.from_numpy(2 * (model - low) / (high - low) - 1).clamp(-1, 1)
    made = pipeline.sample(unit, VIEWS, noise=noise, steps=2, guidance=3.0) * (high - low) + low
    for image, view, exposure in zip(result.images, made, result.exposures, strict=True):
        wanted = SCALE.from_model(view.numpy()) - exposure
        assert float(abs(image.pixels - wanted).max()) < 0.5
        assert exposure >= 0.0


def test_seeds_samples_and_steps_of_a_request_count(engine: SynthesisEngine) -> None:
    first = engine.synthesize(request()).images[0].pixels
    assert abs(engine.synthesize(request()).images[0].pixels - first).max() == 0
    for changed in ({"seed": 1}, {"steps": 3}):
        assert abs(engine.synthesize(request(**changed)).images[0].pixels - first).max() > 1
    assert len(engine.synthesize(request(samples=3)).chosen) == len(VIEWS)
    assert engine.synthesize(request(views=ViewSet(name="b", views=VIEWS.views[::-1]))).images[
        -1
    ].pixels == pytest.approx(first, abs=0.1)


def test_every_view_has_noise_of_its_own() -> None:
    noises = [
        latent_noise(seed, sample, view, 8)
        for seed in (0, 1)
        for sample in (0, 1)
        for view in VIEWS
    ]
    assert min(apart(a, b) for i, a in enumerate(noises) for b in noises[:i]) > 0.5
    assert torch.equal(noises[0], latent_noise(0, 0, VIEWS.views[0], 8))
    assert abs(float(torch.stack(noises).std()) - 1) < 0.05


@pytest.mark.parametrize("source", [PA, AP])
@pytest.mark.parametrize(
    "view",
    [
        *VIEWS,
        View(primary_deg=150.0),
        View(primary_deg=-110.0, secondary_deg=25.0),
        View(primary_deg=40.0, seen_from=SeenFrom.TUBE),
    ],
)
def test_a_view_is_asked_for_where_a_point_of_the_patient_appears(source: View, view: View) -> None:
    """Far from the tube, so that rays are parallel, both name one image up to its mirror."""
    far = {"source_detector_mm": 2e7, "source_isocenter_mm": 1e7}
    model_view, mirrored = faced(source, view)
    assert abs(model_view.primary_deg) <= 90
    point = np.array([[50.0, -30.0, 80.0]])
    wanted = project(point, replace(view, **far), field_mm=358.4, size=256)[0]
    got = project(point, replace(model_view, **far), field_mm=358.4, size=256)[0]
    column = 255 - got[1] if mirrored else got[1]
    assert (got[0], column) == pytest.approx(tuple(wanted), abs=0.1)


def test_a_source_that_is_not_frontal_is_refused(engine: SynthesisEngine) -> None:
    with pytest.raises(ViewError, match="LEFT LATERAL: the published weights read PA and AP"):
        engine.synthesize(request(View(primary_deg=90.0)))
