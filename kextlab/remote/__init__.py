"""The two gates over bytes: what a kext or a client in a child process needs of the kernel.

``wire`` says how a value and a message look as bytes, ``signatures`` what each call carries,
``syscalls`` and ``kpi`` are the process's and the kext's side, ``kpi_server`` the kernel's side of
the KPI gate, ``loopback`` joins both sides inside one process.
"""
