"""Training: recipes, batches of rendered views, the loop."""
