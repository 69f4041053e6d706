"""Scope in a real browser: the standalone player, and JupyterLab as `kextlab lab` starts it."""
