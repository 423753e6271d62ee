"""What a photo's file says beside its pixels, as the pipeline hands it to the applier. Travels as JSON."""

from __future__ import annotations

from typing import Annotated

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


Steps = Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], Field(min_length=64, max_length=64)]


class JpegTables(StrictModel):
    """How coarsely a JPEG file's frequencies are stored (ITU-R T.81): each is off by up to half its step.

    `luma` and `chroma` are steps in 8-bit codes for an orthonormal 8 x 8 DCT, row by row from the lowest frequency; `sampling` is how many
    pixels one chroma sample covers, across and down; `origin` the first whole block's corner in the upright photo, x and y.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    luma: Steps
    chroma: Steps
    sampling: tuple[Annotated[int, Field(ge=1, le=4)], Annotated[int, Field(ge=1, le=4)]] = (1, 1)
    origin: tuple[Annotated[int, Field(ge=0, le=7)], Annotated[int, Field(ge=0, le=7)]] = (0, 0)


class PhotoFacts(StrictModel):
    """`orientation` is the EXIF orientation that was applied, 1 to 8; `jpeg` how coarse a JPEG is, None for lossless files; `warnings` say
    what of the file was not understood."""

    orientation: int = Field(default=1, ge=1, le=8)
    jpeg: JpegTables | None = None
    metadata: KeptMetadata = KeptMetadata()
    warnings: tuple[str, ...] = ()
