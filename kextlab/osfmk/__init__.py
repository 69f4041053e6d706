"""Mach IPC: ports, rights, messages, notifications, as XNU's ``osfmk/ipc`` keeps them.

``ipc_space`` names and what they hold; ``ipc_port`` ports, port sets, queues; ``ipc_right`` what a
task may do to a name; ``ipc_kmsg`` messages on their way in and out; ``mach_port`` and ``mach_msg``
the calls. Held against the recordings of kind ``mach_ipc`` (``docs/fidelity.md``).
"""
