"""How the node is watched: figures for Prometheus, and whether it is alive and ready."""
