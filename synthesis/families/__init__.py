"""How a checkpoint of a kind becomes a denoiser."""
