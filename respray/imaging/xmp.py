"""XMP packets: who made a photo and what it is called, in a packet of our own (ISO 16684-1; position, history and previews stay behind)."""

from __future__ import annotations

from xml.etree import ElementTree

# More than this is edit history, extended XMP or a preview, and all of it is parsed for a few words.
MAX_BYTES = 1024 * 1024
MAX_ITEMS = 32
MAX_CHARACTERS = 4_000
MAX_PACKET = 60_000  # a JPEG's segment holds 65,533
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_SPACES = {
    "x": "adobe:ns:meta/",
    "rdf": _RDF,
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
}
_KEPT = tuple(
    f"{{{_SPACES[space]}}}{name}"
    for space, names in {
        "dc": ("rights", "creator", "title", "description"),
        "xmpRights": ("Marked", "UsageTerms", "WebStatement"),
        "photoshop": ("Credit", "DateCreated"),
        "xmp": ("CreateDate",),
        "exif": ("DateTimeOriginal",),
        "tiff": ("Artist", "Copyright", "ImageDescription"),
    }.items()
    for name in names
)
_CONTAINERS = tuple(f"{{{_RDF}}}{name}" for name in ("Alt", "Bag", "Seq"))
_ITEM = f"{{{_RDF}}}li"
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="r"?>'
for _prefix, _space in _SPACES.items():
    ElementTree.register_namespace(_prefix, _space)


class BrokenXmpError(ValueError):
    """A packet that is no XML, or XML that declares things of its own."""


def kept_xmp(packet: bytes) -> bytes:
    """The packet that outputs carry; empty where the photo's says nothing of what is kept.

    Raises:
        BrokenXmpError: it cannot be read.
    """
    if len(packet) > MAX_BYTES:
        raise BrokenXmpError(f"it has {len(packet)} bytes; at most {MAX_BYTES} are read")
    if b"<!" in packet.replace(b"<!--", b""):
        raise BrokenXmpError("it declares entities")
    try:
        root = ElementTree.fromstring(packet.strip(b"\0 \r\n\t"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise BrokenXmpError(str(error)) from error
    meta = ElementTree.Element(f"{{{_SPACES['x']}}}xmpmeta")
    description = ElementTree.SubElement(ElementTree.SubElement(meta, f"{{{_RDF}}}RDF"), f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    for given in root.iterfind(f".//{{{_RDF}}}RDF/{{{_RDF}}}Description"):
        for tag in _KEPT:
            if description.find(tag) is None:
                _copy(given, tag, description)
    if not len(description):
        return b""
    result = (_BEGIN + ElementTree.tostring(meta, encoding="unicode") + _END).encode()
    return result if len(result) <= MAX_PACKET else b""


def _copy(given: ElementTree.Element, tag: str, target: ElementTree.Element) -> None:
    """One property, as text or as a list of texts; nothing that is nested deeper."""
    found = given.find(tag)
    text = given.get(tag) if found is None else found.text
    container = None if found is None else next((child for child in found if child.tag in _CONTAINERS), None)
    if container is not None:
        items = [item for item in container.findall(_ITEM)[:MAX_ITEMS] if (item.text or "").strip()]
        if items:
            listed = ElementTree.SubElement(ElementTree.SubElement(target, tag), container.tag)
            for item in items:
                language = item.get(_LANGUAGE)
                attributes = {} if language is None else {_LANGUAGE: language[:64]}
                ElementTree.SubElement(listed, _ITEM, attributes).text = (item.text or "")[:MAX_CHARACTERS]
    elif text is not None and text.strip():
        ElementTree.SubElement(target, tag).text = text[:MAX_CHARACTERS]
