"""Flow matching: from noise (time 0) to image (time 1) along straight lines."""

from synthesis.diffusion.flow import Denoiser, draw_times, sample, velocity_loss
from synthesis.diffusion.noise import view_noise

__all__ = ["Denoiser", "draw_times", "sample", "velocity_loss", "view_noise"]
