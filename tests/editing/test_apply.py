"""The applier's contract: what changes, what must not, which files come back, and what the report says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from respray.contract.errors import ConceptNotFoundError, EditError, UnknownNameError
from respray.contract.request import ConceptQuery, Edit, Output, PhotoRequest, Recolor, Remove, Rule, Tone, prompts_of
from respray.editing.apply import edit_photo
from respray.editing.mask.find import find_mattes
from respray.editing.mask.select import Segments
from respray.editing.report import measure, sample
from respray.editing.surface.illuminant import estimate_illuminant
from respray.editing.surface.surface import find_surfaces
from respray.imaging.decode import decode
from respray.imaging.encode import encode
from tests.editing.rooms import request, segments, wall_photo

NAVY = Recolor(color="#22304A")


def test_pixels_outside_the_matte_and_protected_ones_are_identical() -> None:
    photo, mask = wall_photo("#D8CFC0")
    guard = np.zeros_like(mask)
    guard[40:80, 60:100] = True
    result = edit_photo(photo, segments(mask, guard), request({"wall": NAVY}, protect=("picture",)), [])
    edited = decode(result.files[0])
    far = np.zeros_like(mask)
    far[24:-24, 28:-28] = True
    outside = ~np.pad(mask, 3)[3:-3, 3:-3]
    outside[16:-16, 20:-20] = False
    assert np.array_equal(edited[outside], photo[outside])
    assert np.array_equal(edited[44:76, 64:96], photo[44:76, 64:96])
    changed = far & ~guard
    changed[36:84, 56:104] = False
    assert (edited[changed] != photo[changed]).any(axis=-1).mean() > 0.99


def test_files_come_in_the_order_of_the_report() -> None:
    photo, mask = wall_photo("#D8CFC0")
    outputs = [
        Output(name="a", edits=[Edit(concept="wall", rule=NAVY)]),
        Output(name="b", edits=[Edit(concept="wall", rule=Tone(exposure=0.5))], format="jpeg"),
    ]
    job = PhotoRequest(concepts=[ConceptQuery(name="wall", prompts=["wall"])], outputs=outputs, masks=True)
    result = edit_photo(photo, segments(mask), job, [])
    assert [(f.kind, f.name, f.media_type) for f in result.report.files] == [
        ("output", "a", "image/png"),
        ("output", "b", "image/jpeg"),
        ("preview", "a", "image/jpeg"),
        ("preview", "b", "image/jpeg"),
        ("mask", "wall", "image/png"),
    ]
    assert len(result.files) == 5
    assert [decode(data).shape[:2] for data in result.files[:2]] == [photo.shape[:2]] * 2
    assert {"matte", "apply", "encode", "preview"} <= set(result.report.timings)
    assert [e.rule for o in result.report.outputs for e in o.edits] == ["recolor", "tone"]


def test_user_mask_replaces_segmentation() -> None:
    photo, mask = wall_photo("#A8A04A")
    job = PhotoRequest(
        concepts=[ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0)],
        outputs=[Output(name="out", edits=[Edit(concept="wall", rule=NAVY)])],
    )
    assert prompts_of(job.concepts) == []
    result = edit_photo(photo, Segments.empty(), job, [encode(mask.astype(np.uint8) * np.uint8(255))])
    assert result.report.concepts[0].source == "user"
    delta_e = result.report.outputs[0].edits[0].delta_e
    assert delta_e is not None and delta_e < 1.5
    with pytest.raises(EditError, match="attachment 0, but 0 were sent"):
        edit_photo(photo, Segments.empty(), job, [])


def test_missing_concept_is_a_warning_or_by_option_an_error() -> None:
    photo, mask = wall_photo("#D8CFC0")
    result = edit_photo(photo, segments(mask, presence=0.1, score=0.1), request({"Grout": NAVY}), [])
    assert result.report.warnings == ["nothing found for 'Grout'"]
    assert not result.report.concepts[0].found
    assert np.array_equal(decode(result.files[0]), photo)
    for name, why in (("Grout", "$"), ("Grot", r" \(did you mean 'Grout'\?\)$"), ("Spaceship", "$")):
        with pytest.raises(ConceptNotFoundError, match=f"'{name}'{why}"):
            edit_photo(photo, segments(mask, presence=0.1, score=0.1), request({name: NAVY}, missing_is_error=True), [])


def test_objects_lie_above_surfaces_whatever_the_order() -> None:
    photo, wall = wall_photo("#D8CFC0")
    sofa = np.zeros_like(wall)
    sofa[60:100, 60:120] = True
    concepts = [ConceptQuery(name="wall", prompts=["wall"]), ConceptQuery(name="sofa", prompts=["sofa"], kind="object")]
    edits = [Edit(concept="wall", rule=NAVY), Edit(concept="sofa", rule=Recolor(color="#C99A35"))]
    for order in (edits, edits[::-1]):
        job = PhotoRequest(concepts=concepts, outputs=[Output(name="out", edits=order)])
        edited = decode(edit_photo(photo, segments(wall, sofa), job, []).files[0])
        red, _, blue = edited[70:90, 75:105].reshape(-1, 3).mean(axis=0)
        assert red > blue + 40
        red, _, blue = edited[26:50, 40:120].reshape(-1, 3).mean(axis=0)
        assert blue > red


def test_unknown_names_and_impossible_outputs_are_refused() -> None:
    photo, mask = wall_photo("#D8CFC0")
    job = request({"wall": NAVY})
    bad = job.model_copy(update={"protect": ["door"]})
    with pytest.raises(UnknownNameError, match="unknown protected concept 'door'; there is: wall"):
        edit_photo(photo, segments(mask), bad, [])
    jpeg = Output(name="shop", edits=[Edit(concept="wall", rule=Remove(mode="transparent"))], format="jpeg")
    with pytest.raises(EditError, match="'shop' is JPEG, which cannot be transparent"):
        edit_photo(photo, segments(mask), job.model_copy(update={"outputs": [jpeg]}), [])
    with pytest.raises(EditError, match="1 prompts were asked for, but the segmentation answers 0"):
        edit_photo(photo, Segments.empty(), job, [])


def test_instances_share_the_matte_between_them() -> None:
    photo, mask = wall_photo("#D8CFC0")
    left, right = mask.copy(), mask.copy()
    left[:, 80:], right[:, :80] = False, False
    both = Segments(
        region=(mask * 255).astype(np.uint8)[None],
        masks=np.stack([left, right]).astype(np.uint8)[None] * np.uint8(255),
        scores=np.array([[0.9, 0.8]], np.float32),
        boxes=np.zeros((1, 2, 4), np.float32),
        presence=np.ones(1, np.float32),
    )
    result = edit_photo(photo, both, request({"wall": NAVY}, masks=True), [])
    masks = [decode(data)[..., 0] for data, info in zip(result.files, result.report.files, strict=True) if info.kind == "mask"]
    assert [info.instance for info in result.report.files if info.kind == "mask"] == [1, 2]
    assert masks[0][60, 40] == 255
    assert masks[0][60, 120] == 0
    assert masks[1][60, 120] == 255


def test_a_complement_of_an_object_that_was_missed_is_missing_and_says_why() -> None:
    photo, product = wall_photo("#A8A04A")
    shadow = np.zeros_like(product)
    shadow[96:100, 40:80] = True
    concepts = [
        ConceptQuery(name="Background", prompts=["background"], complement_of=["Product", "Shadow"]),
        ConceptQuery(name="Product", prompts=["product"], kind="object", implied=True),
        ConceptQuery(name="Shadow", prompts=["shadow"], implied=True),
    ]
    white = Output(name="out", edits=[Edit(concept="Background", rule=Remove(mode="background", color="#FFFFFF"))])
    job = PhotoRequest(concepts=concepts, outputs=[white])
    both = segments(product, shadow)
    # The shadow may be missing: a flat lay has none.
    shadowless = replace(both, presence=np.array([1.0, 0.0], np.float32), scores=np.array([[1.0], [0.0]], np.float32))
    assert find_mattes(photo, job, shadowless, []).concepts["Background"].report.found
    missed = replace(both, presence=np.array([0.2, 1.0], np.float32), scores=np.array([[0.2], [1.0]], np.float32))
    result = edit_photo(photo, missed, job, [])
    assert np.array_equal(decode(result.files[0]), photo)
    (warning,) = result.report.warnings
    assert warning.startswith("nothing found for 'Background' (without 'Product' it cannot be told; ") and "mask_keys" in warning
    with pytest.raises(ConceptNotFoundError, match="without 'Product'"):
        edit_photo(photo, missed, job.model_copy(update={"missing_is_error": True}), [])


@pytest.mark.parametrize("level", [128, 10])
def test_what_is_nowhere_wholly_selected_is_measured_where_it_is_most(level: int) -> None:
    photo, _ = wall_photo("#A8A04A", 96, 96)
    mask = encode(np.full((96, 96, 3), level, np.uint8))
    job = PhotoRequest(
        concepts=[ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0)],
        outputs=[Output(name="out", edits=[Edit(concept="wall", rule=NAVY)])],
    )
    result = edit_photo(photo, Segments.empty(), job, [mask])
    assert (decode(result.files[0]) != photo).any()
    edit = result.report.outputs[0].edits[0]
    assert edit.measured is not None and edit.delta_e is not None and edit.delta_e > 5.0
    assert edit.warnings == [f"'wall' is only partly selected, nowhere more than {level / 255:.0%}: its old colour shows through"]


def test_the_few_pixels_of_a_thin_line_are_measured() -> None:
    photo = np.full((1000, 1000, 3), 150, np.uint8)
    # Between the samples, which are four pixels apart; around it hardly anything is selected.
    alpha = np.maximum(np.diag(np.where(np.arange(1000) % 4, 255, 0)), 40).astype(np.uint8)
    parts = find_surfaces(photo, alpha, estimate_illuminant(photo))
    report = measure("line", NAVY, parts, sample(parts, photo), photo, requested=NAVY.color)
    assert report.measured is not None
    assert not report.warnings


@pytest.mark.parametrize("mode", ["inpaint", "background"])
def test_a_removal_reports_nothing_about_light_and_colour(mode: str) -> None:
    photo, mask = wall_photo("#D8CFC0")
    rule = Remove.model_validate({"mode": mode, "color": "#FFFFFF" if mode == "background" else None})
    (edit,) = edit_photo(photo, segments(mask), request({"wall": rule}), []).report.outputs[0].edits
    assert edit.coverage > 0.4
    assert (edit.measured, edit.clipped, edit.out_of_gamut, edit.shading_correlation) == (None, None, None, None)


@pytest.mark.parametrize("pixels", [1, 7])
def test_a_drawn_protection_holds_at_any_size(pixels: int) -> None:
    """A light switch on a large photo: far less of it than a network's guess would need to count."""
    photo = np.full((600, 800, 3), (180, 172, 160), np.uint8)
    mask = np.zeros((600, 800), np.uint8)
    mask[300 : 300 + pixels, 400 : 400 + pixels] = 255
    wall = np.full((600, 800), 255, np.uint8)
    work = PhotoRequest(
        concepts=[
            ConceptQuery(name="wall", prompts=["wall"], mask_attachment=0),
            ConceptQuery(name="switch", prompts=["switch"], kind="object", mask_attachment=1),
        ],
        protect=["switch"],
        outputs=[Output(name="blue", edits=[Edit(concept="wall", rule=Recolor(color="#2050A0"))])],
        preview_size=0,
    )
    nothing = segments(np.zeros((8, 8), bool))
    result = edit_photo(photo, nothing, work, [encode(wall), encode(mask)])
    edited = decode(result.files[0])
    assert (edited[mask > 0] == photo[mask > 0]).all()
    assert (edited[10, 10] != photo[10, 10]).any()


def test_what_other_outputs_know_changes_nothing_of_one() -> None:
    """Neither in which order they know it, nor what of it is floor."""
    photo = np.random.default_rng(5).integers(90, 160, (120, 160, 3), np.uint8)
    places = {"wall": np.s_[:80], "panel": np.s_[40:100, 30:90], "sofa": np.s_[50:90, 60:120], "floor": np.s_[70:]}
    masks: list[bytes] = []
    queries: dict[str, ConceptQuery] = {}
    for number, (name, place) in enumerate(places.items()):
        mask = np.zeros(photo.shape[:2], np.uint8)
        mask[place] = 255
        masks.append(encode(mask))
        queries[name] = ConceptQuery(name=name, prompts=[name], mask_attachment=number)
    blue, fill = Recolor(color="#2050A0"), Remove(mode="inpaint")
    wanted: list[tuple[list[str], Rule]] = [
        (["wall", "panel", "floor"], blue),
        (["panel", "wall"], blue),
        (["sofa", "wall"], fill),
        (["sofa", "floor"], fill),
    ]
    outputs = [Output(name=str(n), edits=[Edit(concept=known[0], rule=r)], concepts=known) for n, (known, r) in enumerate(wanted)]
    nothing = segments(np.zeros((8, 8), bool))

    def edited(concepts: Sequence[str], *outputs: Output) -> list[bytes]:
        work = PhotoRequest(concepts=[queries[name] for name in concepts], outputs=list(outputs), preview_size=0)
        return edit_photo(photo, nothing, work, masks).files

    alone = [edited(known, output)[0] for (known, _), output in zip(wanted, outputs, strict=True)]
    assert edited(list(queries), *outputs) == alone
    assert len(set(alone)) == len(alone)
