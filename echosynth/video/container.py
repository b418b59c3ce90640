"""Two checks of a video file that FFmpeg leaves out: that it was not cut off, and that an AVI names its frame rate.

FFmpeg plays what is left of a file that was cut off, and takes 25 Hz where an AVI names no rate. Both would be read
without a warning: half a beat, a heart at the wrong speed.

    AVI         "RIFF", size u32, ...; "avih", size, microseconds per frame u32, ...; "strh", size, "vids", 16 bytes,
                scale u32, rate u32: rate / scale Hz
    MKV, WebM   elements: id, size; the header, then the segment that holds all else. A size has as many bytes as its
                first byte has leading zeros, and one; all ones: not known
    GIF         ends with the 0 that closes its last block, and a semicolon

MP4 and MOV need none of this: FFmpeg refuses them without their table of frames or with less than it lists.
"""

import os
import re
from typing import BinaryIO

from echosynth.errors import CorruptVideoError

_HEAD = 1 << 16  # bytes within which an AVI tells of its streams
_SEGMENT = b"\x18\x53\x80\x67"


def check_container(file: BinaryIO, name: str) -> None:
    """Raise CorruptVideoError for a video that was cut off, or an AVI without a frame rate; the file is rewound."""
    total = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(_HEAD)
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        # A size of 0 was never filled in; many writers count the first eight bytes too.
        _refuse_shorter(name, total, int.from_bytes(head[4:8], "little"))
        if _names_no_rate(head):
            raise CorruptVideoError(f"{name} names no frame rate")
    elif head[:4] == b"\x1aE\xdf\xa3":
        _refuse_shorter(name, total, _matroska_end(head))
    elif head[:4] == b"GIF8":
        file.seek(max(0, total - 64))
        if not file.read().rstrip(b"\0").endswith(b"\0;"):
            raise CorruptVideoError(f"{name} is cut off: the end of the GIF is missing; copy it again")
    file.seek(0)


def _refuse_shorter(name: str, total: int, wanted: int) -> None:
    if total < wanted:
        raise CorruptVideoError(f"{name} is cut off: {total} of {wanted} bytes are there; copy it again")


def _names_no_rate(head: bytes) -> bool:
    """Whether neither the stream's header nor the file's says how long a frame of an AVI is shown."""
    stream = re.search(rb"strh.{4}vids.{16}(.{4})(.{4})", head, re.DOTALL)
    whole = re.search(rb"avih.{4}(.{4})", head, re.DOTALL)
    by_stream = stream is not None and all(map(any, stream.groups()))
    return not (by_stream or (whole is not None and any(whole[1])))


def _matroska_end(head: bytes) -> int:
    """Where the segment ends, in bytes from the start; 0 if the file does not say."""
    begin, length = _element_size(head, 4)
    segment = begin + length
    if head[segment : segment + 4] != _SEGMENT:
        return 0
    begin, length = _element_size(head, segment + 4)
    return begin + length if length else 0


def _element_size(head: bytes, at: int) -> tuple[int, int]:
    """Where the content of an element begins whose size stands at `at`, and that size; 0 if it is not known."""
    first = head[at] if at < len(head) else 0
    count = 9 - first.bit_length()
    if count > 8:
        return at + 1, 0
    bits = 7 * count
    size = int.from_bytes(head[at : at + count], "big") & ((1 << bits) - 1)
    return at + count, 0 if size == (1 << bits) - 1 else size
