"""What the processes of the bridge say to each other: a length of four bytes, then JSON. Descriptors travel beside the length."""

import contextlib
import json
import math
import os
import select
import socket
import struct

PREFIX = struct.Struct(">I")
DESCRIPTORS = 4


def hear(control):
    """The next packet as bytes, and its descriptors; `None` at the end."""
    prefix, descriptors = b"", []
    while len(prefix) < PREFIX.size:
        part, received, _, _ = socket.recv_fds(control, PREFIX.size - len(prefix), DESCRIPTORS)
        if not part:
            return None, []
        prefix += part
        descriptors += received
    (left,) = PREFIX.unpack(prefix)
    body = bytearray()
    while left > len(body):
        part = control.recv(left - len(body))
        if not part:
            return None, []
        body += part
    return bytes(body), descriptors


def say(control, packet):
    body = json.dumps(packet).encode()
    control.sendall(PREFIX.pack(len(body)) + body)


def hand_on(control, body, descriptors):
    """Sends the bytes of a packet that was heard, with what came beside it."""
    prefix = PREFIX.pack(len(body))
    sent = socket.send_fds(control, [prefix], descriptors)
    control.sendall(prefix[sent:] + body)


def readable(descriptors, patience=None):
    """Which of these descriptors have something to read, or their end; waits for so many seconds at most."""
    poll = select.poll()  # and not `select`, which knows no number above 1,023
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(None if patience is None else math.ceil(patience * 1000))}


def lead(pid):
    """Makes a child the leader of a group at once: it may take a while until it does that itself."""
    with contextlib.suppress(OSError):  # it has done so, or has ended
        os.setpgid(pid, pid)


def close_all(descriptors):
    for descriptor in descriptors:
        os.close(descriptor)
