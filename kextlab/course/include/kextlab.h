/*
 * Declarations for the listings of the course, in our own words: the names, numbers and prototypes
 * a kernel control, its client and a program with Mach ports need, and nothing else. Good for
 * checking syntax and types, not for building anything. Kernel and user space share this one file.
 */
#pragma once

#define NULL ((void *)0)
typedef __SIZE_TYPE__ size_t;
typedef __INT32_TYPE__ int32_t;
typedef __INT64_TYPE__ int64_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __UINT32_TYPE__ uint32_t;
typedef __UINT64_TYPE__ uint64_t;
typedef uint8_t u_char;
typedef uint16_t u_int16_t;
typedef uint32_t u_int32_t;
typedef uint64_t u_int64_t;
typedef __PTRDIFF_TYPE__ ssize_t;
typedef _Bool bool;
#define true 1
#define false 0

/* --- C library, and what the kernel has of it ------------------------------------------------ */

int printf(const char *, ...);
int snprintf(char *, size_t, const char *, ...);
size_t strlcpy(char *, const char *, size_t);
char *strncpy(char *, const char *, size_t);
size_t strlen(const char *);
int strcmp(const char *, const char *);
int memcmp(const void *, const void *, size_t);
void *memcpy(void *, const void *, size_t);
void *memset(void *, int, size_t);
void bzero(void *, size_t);
void *malloc(size_t);
void *calloc(size_t, size_t);
void free(void *);
void err(int, const char *, ...) __attribute__((noreturn));
void errx(int, const char *, ...) __attribute__((noreturn));
void perror(const char *);

extern int errno;
#define EPERM 1
#define ENOENT 2
#define ENXIO 6
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EINVAL 22
#define EAGAIN 35
#define EWOULDBLOCK EAGAIN
#define EMSGSIZE 40
#define EPROTOTYPE 41
#define ENOPROTOOPT 42
#define ENOTSUP 45
#define ENOBUFS 55
#define EISCONN 56
#define ENOTCONN 57
#define ETIMEDOUT 60
#define EOPNOTSUPP 102
typedef int errno_t;

/* --- sockets of PF_SYSTEM --------------------------------------------------------------------- */

typedef uint32_t socklen_t;
struct sockaddr;
struct iovec {
    void *iov_base;
    size_t iov_len;
};

#define AF_SYSTEM 32
#define PF_SYSTEM AF_SYSTEM
#define AF_SYS_CONTROL 2
#define SYSPROTO_EVENT 1
#define SYSPROTO_CONTROL 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOL_SOCKET 0xffff
#define SO_SNDBUF 0x1001
#define SO_RCVBUF 0x1002
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x10
#define MSG_WAITALL 0x40
#define MSG_DONTWAIT 0x80

int socket(int domain, int type, int protocol);
int connect(int fd, const struct sockaddr *address, socklen_t length);
int getpeername(int fd, struct sockaddr *address, socklen_t *length);
int getsockopt(int fd, int level, int name, void *value, socklen_t *length);
int setsockopt(int fd, int level, int name, const void *value, socklen_t length);
ssize_t send(int fd, const void *data, size_t length, int flags);
ssize_t recv(int fd, void *data, size_t length, int flags);
ssize_t read(int fd, void *data, size_t length);
ssize_t write(int fd, const void *data, size_t length);
int ioctl(int fd, unsigned long request, ...);
int close(int fd);

/* --- kernel control: bytes 0 to 31 of an address, 100 bytes of a lookup ----------------------- */

#define MAX_KCTL_NAME 96

struct sockaddr_ctl {
    u_char sc_len;           /* 32 */
    u_char sc_family;        /* AF_SYSTEM */
    u_int16_t ss_sysaddr;    /* AF_SYS_CONTROL */
    u_int32_t sc_id;         /* the control */
    u_int32_t sc_unit;       /* the client; 0 asks for any */
    u_int32_t sc_reserved[5];
};

struct ctl_info {
    u_int32_t ctl_id;
    char ctl_name[MAX_KCTL_NAME];
};

#define CTLIOCGCOUNT 0x40044e02UL
#define CTLIOCGINFO 0xc0644e03UL

typedef void *kern_ctl_ref;
typedef struct __mbuf *mbuf_t;
typedef int kern_return_t;
#define KERN_SUCCESS 0
#define KERN_FAILURE 5
typedef struct kmod_info kmod_info_t;

#define CTL_FLAG_PRIVILEGED 0x1
#define CTL_FLAG_REG_ID_UNIT 0x2
#define CTL_FLAG_REG_SOCK_STREAM 0x4
#define CTL_DATA_NOWAKEUP 0x1
#define CTL_DATA_EOR 0x2

typedef errno_t (*ctl_connect_func)(kern_ctl_ref, struct sockaddr_ctl *, void **unitinfo);
typedef errno_t (*ctl_disconnect_func)(kern_ctl_ref, u_int32_t unit, void *unitinfo);
typedef errno_t (*ctl_send_func)(kern_ctl_ref, u_int32_t unit, void *unitinfo, mbuf_t, int flags);
typedef errno_t (*ctl_setopt_func)(
    kern_ctl_ref, u_int32_t unit, void *unitinfo, int opt, void *data, size_t len);
typedef errno_t (*ctl_getopt_func)(
    kern_ctl_ref, u_int32_t unit, void *unitinfo, int opt, void *data, size_t *len);

struct kern_ctl_reg {
    char ctl_name[MAX_KCTL_NAME];
    u_int32_t ctl_id;
    u_int32_t ctl_unit;
    u_int32_t ctl_flags;
    u_int32_t ctl_sendsize;
    u_int32_t ctl_recvsize;
    ctl_connect_func ctl_connect;
    ctl_disconnect_func ctl_disconnect;
    ctl_send_func ctl_send;
    ctl_setopt_func ctl_setopt;
    ctl_getopt_func ctl_getopt;
};

errno_t ctl_register(struct kern_ctl_reg *, kern_ctl_ref *);
errno_t ctl_deregister(kern_ctl_ref);
errno_t ctl_enqueuedata(kern_ctl_ref, u_int32_t unit, void *data, size_t length, u_int32_t flags);
errno_t ctl_enqueuembuf(kern_ctl_ref, u_int32_t unit, mbuf_t, u_int32_t flags);
errno_t ctl_getenqueuespace(kern_ctl_ref, u_int32_t unit, size_t *space);

/* --- mbufs ------------------------------------------------------------------------------------ */

size_t mbuf_pkthdr_len(mbuf_t);
size_t mbuf_len(mbuf_t);
void *mbuf_data(mbuf_t);
mbuf_t mbuf_next(mbuf_t);
errno_t mbuf_copydata(mbuf_t, size_t offset, size_t length, void *out);
void mbuf_freem(mbuf_t);

/* --- kernel events ---------------------------------------------------------------------------- */

#define KEV_ANY_VENDOR 0
#define KEV_ANY_CLASS 0
#define KEV_ANY_SUBCLASS 0
#define KEV_VENDOR_CODE_MAX_STR_LEN 200
#define KEV_MSG_HEADER_SIZE 24
#define SIOCGKEVID 0x40046501UL
#define SIOCSKEVFILT 0x800c6502UL
#define SIOCGKEVFILT 0x400c6503UL
#define SIOCGKEVVENDOR 0xc0cc6504UL

struct kern_event_msg {
    u_int32_t total_size;
    u_int32_t vendor_code;
    u_int32_t kev_class;
    u_int32_t kev_subclass;
    u_int32_t id;
    u_int32_t event_code;
    u_int32_t event_data[1];
};

struct kev_request {
    u_int32_t vendor_code;
    u_int32_t kev_class;
    u_int32_t kev_subclass;
};

struct kev_vendor_code {
    u_int32_t vendor_code;
    char vendor_string[KEV_VENDOR_CODE_MAX_STR_LEN];
};

struct kev_d_vectors {
    u_int32_t data_length;
    void *data_ptr;
};

struct kev_msg {
    u_int32_t vendor_code;
    u_int32_t kev_class;
    u_int32_t kev_subclass;
    u_int32_t event_code;
    struct kev_d_vectors dv[5];
};

errno_t kev_vendor_code_find(const char *vendor, u_int32_t *code);
errno_t kev_msg_post(struct kev_msg *);

/* --- Mach: ports and messages of a process ---------------------------------------------------- */

#define KERN_INVALID_NAME 15
#define KERN_INVALID_RIGHT 17
#define KERN_RIGHT_EXISTS 21

typedef uint32_t mach_port_t;
typedef int32_t mach_port_delta_t;
typedef uint32_t mach_port_right_t;
typedef uint32_t mach_port_mscount_t;
typedef int mach_msg_return_t;
typedef int32_t mach_msg_id_t;
typedef int32_t mach_msg_option_t;
typedef uint32_t mach_msg_bits_t;
typedef uint32_t mach_msg_size_t;
typedef uint32_t mach_msg_timeout_t;
typedef uint32_t mach_msg_type_name_t;

#define MACH_PORT_NULL 0
#define MACH_PORT_RIGHT_SEND 0
#define MACH_PORT_RIGHT_RECEIVE 1
#define MACH_PORT_RIGHT_SEND_ONCE 2
#define MACH_PORT_RIGHT_PORT_SET 3
#define MACH_PORT_RIGHT_DEAD_NAME 4
#define MACH_PORT_QLIMIT_DEFAULT 5

#define MACH_MSG_TYPE_MOVE_RECEIVE 16
#define MACH_MSG_TYPE_MOVE_SEND 17
#define MACH_MSG_TYPE_MOVE_SEND_ONCE 18
#define MACH_MSG_TYPE_COPY_SEND 19
#define MACH_MSG_TYPE_MAKE_SEND 20
#define MACH_MSG_TYPE_MAKE_SEND_ONCE 21
#define MACH_MSGH_BITS_COMPLEX 0x80000000
#define MACH_MSGH_BITS(remote, local) ((remote) | ((local) << 8))
#define MACH_MSG_PORT_DESCRIPTOR 0

#define MACH_MSG_SUCCESS 0
#define MACH_SEND_MSG 0x1
#define MACH_RCV_MSG 0x2
#define MACH_SEND_TIMEOUT 0x10
#define MACH_RCV_TIMEOUT 0x100
#define MACH_SEND_INVALID_DEST 0x10000003
#define MACH_SEND_TIMED_OUT 0x10000004
#define MACH_RCV_INVALID_NAME 0x10004002
#define MACH_RCV_TIMED_OUT 0x10004003

#define MACH_NOTIFY_NO_SENDERS 70
#define MACH_NOTIFY_SEND_ONCE 71
#define MACH_NOTIFY_DEAD_NAME 72

typedef struct {
    mach_msg_bits_t msgh_bits;
    mach_msg_size_t msgh_size;
    mach_port_t msgh_remote_port;
    mach_port_t msgh_local_port;
    mach_port_t msgh_voucher_port;
    mach_msg_id_t msgh_id;
} mach_msg_header_t;

typedef struct {
    mach_msg_size_t msgh_descriptor_count;
} mach_msg_body_t;

typedef struct {
    mach_port_t name;
    uint32_t pad1;
    uint32_t pad2 : 16;
    uint32_t disposition : 8;
    uint32_t type : 8;
} mach_msg_port_descriptor_t;

typedef struct {
    uint32_t msgh_trailer_type;
    uint32_t msgh_trailer_size;
} mach_msg_trailer_t;

mach_port_t mach_task_self(void);
extern mach_port_t bootstrap_port;
kern_return_t bootstrap_check_in(mach_port_t bootstrap, const char *service, mach_port_t *port);
kern_return_t bootstrap_look_up(mach_port_t bootstrap, const char *service, mach_port_t *port);
kern_return_t mach_port_allocate(mach_port_t task, mach_port_right_t right, mach_port_t *name);
kern_return_t mach_port_insert_right(
    mach_port_t task, mach_port_t name, mach_port_t poly, mach_msg_type_name_t);
kern_return_t mach_port_deallocate(mach_port_t task, mach_port_t name);
kern_return_t mach_port_mod_refs(
    mach_port_t task, mach_port_t name, mach_port_right_t right, mach_port_delta_t delta);
kern_return_t mach_port_request_notification(
    mach_port_t task, mach_port_t name, mach_msg_id_t, mach_port_mscount_t sync,
    mach_port_t notify, mach_msg_type_name_t, mach_port_t *previous);
mach_msg_return_t mach_msg(
    mach_msg_header_t *, mach_msg_option_t, mach_msg_size_t send_size, mach_msg_size_t rcv_size,
    mach_port_t rcv_name, mach_msg_timeout_t milliseconds, mach_port_t notify);

/* --- Mach: memory of a process ---------------------------------------------------------------- */

#define VM_PROT_NONE 0
#define VM_PROT_READ 1
#define VM_PROT_WRITE 2
#define VM_FLAGS_ANYWHERE 0x1
#define VM_INHERIT_NONE 2
#define MAP_MEM_VM_SHARE 0x400000

typedef uint64_t mach_vm_address_t;
typedef uint64_t mach_vm_offset_t;
typedef uint64_t mach_vm_size_t;
typedef uint64_t memory_object_offset_t;
typedef uint64_t memory_object_size_t;
typedef int vm_prot_t;
typedef uint32_t vm_inherit_t;

kern_return_t mach_vm_allocate(
    mach_port_t task, mach_vm_address_t *address, mach_vm_size_t size, int flags);
kern_return_t mach_vm_deallocate(
    mach_port_t task, mach_vm_address_t address, mach_vm_size_t size);
kern_return_t mach_make_memory_entry_64(
    mach_port_t task, memory_object_size_t *size, memory_object_offset_t offset,
    vm_prot_t permission, mach_port_t *entry, mach_port_t parent);
kern_return_t mach_vm_map(
    mach_port_t task, mach_vm_address_t *address, mach_vm_size_t size, mach_vm_offset_t mask,
    int flags, mach_port_t object, memory_object_offset_t offset, bool copy, vm_prot_t current,
    vm_prot_t maximum, vm_inherit_t);
