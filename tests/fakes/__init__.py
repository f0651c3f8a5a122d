"""Stand-ins for the ports, each held to the same contract suite as the real thing."""
