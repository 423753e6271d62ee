"""What a photo's file says beside its pixels, as the pipeline hands it to the applier. Travels as JSON."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from respray.contract.base import StrictModel


class KeptMetadata(StrictModel):
    """What outputs keep of a photo's metadata: authorship, description, capture and resolution; never position or maker notes.

    `exif` is a TIFF block without the leading "Exif" (orientation free); `xmp` a packet; `dpi` pixels per inch, across and down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64")

    exif: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None


class PhotoFacts(StrictModel):
    """`orientation` is the EXIF orientation that was applied, 1 to 8; `warnings` say what of the file was not understood."""

    orientation: int = Field(default=1, ge=1, le=8)
    metadata: KeptMetadata = KeptMetadata()
    warnings: tuple[str, ...] = ()
