"""Why a kext's calls are refused, and what brings the simulated machine down.

Pure data in the notation of ``explanations``. Panics and deadlocks are told by a regular
expression over their text, which stands in the place of the errno; ``{1}`` in their paragraphs is
its first group.

Read beside it: ``bsd/kern/kern_control.c`` (the exported half), ``bsd/kern/kern_event.c``,
``bsd/kern/uipc_mbuf.c``.
"""

from kextlab.kernel.explanations import DOCUMENTED, LAB

REGISTER = f"""
ctl_register: EINVAL | ctl_register | reg-no-connect
The record has no ctl_connect: the one callback that is required.
-> Fill in ctl_connect; returning 0 is enough.

ctl_register: EINVAL | ctl_register | reg-null
There is no registration record: a null pointer.
-> Pass a KernCtlReg.

ctl_register: EINVAL | ctl_register | reg-empty-name
The name is empty.
-> Use a reversed domain name, as org.kextlab.echo.

ctl_register: EINVAL | ctl_register | {DOCUMENTED}
The name is longer than 95 bytes, so that no NUL fits behind it.
-> Use a shorter one.

ctl_register: EEXIST | ctl_register | reg-duplicate-name
A dynamic control's name is taken, perhaps by this kext's own control that was never deregistered.
-> Deregister the old control first; a kext that was unloaded without that leaves it behind until
reboot.

ctl_register: EEXIST | ctl_register | static-two-units
A control with that id and unit exists already. For a static control (CTL_FLAG_REG_ID_UNIT) the
pair must be new, also against dynamic ones.
-> Choose another unit or id, or let the kernel choose.

ctl_deregister: EINVAL | kctl_from_ref | stale-ref-reused-slot
The reference is not valid: never given out, or its slot in the table now belongs to another
control. If the slot is empty, the same mistake is a panic.
-> Keep the reference from ctl_register, and forget it after ctl_deregister succeeded.

ctl_deregister: EBUSY | ctl_deregister | dereg-busy
The control has clients. Bound ones count, and one whose disconnect callback is just running does
still.
-> Refuse the unload, and deregister once the last client has closed.

ctl_name_by_id: ENOENT | ctl_name_by_id | r00001
No control has that id.
-> Ids change with every registration; look up by name.
"""

ENQUEUE = f"""
ctl_enqueuedata ctl_enqueuembuf ctl_enqueuembuf_list ctl_getenqueuespace \
ctl_getenqueuepacketcount ctl_getenqueuereadable: EINVAL | kcb_find_socket | unit-wrong-enqueue
Nobody is connected with that unit. Unit 0 is nobody too, unless the kext's setup left it so.
-> Remember units in connect and forget them in disconnect.

ctl_enqueuedata ctl_enqueuembuf ctl_enqueuembuf_list ctl_getenqueuespace \
ctl_getenqueuepacketcount ctl_getenqueuereadable: EINVAL | kctl_from_ref | stale-ref-reused-slot
The control reference is not valid: never given out, or its slot in the table now belongs to
another control. If the slot is empty, the same mistake is a panic.
-> Use the reference ctl_register gave, and none after ctl_deregister.

ctl_enqueuedata: ENOBUFS | ctl_rcvbspace | flow-one-too-many
The data does not fit the client's receive buffer. Nothing of it was queued.
-> Ask ctl_getenqueuespace first, and go on from the rcvd callback once the client has read.

ctl_enqueuembuf: ENOBUFS | ctl_rcvbspace | r00000
The packet does not fit the client's receive buffer. Nothing was queued, and the mbuf is still the
kext's to free.
-> Free or keep the mbuf; go on from the rcvd callback once the client has read.

ctl_enqueuembuf_list: ENOBUFS | ctl_rcvbspace | dgram-list-overflow-remain
Not all packets fitted. The list stops at the first that does not fit, even if a later one would.
-> Pass m_remain to get the rest back; without it the rest is freed.

ctl_enqueuedata ctl_enqueuembuf ctl_enqueuembuf_list: ENOBUFS | ctl_rcvbspace | \
flow-shutdown-rd-enqueue
The client has shut reading down: its buffer has size 0 from now on.
-> Nothing more can be delivered; wait for its disconnect.

ctl_enqueuedata: ENOBUFS | ctl_rcvbspace | crit-reserve
The control has CTL_FLAG_REG_CRIT and less than a quarter of the buffer is free: ordinary data is
refused, though it would fit.
-> Mark what must arrive with CTL_DATA_CRIT.

ctl_enqueuembuf: ENOBUFS | ctl_rcvbspace | crit-mbuf
The control has CTL_FLAG_REG_CRIT and less than a quarter of the buffer is free: ordinary data is
refused, though it would fit.
-> Mark what must arrive with CTL_DATA_CRIT.

ctl_enqueuembuf_list: ENOBUFS | ctl_rcvbspace | crit-list
The control has CTL_FLAG_REG_CRIT and less than a quarter of the buffer is free: ordinary data is
refused, though it would fit.
-> Mark what must arrive with CTL_DATA_CRIT.

ctl_enqueuedata: ENOBUFS | ctl_rcvbspace | crit-grow-fails
Critical data does not fit even a buffer grown by a quarter (never beyond 256 KiB). The buffer
stays grown.
-> Let the client read, then try again.

ctl_enqueuedata: ENOBUFS | sbspace | flow-eor-records-stream-tiny-buffer
Mbuf memory ran out before bytes did: every record costs at least 256 bytes, and the buffer may
hold 8 times its size. Datagram controls of macOS 15 count bytes only.
-> Send fewer, larger records.

ctl_enqueuedata: ENOMEM | m_allocpacket_internal | {DOCUMENTED}
The machine is out of mbufs, so the data could not be copied; nothing of it was queued. In the lab
only the fault MbufShortage does that.
-> Drop the data or try again later. ctl_enqueuembuf needs no new mbuf.

mbuf_allocpacket: ENOMEM | mbuf_allocpacket | {DOCUMENTED}
The machine is out of mbufs. In the lab only the fault MbufShortage does that.
-> Drop what was to be sent, or try again later.

kev_msg_post: ENOMEM | kev_post_msg | {DOCUMENTED}
The machine is out of mbufs. Sockets that the event had reached by then have it, the others miss it.
In the lab only the fault MbufShortage does that.
-> Post it again later; some listeners will then hear it twice.

ctl_enqueuembuf_list: EINVAL | ctl_enqueuembuf_list | dgram-list-eor-einval
CTL_DATA_EOR with a list.
-> Drop the flag; every packet of a list is a record already.

ctl_enqueuembuf_list: EOPNOTSUPP | ctl_enqueuembuf_list | r00000
The control is a stream (CTL_FLAG_REG_SOCK_STREAM).
-> Enqueue the packets one by one.

ctl_getenqueuespace: EINVAL | ctl_getenqueuespace | flow-null-outputs
There is no place for the answer: a null pointer.
-> Pass an Out box.

ctl_getenqueuepacketcount: EINVAL | ctl_getenqueuepacketcount | flow-null-outputs
There is no place for the answer: a null pointer.
-> Pass an Out box.

ctl_getenqueuereadable: EINVAL | ctl_getenqueuereadable | flow-null-outputs
There is no place for the answer: a null pointer.
-> Pass an Out box.
"""

EVENTS = """
kev_vendor_code_find: EINVAL | kev_vendor_code_find | ev-vendor-long
The vendor string has 200 bytes or more.
-> Use at most 199 bytes.

kev_msg_post: EINVAL | kev_msg_post | ev-kpi-null
There is no message: a null pointer.
-> Pass a KevMsg.

kev_msg_post: EINVAL | kev_msg_post | ev-kpi-apple
Nobody has registered that vendor code. Apple's own code, 1, is refused as well.
-> Get a code from kev_vendor_code_find.

kev_msg_post: EMSGSIZE | kev_post_msg | ev-kpi-toobig
The event has more than 200 bytes of data. Nobody gets anything, and no event id is used.
-> Post less and let the client ask for the rest.

kev_post_msg: EMSGSIZE | kev_post_msg | ev-max-size
The event has more than 200 bytes of data. Nobody gets anything, and no event id is used.
-> Post less and let the client ask for the rest.
"""

MBUFS = f"""
mbuf_copydata: EINVAL | m_copydata | {DOCUMENTED}
The chain is shorter than what is asked for, or the offset or length is negative.
-> Ask for no more than mbuf_pkthdr_len.

mbuf_copyback mbuf_allocpacket: EINVAL | mbuf_copyback, mbuf_allocpacket | {DOCUMENTED}
The offset or length is negative.
-> Pass 0 or more.

mbuf_copyback: ENOBUFS | mbuf_copyback | {DOCUMENTED}
The chain would have to grow. XNU tries that; the lab's chains do not grow.
-> Allocate the packet as long as its data.

mbuf_allocpacket: ENOBUFS | mbuf_allocpacket | {DOCUMENTED}
The packet needs more mbufs than maxchunks allows.
-> Allow more, or pass no limit.

msleep: EINTR | msleep | {DOCUMENTED}
A signal ended the wait.
-> Give up what was asked for and return the errno.
"""

INTERNAL = f"""
bind send setsockopt getsockopt: ERESTART | unix_syscall | {DOCUMENTED}
Kernel-internal: it tells the system-call layer to run the call again. Only a callback can bring
it in here. A Mac would repeat the call for ever; the lab says that it does not model that.
-> Let the callback return an errno above 0.

send: EJUSTRETURN | unix_syscall | dgram-send-error
Kernel-internal: it tells the system-call layer to leave the registers alone. Only a callback can
bring it in here, and to the process the call seems to succeed.
-> Let the callback return an errno above 0.

connect bind setsockopt getsockopt: EJUSTRETURN | unix_syscall | {DOCUMENTED}
Kernel-internal: it tells the system-call layer to leave the registers alone. Only a callback can
bring it in here, and to the process the call seems to succeed.
-> Let the callback return an errno above 0.
"""

PANICS = f"""
ctl_deregister: ^kernel page fault$ | kctl_from_ref | r00116
The control reference is stale: the control was deregistered already and its slot in the table is
empty, so XNU follows a null pointer. Deregistering twice is the usual way here.
-> Forget the reference once ctl_deregister has succeeded.

ctl_deregister: ^kernel page fault$ | kctl_from_ref | bad-ref-empty-slot
The control reference was made up, and its slot in the table is empty.
-> Use only what ctl_register gave.

ctl_enqueuedata: ^kernel page fault$ | kctl_from_ref | stale-ref-panic-enqueue
The control reference is stale: the control was deregistered and its slot in the table is empty.
-> Stop everything that enqueues before deregistering.

ctl_enqueuembuf ctl_enqueuembuf_list ctl_getenqueuespace ctl_getenqueuepacketcount \
ctl_getenqueuereadable: ^kernel page fault$ | kctl_from_ref | {DOCUMENTED}
The control reference is stale: the control was deregistered and its slot in the table is empty.
-> Stop everything that enqueues before deregistering.

sosend_list: ^kernel page fault$ | ctl_send_list | sosendlist-missing
The control has neither send nor send_list, and macOS 15 calls the missing send: a null pointer.
-> Give the kext a ctl_send.

callback: ^kernel page fault$ | kernel_trap | {DOCUMENTED}
The kernel called into a kext that is no longer in memory: it was unloaded with its control still
registered.
-> Deregister in stop, and refuse the unload while ctl_deregister answers EBUSY.

callback: ^kernel page fault: (\\w+) in callback | kernel_trap | {LAB}
A {{1}} left the kext's code. C has no exceptions; the mistake behind it would be a wild pointer in
kernel mode.
-> Read the backtrace in the panic's report, and answer an errno instead of raising.

callback: ^kernel page fault: callback (\\w+) returned | kernel_trap | {LAB}
The callback {{1}} returned something that is no errno.
-> Return an int or None; a result goes into the Out box.

getsockopt: ^kernel page fault: callback getopt left | ctl_ctloutput | {LAB}
The getopt callback put something into length.value that is no number of bytes.
-> Set length.value to an int: the bytes put into data, or the bytes there are if data is None.

mbuf_free: ^kernel page fault: .+ frees mbuf | kernel_trap | {LAB}
The kext freed an mbuf that is not its own: after a successful enqueue the kernel has it. On a Mac
the queue is corrupt from here on, and the panic comes later and elsewhere.
-> Free an mbuf only if the enqueue failed, or if a send callback was handed it.

ctl_enqueuembuf: ^kernel page fault: .+ passes mbuf \\d+, which (.+), to | kernel_trap | {LAB}
The kext used an mbuf that is not its own: it {{1}}. On a Mac it reads what somebody else put there,
or a queue is corrupt from here on, and the panic comes later and elsewhere.
-> Hand in only what mbuf_allocpacket gave or a send callback was handed, and only once.

callback: ^(\\w+) inside a call left it half done | ast_taken | {LAB}
{{1}} ended a system call or a kext's routine half way: its locks are held and its counts open.
-> Call mac.reboot(), and look for what never ended: a loop in a callback, for example.

mbuf_free: ^m_free: freeing an already freed mbuf | m_free | {DOCUMENTED}
The kext freed an mbuf twice.
-> Free each mbuf once; mbuf_freem frees a whole chain.

recv: ^corrupt so_rcv: sb_mb (?!0x0 ) | soreceive, SB_MB_CHECK | empty-record-panic
The queue holds a record without bytes: something empty was enqueued as a record of its own.
-> Never enqueue empty data, in lists neither.

recv: ^corrupt so_rcv: sb_mb 0x0 | soreceive, SB_MB_CHECK | {DOCUMENTED}
The byte count of the queue and its mbufs disagree: somebody changed an mbuf while it was queued.
-> Leave an mbuf alone once it is enqueued.

getsockopt: ^ctl_ctloutput: ctl (.+) returned len | ctl_ctloutput | opt-get-panic
The getopt callback of {{1}} claimed more bytes than the caller's buffer has. The length is
checked even when the callback returns an errno.
-> Set the length to at most what came in, or answer EINVAL and leave it.

ctl_register: ^kctl_make_ref no space in table | kctl_make_ref | {DOCUMENTED}
Some 65,000 controls are registered; the table of references cannot grow further.
-> Deregister controls that are not needed.
"""

DEADLOCKS = f"""
connect: mutex already held | lck_mtx_lock | setup-enqueue-deadlock
The setup callback runs with the mutex of kernel control held, and it called a function that takes
the same mutex.
-> Only choose the unit in setup; do the rest in connect.

bind: mutex already held | lck_mtx_lock | {DOCUMENTED}
The setup callback runs with the mutex of kernel control held, and it called a function that takes
the same mutex.
-> Only choose the unit in setup; do the rest in connect.

recv: sleeps in sbwait on so_rcv | sbwait | dgram-recv-blocking
Nothing is queued, the socket is blocking, and no other task can run that would enqueue something.
-> Let the kext enqueue first, make the socket non-blocking, or pass MSG_DONTWAIT.

recv: sleeps in sbwait on so_rcv | sbwait | stream-waitall
MSG_WAITALL on a stream that holds less than was asked for sleeps, MSG_DONTWAIT or not.
-> Drop MSG_WAITALL, or ask for what is there.

send: sleeps in sbwait on so_snd | sbwait | {DOCUMENTED}
Data and control data together do not fit the send buffer, which never drains: a control takes
data at once or not at all.
-> Send no control data.

send recv: sleeps in sb_lock | sblock | {DOCUMENTED}
The call meets itself: a callback made a system call on the very socket whose send or recv is
calling it.
-> In a callback call the KPI only.

connect bind close send recv setsockopt getsockopt: sleeps in \
(kcb_require_clearing|kcb_usecount|kcb->usecount) | ctl_kcb_require_clearing | {DOCUMENTED}
The call meets itself: a callback made a system call on the very socket it is called for.
-> In a callback call the KPI only.

poll: (waits without a time-out|sleeps in select) | select, poll | {DOCUMENTED}
None of the descriptors is ready, and no other task can run that would make one ready.
-> Give a time-out, or let the other side act first.

connect send recv: answered EINTR | CPython, PEP 475 | {DOCUMENTED}
A callback answers EINTR, and Python makes an interrupted call again, on a Mac for ever.
-> Let the callback return another errno.

connect bind: sleeps in lck_mtx | ctl_setup_kctl | {DOCUMENTED}
Another thread holds the mutex of kernel control over its setup callback, which sleeps, and nothing
is left that could wake it.
-> Let setup return at once; sleep in connect.

close: sleeps in fpdrain | fileproc_drain | {DOCUMENTED}
A call of another thread is inside this descriptor, in a callback that sleeps, and nothing is left
that could wake it.
-> Wake the callback first.

mach_msg: sleeps in ipc_mqueue_receive | ipc_mqueue_receive | {DOCUMENTED}
No message is queued, and no other task can run that would send one.
-> Send first, or receive with MACH_RCV_TIMEOUT.

mach_msg: sleeps in ipc_mqueue_send | ipc_mqueue_send | {DOCUMENTED}
The queue is full, and no other task can run that would receive from it.
-> Receive first, or send with MACH_SEND_TIMEOUT.

accept: sleeps in accept | accept_nocancel | {DOCUMENTED}
AF_UNIX: Nobody waits to be accepted, and no other task can run that would connect.
-> Let a client connect first, or make the socket non-blocking.

send: sleeps in sbwait on so_snd | sbwait | {DOCUMENTED}
AF_UNIX: The peer has not read enough, and no other task can run that would; or a datagram and its
control data together are larger than the send buffer, and will never fit.
-> Let the peer read, or make the socket non-blocking.

callback: sleeps in (?!accept|sbwait|sb_lock|kcb|select|lck_mtx|fpdrain|ipc_|mach_) | msleep \
| {DOCUMENTED}
A kext sleeps in its own msleep, and nothing is left that could call wakeup.
-> Let the other side act first, or wake the kext from another task.
"""

HOST = f"""
connect: cannot find kernel control with provided name | CPython, getsockaddrarg | {DOCUMENTED}
CPython looked the name up with CTLIOCGINFO, and that failed. The errno (ENOENT: no such control)
gets lost on the way.
-> Is the kext loaded? Ask CTLIOCGINFO yourself to see the errno.

recv getpeername getsockname: getsockaddrlen: unknown PF_SYSTEM protocol | CPython, getsockaddrlen \
| {DOCUMENTED}
CPython knows addresses of SYSPROTO_CONTROL only, and refuses on an event socket before it asks
the kernel.
-> Use recv, recv_into or os.read.

connect send recv: timed out | CPython, sock_call_ex | {DOCUMENTED}
The socket has a time-out, poll found it not ready, and nothing else could run meanwhile.
-> Let the other side act first.
"""
"""Refusals of CPython's own, which carry no errno."""

KEXT = (REGISTER, ENQUEUE, EVENTS, MBUFS, INTERNAL)
