"""Mach IPC: ports, rights, messages, notifications, as XNU's ``osfmk/ipc`` keeps them.

``ipc_space`` names and what they hold; ``ipc_port`` ports, port sets, queues; ``ipc_right`` what a
task may do to a name; ``ipc_kmsg`` messages, ``ipc_kmsg_body`` what they carry; ``mach_port`` and
``mach_msg`` the calls. Held against the recordings of kind ``mach_ipc`` (``docs/fidelity.md``).

Mach VM: ``vm_object`` memory and its pages, ``vm_map`` what a task sees of it, ``vm_fault``
touching it, ``vm_map_copy`` and ``vm_map_copyin`` ranges on their way, ``memory_entry`` memory a
port stands for, ``vm_user`` the calls.
"""
