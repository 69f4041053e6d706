"""The BSD half of the kernel: mbufs, socket buffers, sockets, kernel controls, kernel events.

Modules are named as in XNU's ``bsd/kern`` and import only downward:
mbuf < sockbuf < socket < kern_event < kern_control < sys_domain < uipc.
"""
