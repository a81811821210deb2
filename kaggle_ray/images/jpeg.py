"""The header of a JPEG file, and the fraction of its size at which it can be decoded.

A JPEG decoder can shrink by 2, 4 or 8 while it transforms blocks back, which costs less than decoding all pixels and
averaging them afterwards. Where the result is then averaged down by at least ``_MIN_REST`` more, it differs from that
by about one grey level of 255 in the mean, on photographs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_START = b"\xff\xd8"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of a frame's header, whatever its coding."""
_WITHOUT_LENGTH = frozenset({0x00, 0x01, *range(0xD0, 0xDB)})
"""Markers that no segment of a header follows, that of the first scan included."""
_APP1 = 0xE1
_FACTORS = (8, 4, 2)
_MIN_REST = 1.5


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What a JPEG file says of itself before its pixels."""

    height: int
    """Height in pixels, before the image is turned as its EXIF data says."""
    width: int
    has_exif: bool

    def reduction(self, height: int, width: int) -> int:
        """Return the factor, 1, 2, 4 or 8, by which the decoder may shrink what becomes ``height`` x ``width``.

        A photograph that may be turned is shrunk only where no pixel at its border stands for a part of its area: after
        turning it is not known at which border that would be.
        """
        rest = min(self.height / height, self.width / width)
        if self.has_exif:
            rest = min(rest, self.height / width, self.width / height)
        for factor in _FACTORS:
            divides = self.height % factor == 0 and self.width % factor == 0
            if rest >= _MIN_REST * factor and (divides or not self.has_exif):
                return factor
        return 1


def read_header(content: bytes) -> JpegHeader | None:
    """Return the header of a file, None where it is no JPEG or its header is damaged.

    Source: ITU-T T.81, annex B (JPEG); JEITA CP-3451 (EXIF).
    """
    if not content.startswith(_START):
        return None
    has_exif, position = False, len(_START)
    while position + 9 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return JpegHeader(height, width, has_exif) if height and width else None
        if marker == 0xFF:  # a byte of filling
            position += 1
            continue
        if marker in _WITHOUT_LENGTH:
            return None
        has_exif = has_exif or (marker == _APP1 and content.startswith(b"Exif", position + 4))
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return None
