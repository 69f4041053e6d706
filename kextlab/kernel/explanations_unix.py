"""Why a call on a local socket is refused.

Pure data in the notation of ``explanations``, apart from it because the same errno of the same call
means something else on a socket of the system domain. No recording has local sockets.
Read beside it: ``bsd/kern/uipc_usrreq.c``, ``bsd/kern/uipc_syscalls.c``.
"""

from kextlab.kernel.explanations import DOCUMENTED

LOCAL = f"""
socket socketpair: EPROTONOSUPPORT | socreate_internal | {DOCUMENTED}
AF_UNIX has streams and datagrams, both of protocol 0; SOCK_SEQPACKET and SOCK_RAW are not there.
-> Use SOCK_STREAM or SOCK_DGRAM.

socketpair: EAFNOSUPPORT | socreate_internal | {DOCUMENTED}
No such protocol family exists.
-> Use socket.AF_UNIX.

socketpair: EPROTOTYPE | socreate_internal | {DOCUMENTED}
The system domain has no such type with that protocol.
-> Use socket.AF_UNIX; sockets of the system domain make no pairs.

socketpair: EOPNOTSUPP | pru_connect2_notsupp | {DOCUMENTED}
Sockets of the system domain are joined by a kext, never to each other.
-> Use socket.AF_UNIX.

bind connect: EAFNOSUPPORT | unp_bind, unp_connect | {DOCUMENTED}
The address is of another family.
-> Pass a path.

bind connect send: EINVAL | unp_bind, unp_connect, getsockaddr | {DOCUMENTED}
The address has no path: it is 2 bytes long or shorter.
-> Pass a path.

bind: EINVAL | unp_bind | {DOCUMENTED}
The socket has a name already, or is shut both ways.
-> Bind a new socket.

bind connect send: ENAMETOOLONG | getsockaddr | {DOCUMENTED}
The address is longer than 255 bytes.
-> Use a shorter path; 103 bytes fit everywhere.

bind connect send: ENOENT | namei | {DOCUMENTED}
There is no such path, or it is empty. Nobody has bound a socket to it, or its name was taken away.
-> Start the server first; compare the paths.

bind: EADDRINUSE | unp_bind | {DOCUMENTED}
The path exists. It stays when its socket is closed, so a server that starts again finds its own.
-> Call os.unlink(path) before bind.

listen: EINVAL | uipc_listen, solisten | {DOCUMENTED}
The socket has no name, or it is connected.
-> Bind it first.

listen accept: EOPNOTSUPP | solisten, accept_nocancel | {DOCUMENTED}
A datagram socket has no connections.
-> Use a SOCK_STREAM socket, or read the datagrams.

accept: EBADF | fp_get_ftype | {DOCUMENTED}
The descriptor is not open in this process.
-> Make a new socket.

accept: EINVAL | accept_nocancel | {DOCUMENTED}
The socket does not listen.
-> Call listen first.

accept: EAGAIN | accept_nocancel | {DOCUMENTED}
Nobody waits to be accepted, and the socket is non-blocking.
-> Wait in select until it is readable.

accept: ECONNABORTED | accept_nocancel | {DOCUMENTED}
Another thread is closing the descriptor this call waits on.
-> End the loop that accepts.

accept: EINTR | accept_nocancel | {DOCUMENTED}
A signal ended the wait.
-> Call again.

connect: EALREADY | connectit | {DOCUMENTED}
The socket is non-blocking, and another thread of the process is connecting it this moment.
-> Wait for that connect.

connect: EOPNOTSUPP | soconnectlock | {DOCUMENTED}
The socket listens.
-> Connect another socket.

connect: EISCONN | soconnectlock | {DOCUMENTED}
The socket is connected; a stream connects once.
-> Make a new socket.

connect send: EACCES | unp_connect, vnode_authorize | {DOCUMENTED}
The node of that path may not be written by this user. bind makes it with mode 755: only its owner
and root connect.
-> Let the server os.chmod(path, 0o666).

connect send: ECONNREFUSED | unp_connect | {DOCUMENTED}
The path is there, but no socket takes the call: the one bound to it is closed, or does not listen,
or as many connections wait as its backlog allows.
-> Start the server, let it accept faster, or give listen a larger backlog. AF_UNIX does not wait.

connect send: EPROTOTYPE | unp_connect | {DOCUMENTED}
The socket of that path is of the other type: stream against datagram.
-> Use the server's type.

getpeername shutdown: ENOTCONN | getpeername, soshutdown | {DOCUMENTED}
The socket is not connected, or its peer has closed, or that direction is shut already.
-> Connect first.

getpeername: EINVAL | getpeername | {DOCUMENTED}
Both directions are shut: the peer has closed.
-> Treat it as disconnected.

shutdown: EINVAL | soshutdown | {DOCUMENTED}
The argument is none of SHUT_RD, SHUT_WR and SHUT_RDWR.
-> Use one of them.

send: EDESTADDRREQ | sosendcheck | {DOCUMENTED}
A datagram socket that is not connected, and no receiver is named; its receiver may have closed.
-> Use sendto with a path, or connect.

send: EISCONN | uipc_send | {DOCUMENTED}
A receiver is named on a datagram socket that is connected.
-> Use send.

send: ENOTCONN | sosendcheck, uipc_send | {DOCUMENTED}
The stream is not connected.
-> Connect first.

send: EPIPE | sosendcheck | {DOCUMENTED}
Sending is shut, or the peer has closed. SIGPIPE comes with it unless SO_NOSIGPIPE is set.
-> Connect again with a new socket.

send: ECONNRESET | unp_drop | {DOCUMENTED}
The receiver of this connected datagram socket was closed. Said once; from now on it is not
connected.
-> Connect again.

send: EMSGSIZE | sosendcheck | {DOCUMENTED}
The datagram is larger than the send buffer (net.local.dgram.maxdgram: 2048 bytes), or control data
is larger than what the send buffer has left: of a stream, less what the peer has not read.
-> Send less, raise SO_SNDBUF, or wait until the peer has read.

send: ENOBUFS | sbappendaddr | {DOCUMENTED}
The datagram does not fit the receiver's buffer (net.local.dgram.recvspace: 4096 bytes, 16 of them
for each sender's address), or no mbuf is left. A datagram never waits for space.
-> Send again later; the select of the sender tells when.

send: EAGAIN | sosendcheck | {DOCUMENTED}
The peer has not read enough, and the socket is non-blocking.
-> Wait in select until it is writable.

send: EINTR | sbwait | {DOCUMENTED}
A signal ended the wait.
-> Call again.

send: EINVAL | sosend, unp_internalize, sbappendaddr | {DOCUMENTED}
MSG_EOR on a stream; control data that is anything but one SCM_RIGHTS item of exactly its length; or
the receiver has shut reading.
-> Send descriptors with socket.send_fds.

send: EBADF | unp_internalize | {DOCUMENTED}
A descriptor in the control data is not open. Nothing was sent.
-> Pass descriptors of this process.

send recv: EOPNOTSUPP | uipc_send, pru_rcvoob_notsupp | {DOCUMENTED}
MSG_OOB: local sockets have no out-of-band data.
-> Drop the flag.

recv: EAGAIN | soreceive | {DOCUMENTED}
Nothing is queued, and the socket is non-blocking or MSG_DONTWAIT was passed.
-> Wait in select until it is readable.

recv: ENOTCONN | soreceive | {DOCUMENTED}
The stream is not connected; a listening one is not either.
-> Connect, or accept.

recv: EINTR | sbwait | {DOCUMENTED}
A signal ended the wait.
-> Call again.

recv: ECONNRESET | unp_drop | {DOCUMENTED}
The peer of this connected datagram socket was closed. Said once.
-> Connect again.

getsockopt: ENOTCONN | uipc_ctloutput | {DOCUMENTED}
LOCAL_PEERCRED or LOCAL_PEERPID of a socket without a peer; a listening one has none.
-> Ask the socket that accept returned.

getsockopt: EINVAL | uipc_ctloutput | {DOCUMENTED}
LOCAL_PEERCRED of a datagram socket: only a stream knows its peer's user.
-> Use a stream.

getsockopt setsockopt: EOPNOTSUPP | uipc_ctloutput | {DOCUMENTED}
Level SOL_LOCAL has LOCAL_PEERCRED and LOCAL_PEERPID, which can be got, not set.
-> Get one of them.

unlink chmod: ENOENT | namei | {DOCUMENTED}
There is no such path.
-> Nothing is to be done.

unlink chmod: ENAMETOOLONG | namei | {DOCUMENTED}
The path has 1024 bytes or more, or a part of it more than 255.
-> Use a shorter path.

launch_activate_socket: ESRCH | launch.h | {DOCUMENTED}
The process is no job of launchd's: nobody holds sockets for it.
-> Load a property list; launchd starts the program.

launch_activate_socket: ENOENT | launch.h | {DOCUMENTED}
The job's property list has no socket of that name under Sockets.
-> Compare the names.

launch_activate_socket: EALREADY | launch.h | {DOCUMENTED}
This process has asked for these sockets before.
-> Keep the descriptors.

unlink chmod: EPERM | vnode_authorize | {DOCUMENTED}
The path belongs to another user, and this one is not root.
-> Let its owner do it.
"""
