"""View synthesis of X-ray images: geometry, rendering, a view-conditioned diffusion transformer."""
