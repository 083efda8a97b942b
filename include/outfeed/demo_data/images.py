"""Small valid PNG, JPEG and PDF files, made by hand: the same text gives the same bytes."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

#: Baseline JPEG of one grey 8 × 8 block: tables with one code each, then a scan of the two codes `DC 0` and
#: end of block.
_JPEG_QUANTISATION = b"\xff\xdb\x00\x43\x00" + b"\x10" * 64
_JPEG_FRAME = b"\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00"
_JPEG_DC_TABLE = b"\xff\xc4\x00\x14\x00" + b"\x01" + b"\x00" * 15 + b"\x00"
_JPEG_AC_TABLE = b"\xff\xc4\x00\x14\x10" + b"\x01" + b"\x00" * 15 + b"\x00"
_JPEG_SCAN = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x3f"


def png(text: str) -> bytes:
    """An 8 × 8 grey PNG whose comment is `text`; its shade depends on it."""
    shade = zlib.crc32(text.encode()) & 0xFF
    rows = (b"\x00" + bytes([shade]) * 8) * 8
    # Stored, not compressed: other builds of zlib compress to other bytes.
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)),
            _png_chunk(b"tEXt", b"Comment\x00" + text.encode("latin-1", "replace")),
            _png_chunk(b"IDAT", zlib.compress(rows, 0)),
            _png_chunk(b"IEND", b""),
        ]
    )


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def jpeg(text: str) -> bytes:
    """An 8 × 8 grey JPEG whose comment is `text`."""
    comment = text.encode()
    return b"".join(
        [
            b"\xff\xd8",
            b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00",
            b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment,
            _JPEG_QUANTISATION + _JPEG_FRAME + _JPEG_DC_TABLE + _JPEG_AC_TABLE + _JPEG_SCAN,
            b"\xff\xd9",
        ]
    )


def pdf(text: str) -> bytes:
    """A PDF of one page that shows `text` (letters, digits and hyphens)."""
    drawing = f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 320 200] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    content, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return content + (
        b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (len(objects) + 1, table, len(objects) + 1, len(content))
    )


#: Maker of a file's content by its extension.
MAKERS: dict[str, Callable[[str], bytes]] = {".jpg": jpeg, ".jpeg": jpeg, ".png": png, ".pdf": pdf}
