"""What a simulated process sees: its ``socket``, ``fcntl``, ``os`` and ``select`` modules.

``mac.spawn("client")`` (``kextlab.userland.mac``) gives an ``App`` (``process``); its modules are
what CPython offers on a Mac for PF_SYSTEM, so that client code is real code. They know the kernel
only through the syscall gate (``gate``) and own nothing outside their process.
"""
