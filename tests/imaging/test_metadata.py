"""What of a photo's metadata leaves with it: authorship, description, capture, resolution; never its position."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from respray.contract.photo_facts import KeptMetadata
from respray.contract.photo_file import ImageFormat
from respray.imaging.decode import decode_photo
from respray.imaging.encode import encode
from respray.imaging.exif import ARTIST, COPYRIGHT, DATE_TIME_ORIGINAL, DESCRIPTION, MAX_BLOCK, ExifBlock
from tests.imaging.test_senders_files import picture, saved

MAKER_NOTE, SERIAL_NUMBER, GPS, EXPOSURE, USER_COMMENT = 37500, 42033, 34853, 33434, 37510
SECRETS = (b"MAKERNOTE", b"SERIAL", b"HISTORY", b"59.9139")
XMP = b"""<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"
xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmpRights="http://ns.adobe.com/xap/1.0/rights/" xmlns:h="http://ns.adobe.com/history/"
exif:GPSLatitude="59.9139N" xmpRights:WebStatement="https://example.com/licence" h:steps="HISTORY">
<dc:rights><rdf:Alt><rdf:li xml:lang="x-default">\xc2\xa9 Zo\xc3\xab</rdf:li></rdf:Alt></dc:rights>
<dc:creator><rdf:Seq><rdf:li>Zo\xc3\xab</rdf:li><rdf:li>Ana</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?>"""


def camera_exif(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    exif[ARTIST], exif[COPYRIGHT], exif[DESCRIPTION] = b"Zo\xc3\xab", b"\xc2\xa9 2026", "Living room"
    capture = exif.get_ifd(34665)
    capture[DATE_TIME_ORIGINAL], capture[EXPOSURE], capture[MAKER_NOTE] = "2026:07:11 13:08:45", 0.005, b"MAKERNOTE" * 20
    capture[SERIAL_NUMBER], capture[USER_COMMENT] = "SERIAL", b"ASCII\0\0\0for the web"
    exif.get_ifd(GPS)[2] = (59.0, 54.0, 50.0)
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF", "AVIF"])
@pytest.mark.parametrize("written", ["jpeg", "png", "webp"])
def test_authorship_capture_and_resolution_leave_in_every_format_and_nothing_else(kind: str, written: ImageFormat) -> None:
    options: dict[str, object] = {} if kind in ("WEBP", "HEIF", "AVIF") else {"dpi": (300, 150)}
    exif = camera_exif()
    if kind == "TIFF":  # Pillow's writer wants the directories below the first as plain values
        options |= {"tiffinfo": {700: XMP, 34665: dict(exif.get_ifd(34665)), GPS: dict(exif.get_ifd(GPS)), **dict(exif)}}
    elif kind == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options |= {"exif": exif, "pnginfo": texts}
    else:
        options |= {"exif": exif, "xmp": XMP}
    photo = decode_photo(saved(Image.fromarray(picture()), kind, **options))
    assert not photo.facts.warnings
    data = encode(photo.rgb, written, 90, photo.facts.metadata)
    with Image.open(io.BytesIO(data)) as result:
        exif, capture = result.getexif(), result.getexif().get_ifd(34665)
        assert result.size == (photo.rgb.shape[1], photo.rgb.shape[0])
        assert exif[DESCRIPTION] == "Living room"
        if kind != "AVIF":  # its writer in Pillow has ASCII only
            assert exif[ARTIST].encode("latin-1").decode() == "Zoë"
            assert exif[COPYRIGHT].encode("latin-1").decode() == "© 2026"
        assert capture[DATE_TIME_ORIGINAL] == "2026:07:11 13:08:45"
        assert float(capture[EXPOSURE]) == pytest.approx(0.005)
        assert capture[USER_COMMENT].endswith(b"for the web")
        assert 274 not in exif and not exif.get_ifd(GPS) and MAKER_NOTE not in capture and SERIAL_NUMBER not in capture
        if "dpi" in options:
            # The photo was turned by 90 degrees, and HEIF's EXIF does not turn.
            assert [float(exif[282]), float(exif[283])] == [150, 300]
            if written != "webp":
                assert result.info["dpi"] == pytest.approx((150, 300), abs=0.1)
        xmp = result.info["xmp"].decode()
        assert "© Zoë" in xmp and "Ana" in xmp and "https://example.com/licence" in xmp
    assert not [secret for secret in SECRETS if secret in data]


@pytest.mark.parametrize("written", ["jpeg", "webp"])
def test_files_say_that_they_are_srgb_the_same_way_every_time(written: ImageFormat) -> None:
    data = encode(picture(), written)
    with Image.open(io.BytesIO(data)) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert image.info["icc_profile"][24:36] == struct.pack(">6H", 2026, 1, 1, 0, 0, 0)


def test_metadata_changes_no_pixel() -> None:
    metadata = decode_photo(saved(Image.fromarray(picture()), "JPEG", exif=camera_exif(), xmp=XMP, dpi=(300, 300))).facts.metadata
    for written in ("jpeg", "png", "webp"):
        with_it, without = (Image.open(io.BytesIO(encode(picture(), written, 90, given))) for given in (metadata, KeptMetadata()))
        assert np.array_equal(np.asarray(with_it), np.asarray(without))


def test_authors_in_pngs_texts_and_in_iptc_are_kept_where_exif_has_none() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Author", "Zoë")
    texts.add_text("Copyright", "2026 Example")
    png = decode_photo(saved(Image.fromarray(picture()), "PNG", pnginfo=texts))
    iptc = b"".join(b"\x1c\2" + bytes([key]) + struct.pack(">H", len(text)) + text for key, text in ((80, b"Ana"), (116, b"2026 Example")))
    resource = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    plain = saved(Image.fromarray(picture()), "JPEG")
    jpeg = decode_photo(plain[:20] + b"\xff\xed" + struct.pack(">H", len(resource) + 2) + resource + plain[20:])
    for photo, author in ((png, "Zoë"), (jpeg, "Ana")):
        block = ExifBlock.read(photo.facts.metadata.exif)
        assert block.image[ARTIST].data.rstrip(b"\0").decode() == author
        assert block.image[COPYRIGHT].data == b"2026 Example\0"


@pytest.mark.parametrize(
    "given", [{}, {ARTIST: "Ana", COPYRIGHT: "2026 Example", 282: 300.0, 283: 300.0, 296: 2}], ids=["nothing", "an author"]
)
def test_a_big_tiff_keeps_its_author_and_has_no_warning_without(given: dict[int, object]) -> None:
    photo = decode_photo(saved(Image.fromarray(picture()), "TIFF", big_tiff=True, tiffinfo=given))
    assert photo.facts.warnings == ()
    if given:
        block = ExifBlock.read(photo.facts.metadata.exif)
        assert block.image[ARTIST].data == b"Ana\0" and block.image[COPYRIGHT].data == b"2026 Example\0"
        assert photo.facts.metadata.dpi == (300.0, 300.0)


def test_what_only_xmp_says_of_capture_and_authorship_is_kept() -> None:
    spaces = {
        "photoshop": "http://ns.adobe.com/photoshop/1.0/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "tiff": "http://ns.adobe.com/tiff/1.0/",
    }
    declared = " ".join(f'xmlns:{name}="{space}"' for name, space in spaces.items())
    said = 'photoshop:DateCreated="2026-07-11" xmp:CreateDate="2026-07-11T13:08:45" tiff:Artist="Ana"'
    unsaid = 'photoshop:City="HISTORY" tiff:Orientation="1"'
    packet = XMP.replace(b'h:steps="HISTORY"', f"{declared} {said} {unsaid}".encode())
    kept = decode_photo(saved(Image.fromarray(picture()), "JPEG", xmp=packet)).facts.metadata.xmp.decode()
    assert "2026-07-11T13:08:45" in kept and ">2026-07-11<" in kept and ">Ana<" in kept
    assert "HISTORY" not in kept and "Orientation" not in kept and "59.9139" not in kept


def broken_blocks() -> list[bytes]:
    whole = camera_exif().tobytes()
    return [whole[:cut] for cut in (7, 14, 20)] + [b"Exif\0\0MM\0*\xff\xff\xff\xf0" + bytes(40), b"Exif\0\0nothing of the kind"]


@pytest.mark.parametrize("exif", broken_blocks(), ids=range(len(broken_blocks())))
def test_broken_exif_is_a_warning_at_most(exif: bytes) -> None:
    photo = decode_photo(saved(Image.fromarray(picture()), "WEBP", lossless=True, exif=exif))
    assert np.array_equal(photo.rgb, picture())
    encode(photo.rgb, "jpeg", 90, photo.facts.metadata)


def test_exif_cut_at_any_byte_or_with_any_byte_changed_is_read_without_an_error_of_python() -> None:
    whole, rng = camera_exif().tobytes()[6:], np.random.default_rng(0)
    for cut in range(len(whole)):
        changed = bytearray(whole)
        changed[cut] = int(rng.integers(256))
        for block in (whole[:cut], bytes(changed)):
            try:
                read = ExifBlock.read(block)
            except ValueError:
                continue
            assert len(read.to_bytes(read.dpi)) <= MAX_BLOCK


@pytest.mark.parametrize("xmp", [b"<x", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", b"\xff\xfe\0", b" " * (1 << 21)])
def test_broken_and_hostile_xmp_is_a_warning(xmp: bytes) -> None:
    facts = decode_photo(saved(Image.fromarray(picture()), "WEBP", xmp=xmp)).facts
    assert facts.metadata.xmp == b""
    assert len(facts.warnings) == 1 and "XMP is not kept" in facts.warnings[0]


def test_a_block_too_long_for_a_jpeg_loses_its_longest_values() -> None:
    exif = Image.Exif()
    exif[ARTIST] = "Ana"
    for tag in (DESCRIPTION, 305, 40092):
        exif[tag] = b"x" * 30_000
    facts = decode_photo(saved(Image.fromarray(picture()), "WEBP", exif=exif)).facts
    with Image.open(io.BytesIO(encode(picture(), "jpeg", 90, facts.metadata))) as image:
        assert image.getexif()[ARTIST] == "Ana"
    assert len(facts.metadata.exif) <= MAX_BLOCK
