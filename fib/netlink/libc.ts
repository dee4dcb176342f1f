/** The C library calls that Node lacks, through koffi. All are synchronous; every descriptor made here is close-on-exec. */
import koffi from 'koffi';

const libc = koffi.load(null);

/** A call's result: what the C function returned, or the positive errno. */
export type CallResult = { readonly value: number } | { readonly errno: number };

const cSocket: (domain: number, type: number, protocol: number) => number = libc.func(
  'int socket(int domain, int type, int protocol)',
);
const cBind: (fd: number, address: Uint8Array, length: number) => number = libc.func(
  'int bind(int fd, const void *address, uint32_t length)',
);
const cGetsockname: (fd: number, address: Uint8Array, length: Uint32Array) => number = libc.func(
  'int getsockname(int fd, void *address, void *length)',
);
const cSetsockopt: (fd: number, level: number, name: number, value: Uint8Array, length: number) => number =
  libc.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t length)');
const cSendFunction = libc.func('int64_t send(int fd, const void *data, uint64_t length, int flags)');
const cSend: (fd: number, data: Uint8Array, length: number, flags: number) => number = cSendFunction;
const cRecv: (fd: number, data: Uint8Array, length: number, flags: number) => number = libc.func(
  'int64_t recv(int fd, void *data, uint64_t length, int flags)',
);
const cSendto: (
  fd: number,
  data: Uint8Array,
  length: number,
  flags: number,
  address: Uint8Array,
  addressLength: number,
) => number = libc.func(
  'int64_t sendto(int fd, const void *data, uint64_t length, int flags, const void *address, uint32_t address_length)',
);
const cRecvfrom: (
  fd: number,
  data: Uint8Array,
  length: number,
  flags: number,
  address: Uint8Array,
  addressLength: Uint32Array,
) => number = libc.func(
  'int64_t recvfrom(int fd, void *data, uint64_t length, int flags, void *address, void *address_length)',
);
const cPoll: (fds: Uint8Array, count: number, timeoutMs: number) => number = libc.func(
  'int poll(void *fds, uint64_t count, int timeout)',
);
const cSetns: (fd: number, type: number) => number = libc.func('int setns(int fd, int type)');
const cClose: (fd: number) => number = libc.func('int close(int fd)');

const EINTR = 4;
const EIO = 5;
const EAGAIN = 11;
const POLLIN = 1;
const SOL_SOCKET = 1;
const SO_ATTACH_FILTER = 26;

export const MSG_DONTWAIT = 0x40;

/** socket(2); SOCK_CLOEXEC is added. */
export function socket(domain: number, type: number, protocol: number): CallResult {
  return result(cSocket(domain, type | 0x80000, protocol));
}

/** bind(2) with the octets of a sockaddr. */
export function bind(fd: number, address: Uint8Array): CallResult {
  return result(cBind(fd, address, address.length));
}

/** getsockname(2): fills `address`. */
export function getsockname(fd: number, address: Uint8Array): CallResult {
  return result(cGetsockname(fd, address, Uint32Array.of(address.length)));
}

/** setsockopt(2) with the octets of the value. */
export function setsockopt(fd: number, level: number, name: number, value: Uint8Array): CallResult {
  return result(cSetsockopt(fd, level, name, value, value.length));
}

/** setsockopt(2) with an int. */
export function setsockoptInt(fd: number, level: number, name: number, value: number): CallResult {
  return setsockopt(fd, level, name, new Uint8Array(Int32Array.of(value).buffer));
}

/** SO_ATTACH_FILTER with a classic BPF program, 8 octets an instruction (struct sock_filter). */
export function attachFilter(fd: number, program: Uint8Array): CallResult {
  const fprog = new Uint8Array(16);
  const view = new DataView(fprog.buffer);
  view.setUint16(0, program.length / 8, true);
  view.setBigUint64(8, koffi.address(program), true);
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, fprog);
}

/** send(2), repeated when a signal interrupts it. Returns the octets sent, or minus the errno. */
export function send(fd: number, data: Uint8Array): number {
  for (;;) {
    const sent = cSend(fd, data, data.length, 0);
    if (sent >= 0) return sent;
    const errno = koffi.errno();
    if (errno !== EINTR) return -errno;
  }
}

/**
 * send(2) on a thread of libuv's pool, for requests that the kernel takes long over. Resolves to the octets sent, or to minus EIO: the errno
 * is another thread's. `data` must not change meanwhile.
 */
export function sendOnThread(fd: number, data: Uint8Array): Promise<number> {
  return new Promise((resolve, reject) => {
    const done = (error: unknown, sent: unknown): void => {
      if (error) reject(error);
      else resolve(typeof sent === 'number' && sent >= 0 ? sent : -EIO);
    };
    cSendFunction.async(fd, data, data.length, 0, done);
  });
}

/** recv(2), repeated when a signal interrupts it. Returns the octets received, or minus the errno. */
export function recv(fd: number, buffer: Uint8Array, flags: number): number {
  for (;;) {
    const received = cRecv(fd, buffer, buffer.length, flags);
    if (received >= 0) return received;
    const errno = koffi.errno();
    if (errno !== EINTR) return -errno;
  }
}

/** sendto(2) with the octets of a sockaddr, never blocking; repeated when a signal interrupts it. Returns the octets sent, or minus the errno. */
export function sendTo(fd: number, data: Uint8Array, address: Uint8Array): number {
  for (;;) {
    const sent = cSendto(fd, data, data.length, MSG_DONTWAIT, address, address.length);
    if (sent >= 0) return sent;
    const errno = koffi.errno();
    if (errno !== EINTR) return -errno;
  }
}

/**
 * recvfrom(2) without waiting; fills `address` with the sender's sockaddr. Returns the octets received, or minus the errno; `-EAGAIN` (-11) when
 * there is nothing.
 */
export function receiveFrom(fd: number, buffer: Uint8Array, address: Uint8Array): number {
  for (;;) {
    const length = Uint32Array.of(address.length);
    const received = cRecvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, address, length);
    if (received >= 0) return received;
    const errno = koffi.errno();
    if (errno !== EINTR) return -errno;
  }
}

/**
 * Receives without blocking for ever: poll(2) up to `timeoutMs`, then recv(2). Returns the octets received, or minus the errno;
 * `-EAGAIN` (-11) when the time is over. Blocks the event loop meanwhile: for replies that the kernel has ready at once.
 */
export function recvWithin(fd: number, buffer: Uint8Array, timeoutMs: number): number {
  const received = recv(fd, buffer, MSG_DONTWAIT);
  if (received !== -EAGAIN) return received;
  const pollfd = new Uint8Array(8);
  const view = new DataView(pollfd.buffer);
  view.setInt32(0, fd, true);
  view.setInt16(4, POLLIN, true);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const left = Math.ceil(deadline - performance.now());
    if (left <= 0) return -EAGAIN;
    const ready = cPoll(pollfd, 1, left);
    if (ready > 0) return recv(fd, buffer, MSG_DONTWAIT);
    if (ready < 0 && koffi.errno() !== EINTR) return -koffi.errno();
  }
}

/** setns(2) into the namespace that `fd` stands for; `type` is 0x40000000 (CLONE_NEWNET) for a network namespace. */
export function setns(fd: number, type: number): CallResult {
  return result(cSetns(fd, type));
}

/** close(2); errors are of no use to anyone. */
export function close(fd: number): void {
  cClose(fd);
}

/** A running watch for readability. */
export interface ReadableWatch {
  close(): void;
}

/**
 * Calls `onReadable` in an immediate of its own whenever the descriptor is readable or has an error, until closed. It rides on
 * libuv's own poll: no thread, no signal, works in workers too, and does not keep the process alive.
 */
export function watchReadable(fd: number, onReadable: () => void): ReadableWatch {
  let scheduled = false;
  let closed = false;
  const onEvent = (): void => {
    if (scheduled) return;
    scheduled = true;
    // Not from inside libuv's callback: koffi opens no callback scope there, so ticks and promises would wait.
    setImmediate(run);
  };
  const run = (): void => {
    scheduled = false;
    if (closed) return;
    // libuv stops the watch when the socket has an error (ENOBUFS for netlink); starting it again when it runs does nothing.
    handle.start({ readable: true }, onEvent);
    onReadable();
  };
  const handle = koffi.node.poll(fd, { readable: true }, onEvent);
  handle.unref();
  return {
    close: () => {
      closed = true;
      handle.close();
    },
  };
}

function result(value: number): CallResult {
  return value < 0 ? { errno: koffi.errno() } : { value };
}
