"""Why IOKit refuses a process: the causes behind each code of the calls of IOKitLib.

Pure data in the notation of ``explanations``, with a code's name in the place of the errno.
Nothing of it is recorded. Read beside it: ``iokit/Kernel/IOUserClient.cpp``, ``IOService.cpp``, and
``IODataQueueClient.c`` of IOKitUser.
"""

from kextlab.kernel.explanations import DOCUMENTED

IOKIT = f"""
IOServiceOpen IOServiceClose IOConnectCallMethod IOConnectCallAsyncMethod IOConnectMapMemory64 \
IOConnectUnmapMemory64 IOConnectSetNotificationPort: MACH_SEND_INVALID_DEST | \
ipc_kmsg_copyin_header | {DOCUMENTED}
The name is nobody's: a connection that was closed, one whose driver is gone, or 0, as
IOServiceGetMatchingService answers if there is no such driver.
-> Look at the name before you use it, and open again what was closed.

IOServiceOpen: kIOReturnBadArgument | is_io_service_open_extended | {DOCUMENTED}
The name is no service's, or the task is not the caller's own.
-> Pass what IOServiceGetMatchingService answered, and mach_task_self().

IOServiceOpen: kIOReturnBadArgument | IOService::newUserClient | {DOCUMENTED}
The user client's initWithTask returned false. The driver cannot say why in this way.
-> Override newUserClient to answer a code of your own, such as kIOReturnNotPrivileged.

IOServiceOpen: kIOReturnUnsupported | IOService::newUserClient | {DOCUMENTED}
The driver has no class of user client, or the user client's start returned false.
-> Set IOUserClientClass; look at what start needs.

IOServiceOpen: kIOReturnNotPrivileged | IOUserClient::clientHasPrivilege | {DOCUMENTED}
The driver asked whether the process is root's, and it is not.
-> Open it from a process of uid 0: a daemon that does it for others.

IOServiceOpen: kIOReturnError | is_io_service_open_extended | {DOCUMENTED}
The driver's newUserClient answered success and left no user client.
-> Put one into handler.

IOConnectCallMethod IOConnectMapMemory64 IOConnectUnmapMemory64 IOConnectSetNotificationPort \
IOConnectCallAsyncMethod IOServiceClose: kIOReturnBadArgument | is_io_connect_method | {DOCUMENTED}
The name is not a connection's: a service's, or that of a client which is gone and whose memory is
still mapped.
-> Pass what IOServiceOpen answered.

IOConnectCallMethod: kIOReturnBadArgument | IOUserClient::externalMethod | {DOCUMENTED}
A count differs from the driver's table: scalars in, bytes in, scalars out, bytes out, in this
order. They must be met exactly.
-> Compare the call with the row of its selector; kIOUCVariableStructureSize lets any count pass.

IOConnectCallMethod: kIOReturnUnsupported | IOUserClient::externalMethod | {DOCUMENTED}
The driver has no method of that selector.
-> Selectors count from 0; kext and client must come from one header.

IOConnectCallMethod: kIOReturnNoCompletion | IOUserClient::externalMethod | {DOCUMENTED}
The row of that selector has no function.
-> Fill in the row.

IOConnectCallMethod: kIOReturnIPCError | is_io_connect_method | {DOCUMENTED}
More than 4 GB were asked for.
-> Share memory instead (IOConnectMapMemory64).

IOConnectCallMethod IOConnectCallAsyncMethod: MIG_ARRAY_TOO_LARGE | _Xio_connect_method | \
{DOCUMENTED}
More than 16 scalars, or 8 words of reference; or the driver says that it wrote more than was asked
for.
-> Put what is more into the structure.

IOConnectCallMethod: kIOReturnExclusiveAccess | IOService::open | {DOCUMENTED}
The driver lets one client in at a time, and another has it open, or this one itself.
-> Wait until it is closed. If that process is dead: its clientClose forgot to close the driver.

IOConnectCallMethod: kIOReturnNotOpen | IOService::isOpen | {DOCUMENTED}
The driver wants to be opened by a method first, and this client has not.
-> Call its open method, and look at what it answers.

IOConnectCallAsyncMethod: kIOReturnBadArgument | is_io_connect_async_method | {DOCUMENTED}
There is no word of reference; the kernel writes the wake port into the first.
-> Pass kOSAsyncRef64Count words.

IOConnectMapMemory64: kIOReturnBadArgument | is_io_connect_map_memory_into_task | {DOCUMENTED}
The driver's clientMemoryForType refused or gave nothing, or the task is not the caller's. What the
driver answered does not get through.
-> Ask for a type the driver knows.

IOConnectUnmapMemory64: kIOReturnBadArgument | is_io_connect_unmap_memory_from_task | {DOCUMENTED}
Nothing of that memory is mapped there. A driver that makes a descriptor for each call never finds
the one that was mapped.
-> Keep the descriptor in the driver.

IOConnectSetNotificationPort: kIOReturnUnsupported | IOUserClient::registerNotificationPort | \
{DOCUMENTED}
The driver sends no notifications of that type.
-> Override registerNotificationPort.

IOConnectSetNotificationPort IOConnectCallAsyncMethod: MACH_SEND_INVALID_RIGHT | \
ipc_kmsg_copyin_body | {DOCUMENTED}
The process has no receive right of that name.
-> Pass what IODataQueueAllocateNotificationPort answered.

IODataQueueDequeue: kIOReturnUnderrun | IODataQueueDequeue | {DOCUMENTED}
The queue is empty: head equals tail. A notification may be older than that.
-> Ask IODataQueueDataAvailable first, and wait again.

IODataQueueDequeue: kIOReturnNoSpace | IODataQueueDequeue | {DOCUMENTED}
The record is larger than the buffer. It stays in front, and so does everything behind it.
-> Look at its size with IODataQueuePeek.

IODataQueueDequeue: kIOReturnError | IODataQueueDequeue | {DOCUMENTED}
Head, or the record's size, lies beyond the ring: somebody wrote over the queue.
-> Find out who; there is no way back but a new queue.

IODataQueueDequeue IODataQueueWaitForAvailableData: kIOReturnBadArgument | IODataQueueDequeue | \
{DOCUMENTED}
No queue, no port, or a size below 0.
-> Map the queue first.

IODataQueueWaitForAvailableData: MACH_RCV_TIMED_OUT | mach_msg_receive_results | {DOCUMENTED}
No message came in time. A queue that was not empty sends none.
-> Read the queue until it is empty before you wait.

IODataQueueWaitForAvailableData: MACH_RCV_INVALID_NAME | ipc_mqueue_copyin | {DOCUMENTED}
The process has no receive right of that name.
-> Pass what IODataQueueAllocateNotificationPort answered.

IODataQueueWaitForAvailableData: MACH_RCV_INTERRUPTED | mach_msg_receive_results | {DOCUMENTED}
The wait was ended from outside.
-> Wait again.

IOObjectRelease: KERN_INVALID_NAME | mach_port_deallocate | {DOCUMENTED}
The process has no such name any more.
-> Let go of every name once.
"""

PANICS = f"""
IODataQueue, IOMemoryDescriptor: ^kernel page fault in the | IODataQueue::enqueue | {DOCUMENTED}
The driver used a queue or memory it had released, or memory lent to it for one call after that
call; or it released memory twice; or it shares an IODataQueue, which believes the size that stands
in the memory, and a process wrote a larger one there.
-> Release a queue or memory once, when nothing enqueues or writes any more; copy what is to be kept
beyond a call; share an IOSharedDataQueue, which keeps a size of its own.
"""

DEADLOCKS = f"""
IODataQueueWaitForAvailableData: sleeps in mach_msg_receive | mach_msg_receive | {DOCUMENTED}
No notification is queued, and no other task can run that would make the driver send one. A queue
that was not empty sends none.
-> Read the queue until it is empty before you wait; let the driver enqueue first.
"""
