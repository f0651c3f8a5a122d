"""The node's vocabulary: frozen values and pure functions, no I/O."""
