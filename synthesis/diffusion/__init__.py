"""Flow matching: from noise (time 0) to detail (time 1) along straight lines, a sample a step."""

from synthesis.diffusion.flow import Denoiser, draw_times, sample
from synthesis.diffusion.noise import view_noise
from synthesis.diffusion.scoring import energy_score, power_mismatch

__all__ = ["Denoiser", "draw_times", "energy_score", "power_mismatch", "sample", "view_noise"]
