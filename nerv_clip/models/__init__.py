"""The network: configuration, layers, heads, solver, checkpoint files and quantisation."""
