"""A locker's label: a QR code as an SVG picture."""

import io
from typing import Final

import segno

_MODULE_PX: Final = 8
_QUIET_MODULES: Final = 4
"""The white frame that readers need."""


def label_svg(address: str, title: str) -> bytes:
    """Return a QR code of the address. A quarter of it may be scratched, as labels on lockers are."""
    picture = io.BytesIO()
    segno.make_qr(address, error="q").save(
        picture, kind="svg", scale=_MODULE_PX, border=_QUIET_MODULES, light="#fff", title=title, desc=address
    )
    return picture.getvalue()
