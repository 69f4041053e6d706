"""Why a process's calls are refused: the causes behind each errno of the socket calls.

Pure data, read by ``kextlab.kernel.explain``; what kexts call, panics and deadlocks are in
``explanations_kext``. One paragraph a cause: the calls and the errno, the XNU routine that says
so, the recorded scenario that shows it (or ``documented only``); then when it happens; after
``->`` what to do. A call stands for its family too: ``send`` for sendto, sendmsg and sendmsg_x,
``recv`` for recvfrom, recvmsg and recvmsg_x. Tests hold every recording against the corpora and
every errno of the corpora against this page.

Read beside it: ``bsd/kern/uipc_syscalls.c``, ``bsd/kern/uipc_socket.c``,
``bsd/kern/kern_control.c``, ``bsd/kern/kern_event.c``.
"""

DOCUMENTED = "documented only"
"""In place of a recording: Apple's documents or XNU's source say so, no recording shows it."""
PORTED = "ported"
"""In place of a recording: a test in XNU's source says so, and was carried over."""
LAB = "the lab's own rule"
"""In place of a recording: a mistake C lets pass is stopped where it is made."""

ANY_CALL = f"""
bind close connect getpeername getsockname getsockopt ioctl poll recv send setsockopt shutdown: \
EBADF | file_socket | conn-closed-fd
The descriptor is not open in this process: it was closed, or never opened.
-> Make a new socket; after close() the number may already belong to something else.

dup fcntl listen disconnectx: EBADF | file_socket | {DOCUMENTED}
The descriptor is not open in this process: it was closed, or never opened.
-> Make a new socket; after close() the number may already belong to something else.

fcntl: EINVAL | sys_fcntl_nocancel | {DOCUMENTED}
F_DUPFD to a negative number.
-> Ask for 0 or more.

poll: ENOENT | CPython, select.poll.modify | {DOCUMENTED}
The descriptor was never registered with this poll object.
-> Register it first.
"""

SOCKET = """
socket: EAFNOSUPPORT | socreate_internal | sock-domain
No such protocol family exists.
-> Use socket.PF_SYSTEM, which is 32.

socket: EPROTONOSUPPORT | socreate_internal | sock-types
The system domain has no protocol of that number; it has 1 (SYSPROTO_EVENT) and 2
(SYSPROTO_CONTROL).
-> Give one of the two as third argument.

socket: EPROTOTYPE | socreate_internal | sock-types
The protocol exists, but not with that socket type: kernel control takes SOCK_DGRAM and
SOCK_STREAM, kernel events SOCK_RAW.
-> Pair SYSPROTO_CONTROL with SOCK_DGRAM or SOCK_STREAM, SYSPROTO_EVENT with SOCK_RAW.
"""

CONNECT = f"""
connect: EALREADY | connectit | {DOCUMENTED}
The socket is non-blocking, and another thread of the process is connecting it this moment.
-> Wait for that connect.

connect: EINTR | connect_nocancel | {DOCUMENTED}
The kext's connect callback answered ERESTART, which connect reports as EINTR.
-> Let the callback return an errno above 0.

connect: EINVAL | getsockaddr_s | {DOCUMENTED}
The address is a null pointer.
-> Pass a struct sockaddr_ctl, or in Python the tuple (id, unit).

connect: ENAMETOOLONG | getsockaddr | conn-name-short
The address is longer than 255 bytes.
-> A struct sockaddr_ctl has exactly 32 bytes.

bind: ENAMETOOLONG | getsockaddr | {DOCUMENTED}
The address is longer than 255 bytes.
-> A struct sockaddr_ctl has exactly 32 bytes.

connect: EINVAL | getsockaddr | conn-name-short
The address is shorter than 2 bytes, too short even for its length and family.
-> Pass all 32 bytes of a struct sockaddr_ctl.

bind: EINVAL | getsockaddr | r00289
The address is shorter than 2 bytes, too short even for its length and family.
-> Pass all 32 bytes of a struct sockaddr_ctl.

connect: EINVAL | ctl_setup_kctl | conn-sc-len
The address is not exactly 32 bytes long. The length passed to the call counts; sc_len inside the
address is overwritten with it.
-> Pass sizeof(struct sockaddr_ctl), which is 32.

bind: EINVAL | ctl_setup_kctl | r00027
The address is not exactly 32 bytes long. The length passed to the call counts; sc_len inside the
address is overwritten with it.
-> Pass sizeof(struct sockaddr_ctl), which is 32.

connect: EISCONN | soconnectlock | second-connect-same
The socket is connected already, to this control or another. No callback runs and nothing changes.
-> A control socket connects once. Close it and make a new one.

connect: EOPNOTSUPP | pru_connect_notsupp | {DOCUMENTED}
An event socket has nobody to connect to.
-> Set a filter with SIOCSKEVFILT and receive.

connect: ENOENT | ctl_setup_kctl | conn-retry-after-enoent
No control has that id: its kext is not loaded, has deregistered it, or the id is of another boot.
Ids of dynamic controls change.
-> Look the id up by name with CTLIOCGINFO right before connecting. The same socket may try again.

connect: ENOENT | ctl_find_by_id_unit | static-wrong-unit
The control is registered with CTL_FLAG_REG_ID_UNIT, and not for that unit.
-> Ask for the very unit it is registered with.

bind: ENOENT | ctl_setup_kctl | r00020
No control has that id, or it is a static control of another unit.
-> Look the id up by name with CTLIOCGINFO right before binding.

connect: EPROTOTYPE | ctl_setup_kctl | conn-wrong-type-dgram
The control and the socket differ in type: one with CTL_FLAG_REG_SOCK_STREAM takes SOCK_STREAM
only, any other SOCK_DGRAM only. Tested before the privilege.
-> Make the socket of the control's type.

bind: EPROTOTYPE | ctl_setup_kctl | r00002
The control and the socket differ in type: one with CTL_FLAG_REG_SOCK_STREAM takes SOCK_STREAM
only, any other SOCK_DGRAM only. Tested before the privilege.
-> Make the socket of the control's type.

connect: EPERM | ctl_setup_kctl | priv-at-connect-time
The control has CTL_FLAG_PRIVILEGED and the process is not root. Who calls now counts, not who
made the socket.
-> Run the client as root, or register the control without the flag.

bind: EPERM | ctl_setup_kctl | r00233
The control has CTL_FLAG_PRIVILEGED and the process is not root. Who calls now counts, not who
made the socket.
-> Run the client as root, or register the control without the flag.

connect: EBUSY | ctl_setup_kctl | unit-explicit-busy
The unit asked for has a client already. No callback runs, and the same socket may try again.
-> Ask for unit 0, and the kernel chooses one.

connect: EBUSY | ctl_setup_kctl | static-unit-zero
A control with CTL_FLAG_REG_ID_UNIT has one unit, 0 included, and so one client; it has it.
-> Wait until that client closes.

bind: EBUSY | ctl_setup_kctl | r00027
The unit asked for has a client already, or it is a static control's only one.
-> Ask for unit 0 of a dynamic control, and the kernel chooses one.

connect bind: EBUSY | ctl_setup_kctl | {DOCUMENTED}
Unit 0 asks for a free unit, and none is left: there are 65,535.
-> Close clients that are not needed.

bind: EDESTADDRREQ | bind | {DOCUMENTED}
The address is a null pointer.
-> Pass a struct sockaddr_ctl.

bind: EOPNOTSUPP | pru_bind_notsupp | {DOCUMENTED}
An event socket cannot be bound.
-> Set a filter with SIOCSKEVFILT instead.

bind: EINVAL | ctl_bind | bind-no-callback
The control has no bind callback. The socket is its client from now on all the same.
-> Connect without binding; only few controls have a bind callback.

listen: EOPNOTSUPP | solisten | listen-accept
Kernel control has no listening sockets; the kext is always the server. Event sockets have none
either.
-> Connect to the control instead.

listen: EINVAL | solisten | listen-accept
The socket is connected.
-> Nothing of this domain can listen.
"""

NAMES = f"""
getpeername: EINVAL | getpeername | conn-callback-error
Both directions are shut: an earlier connect was refused by the kext's own callback.
-> Make a new socket for every attempt.

getpeername: EINVAL | ctl_peeraddr | {DOCUMENTED}
The socket has lost its control while the call was on its way.
-> Treat it as disconnected.

getpeername: ENOTCONN | getpeername | peer-unconnected
The socket is not connected; a bound one is not either.
-> Connect first.

getsockname: EOPNOTSUPP | pru_sockaddr_notsupp | peer-unconnected
A socket of the system domain has no name of its own.
-> The unit is in getpeername()'s answer.
"""

SEND = f"""
send: ENAMETOOLONG EINVAL | getsockaddr | {DOCUMENTED}
An address was given that is longer than 255 bytes (ENAMETOOLONG) or shorter than 2 (EINVAL).
-> Send without an address: the socket is connected.

send: EINVAL | sockargs | {DOCUMENTED}
Control data was given to sendmsg, shorter than its own header of 12 bytes or longer than 1030.
-> Send no control data; kernel control never looks at it.

send: EINVAL | sosend | r00344
MSG_EOR on a stream socket.
-> Drop the flag; a stream has no records.

send: EINVAL | ctl_send | {DOCUMENTED}
The socket has lost its control while the call was on its way.
-> Treat it as disconnected.

send: EOPNOTSUPP | pru_sosend_notsupp | ev-send
Event sockets only receive.
-> Kexts post events, with kev_msg_post.

send: EOPNOTSUPP | sosend | r00037
MSG_OOB on a datagram socket.
-> Drop the flag; nothing here is out of band.

send: EPIPE | sosendcheck | send-after-failed-connect
Sending is shut: an earlier connect on this socket was refused by the kext's own callback. A later
connect may succeed, its sends stay EPIPE for ever. SIGPIPE comes with it unless SO_NOSIGPIPE is
set.
-> Make a new socket for every attempt.

send: ENOTCONN | sosendcheck | dgram-send-unconnected
The socket is not connected. An address passed to sendto does not help.
-> Connect first.

send: EMSGSIZE | sosendcheck | dgram-send-emsgsize
The datagram is larger than the send buffer (sb_hiwat: 2048 bytes unless the control asks for
another size). Nothing was sent.
-> Send less, raise SO_SNDBUF after connecting, or register the control with a larger
ctl_sendsize.

send: EMSGSIZE | sosendcheck | {DOCUMENTED}
The control data of sendmsg alone is larger than the send buffer.
-> Send no control data.

send recv: EMSGSIZE | sendmsg, recvmsg | {DOCUMENTED}
One message of more than 1,024 buffers.
-> Join some of them.

send: EAGAIN | sosendcheck | {DOCUMENTED}
Data and control data together do not fit the send buffer, and the socket is non-blocking or
MSG_NBIO was passed (not MSG_DONTWAIT). Data alone never waits here: a control takes it at once.
-> Send no control data.

send recv: EAGAIN | sblock | {DOCUMENTED}
Another call is in the middle of this buffer, and MSG_DONTWAIT forbids waiting for it.
-> Try again.

send: EFAULT | sosend | dgram-send-bad-buffer
The data is not in the process's memory. Seen while copying, after all other checks.
-> Pass a valid buffer.

send: ENOBUFS | sosend | {DOCUMENTED}
The machine is out of mbufs, so the message could not be copied into the kernel; the kext never saw
it. In the lab only the fault MbufShortage does that.
-> Try again later: mbufs come back when somebody reads.

send: ENOTSUP | ctl_send | nosend
The control has no send callback: it only talks, or uses options.
-> Give the kext a ctl_send, or use setsockopt.

send recv: EINTR | sbwait | {DOCUMENTED}
A signal ended the wait.
-> Call again; CPython does so by itself.

sosend_list: EMSGSIZE | sosendcheck | sosendlist-toobig
All packets of the list together are larger than the send buffer. No system call gets here.
-> Send less.

sosend_list: EINVAL | sosend_list | {DOCUMENTED}
A list was sent on a socket that is no datagram socket. No system call gets here.
-> Use a datagram socket.

sosend_list: ENOTSUP | ctl_send_list | sosendlist-missing
The control has neither send nor send_list. macOS 11 says so; macOS 15 follows the null pointer
and panics.
-> Give the kext a ctl_send.
"""

RECV = f"""
recv: EINVAL | soo_read | {DOCUMENTED}
A negative length.
-> Ask for 0 bytes or more.

recv: EOPNOTSUPP | pru_rcvoob_notsupp | dgram-oob-recv
MSG_OOB: nothing here is out of band.
-> Drop the flag.

recv: ENOTCONN | soreceive | dgram-recv-unconnected
Nothing is queued and the socket is not connected. select and poll call it readable all the same,
because its buffer has size 0.
-> Connect first.

recv: EAGAIN | soreceive | dgram-recv-blocking
Nothing is queued and the call must not wait (a non-blocking socket, or MSG_DONTWAIT).
-> Wait until the socket is readable, or let it block. On an event socket: is a filter set? A new
one hears nothing.
"""

OPTIONS = f"""
setsockopt: EFAULT | setsockopt | opt-set
A length, but a null pointer.
-> Pass the value.

setsockopt: EINVAL | sosetoptlock | send-after-failed-connect
Both directions are shut: an earlier connect was refused by the kext's own callback.
-> Make a new socket for every attempt.

setsockopt: EINVAL | sooptcopyin | opt-getopt-null-len
The value is shorter than the option's type; most take an int of 4 bytes.
-> Pass 4 bytes, in Python an int.

setsockopt: EINVAL | sosetoptlock | flow-setsockopt-limits
A buffer size or low-water mark below 1.
-> Pass 1 or more.

setsockopt: ENOBUFS | sbreserve | flow-setsockopt-limits
The buffer size is beyond what any buffer may have, 7,456,540 bytes here. Nothing was changed.
-> Ask for less.

setsockopt: ENOPROTOOPT | sosetoptlock | opt-sol-socket
XNU has no such option at SOL_SOCKET, or it can only be read (SO_TYPE, SO_ERROR, SO_NREAD).
-> Look the number up; Darwin's differ from Linux's.

getsockopt: ENOPROTOOPT | sogetoptlock | opt-sol-socket
XNU has no such option at SOL_SOCKET.
-> Look the number up; Darwin's differ from Linux's.

setsockopt getsockopt: ENOPROTOOPT | sosetoptlock, sogetoptlock | ev-send
Event sockets have no options of their own, only those of SOL_SOCKET.
-> Filters are set with the ioctl SIOCSKEVFILT.

setsockopt getsockopt: EINVAL | ctl_ctloutput | opt-unconnected
The socket has no control: it is not connected, or its connect was refused.
-> Connect first.

getsockopt: EINVAL | ctl_ctloutput | r00002
The level is neither SOL_SOCKET nor SYSPROTO_CONTROL.
-> A control's own options are at level SYSPROTO_CONTROL, which is 2.

setsockopt: EINVAL | ctl_ctloutput | {DOCUMENTED}
The level is neither SOL_SOCKET nor SYSPROTO_CONTROL.
-> A control's own options are at level SYSPROTO_CONTROL, which is 2.

setsockopt getsockopt: ENOTSUP | ctl_ctloutput | opt-set-missing
The control has no callback for that: no setopt, or no getopt.
-> Give the kext a ctl_setopt or ctl_getopt.
"""

IOCTL = f"""
ioctl: EFAULT | ioctl | ioctl-null-arg
The request reads or writes an argument, and the pointer is bad.
-> Pass a buffer of the request's size.

ioctl: EINVAL | ctl_ioctl | lookup-ioctl-empty
CTLIOCGINFO with an empty name.
-> Fill in ctl_name.

ioctl: EINVAL | ctl_ioctl | {DOCUMENTED}
CTLIOCGINFO with a name that fills all 96 bytes and so has no end.
-> A name has at most 95 bytes.

ioctl: ENOENT | ctl_ioctl | lookup-prefix
CTLIOCGINFO: no control has exactly that name. Case counts, and a prefix is no match.
-> Is the kext loaded, and did its ctl_register succeed?

ioctl: ENOENT | kev_control | ev-vendor-find
SIOCGKEVVENDOR: nobody has registered that vendor string. This call only looks up.
-> A kext creates the code with kev_vendor_code_find.

ioctl: ENOTSUP | ctl_ioctl | ioctl-unknown
A control socket knows CTLIOCGCOUNT and CTLIOCGINFO, and no other request.
-> Check the number; C built with Linux headers swaps _IOR and _IOW.

ioctl: ENOTSUP | kev_control | lookup-event-socket
An event socket knows SIOCGKEVID, SIOCSKEVFILT, SIOCGKEVFILT and SIOCGKEVVENDOR, and no other
request; those of controls neither.
-> Use a socket of the right protocol.
"""

SHUTDOWN = f"""
shutdown: EINVAL | soshutdown | flow-shutdown-bad-how
The second argument is none of SHUT_RD (0), SHUT_WR (1) and SHUT_RDWR (2).
-> Pass one of the three.

shutdown: ENOTCONN | soshutdown | flow-shutdown-unconnected
The socket is not connected. Event sockets never are.
-> Just close it.

shutdown: ENOTCONN | soshutdownlock | {DOCUMENTED}
That direction is shut already.
-> Just close it.

shutdown: EOPNOTSUPP | pru_shutdown_notsupp | flow-shutdown-wr
Kernel control cannot shut sending down. With SHUT_RDWR reading is shut first and stays shut;
SHUT_WR changes nothing.
-> Close the socket; only then does the kext hear disconnect.

disconnectx: EOPNOTSUPP | pru_disconnectx_notsupp | disconnectx
Kernel control cannot disconnect without closing.
-> Close the socket and make a new one.
"""

SYSCTL = f"""
sysctl: EPERM | kctl_reg_list, kctl_pcblist, kctl_getstat | sysctl-lists
The lists and statistics of net.systm can only be read.
-> Pass no new value.

sysctl: ENOMEM | SYSCTL_OUT | sysctl-short-buffer
The caller's buffer is too small; what fitted is in it.
-> Ask for the size first, with a null buffer.

sysctl: ENOENT | sysctl | {DOCUMENTED}
There is no such list, and no such statistics.
-> There are kctl.reg_list, kctl.pcblist, kctl.stats, kevt.pcblist and kevt.stats.
"""

CALLBACKS = """
connect: * | ctl_setup_kctl | setup-error
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

connect: * | ctl_connect | conn-callback-error
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

bind: * | ctl_setup_kctl | r00800
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

bind: * | ctl_bind | bind-error
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

send: * | ctl_send | dgram-send-error
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

sosend_list: * | ctl_send_list | sosendlist-fallback-error
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

setsockopt: * | ctl_ctloutput | r00014
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.

getsockopt: * | ctl_ctloutput | opt-get-error
The kext's own callback returned it; the kernel passes it on as it is.
-> Read the kext's callback, not the kernel.
"""
"""Any errno: what the callbacks of a control return reaches the client."""

PROCESS = (
    ANY_CALL,
    SOCKET,
    CONNECT,
    NAMES,
    SEND,
    RECV,
    OPTIONS,
    IOCTL,
    SHUTDOWN,
    SYSCTL,
)
