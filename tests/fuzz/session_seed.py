#!/usr/bin/env python3
"""Writes a saved session as runtime/engine/session_file.h describes it: `session_seed.py FILE`. It has two layers, a
draft's layer, eleven tokens, a stop string and a reply in its thinking."""
import struct
import sys

TOKENS = list(range(20, 31))
PROMPT, LENGTH, DRAFT_LENGTH, ROW = 6, 10, 9, 8


def thought(length, root):
    words = [length, root, 1, PROMPT, length - PROMPT, 0] + [0] * 3 + [0, 0] + [0] * 30 + [0] * 256
    return struct.pack("<%dI" % len(words), *words)


def settings():
    words = [0] * 36
    words[10:16] = [100, 64, 1, 1, 2, 1]  # vocabulary, end_position, counts of open, close and exit tokens, split_mask
    markers = [3] + [0] * 7 + [4] + [0] * 7 + [5, 4] + [0] * 62 + [0] * 64 + [0] * 64
    return struct.pack("<%dI" % (len(words) + len(markers)), *words, *markers)


def mix(value, word):
    value = (value ^ word) * 0x9e3779b97f4a7c15 & 0xffffffffffffffff
    value ^= value >> 32
    value = value * 0xd6e8feb86659fd93 & 0xffffffffffffffff
    return value ^ value >> 29


def checksum(data):
    """sx_hash64 of the one block that this little file is."""
    assert len(data) <= 1 << 20
    value = mix(0xcbf29ce484222325, len(data))
    for at in range(0, len(data), 8):
        value = mix(value, int.from_bytes(data[at:at + 8], "little"))
    return mix(value, 0xa5)


def main():
    stops = b"end\0"
    parts = struct.pack("<%dI" % len(TOKENS), *TOKENS) + stops + settings() + thought(10, TOKENS[10]) + thought(8, 40)
    parts += bytes(2 * 2 * LENGTH * ROW) + bytes(2 * DRAFT_LENGTH * ROW)
    head = [0, 2, ROW, 1, ROW, 100, len(TOKENS), PROMPT, LENGTH, DRAFT_LENGTH,
            2, 1, 2, 0,  # being written, thinking open, left by the signals once
            3, 3, 1, 3,  # a chain of three
            1, len(stops), 4, 0, 5, 0, 2, 4, 9, 3, 0, 0]
    head_bytes = 8 + 8 + 24 + 4 * len(head)
    start = b"SXSESSN\0" + struct.pack("<IIQQQ", 1, head_bytes, head_bytes + len(parts) + 8, 1, 2)
    data = start + struct.pack("<%dI" % len(head), *head) + parts
    with open(sys.argv[1], "wb") as file:
        file.write(data + struct.pack("<Q", checksum(data)))


main()
