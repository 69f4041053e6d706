"""A simulator of Darwin kernel-control IPC for teaching."""
