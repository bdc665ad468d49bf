import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hallmark.data.images import GRAY_MODES, SquareCrop, decoded_images, perceptual_hashes, read_image, scan_images
from hallmark.storage.hashing import digest_file

Picture = Callable[..., Image.Image]
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def halves(size: tuple[int, int] = (40, 20)) -> Image.Image:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    return image


def close(image: Image.Image, place: tuple[int, int], color: tuple[int, int, int], within: int = 6) -> bool:
    return image.mode == "RGB" and bool(np.abs(np.subtract(image.getpixel(place), color)).max() <= within)


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    halves().convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert close(image, (5, 10), RED) and close(image, (35, 10), BLUE)


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    palette = halves().convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "a.gif")
    assert close(read_image(tmp_path / "a.gif"), (35, 10), BLUE)
    palette.save(tmp_path / "b.png", transparency=palette.getpixel((35, 10)))
    image = read_image(tmp_path / "b.png")
    assert close(image, (5, 10), RED) and image.getpixel((35, 10)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode: str) -> None:
    image = Image.new(mode, (4, 4), (0, 0) if mode == "LA" else (0, 255, 0, 0))
    image.putpixel((0, 0), (0, 255) if mode == "LA" else (0, 255, 0, 255))
    image.putpixel((1, 0), (0, 128) if mode == "LA" else (0, 0, 0, 128))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    seen = read_image(buffer.getvalue())
    assert seen.getpixel((3, 3)) == (255, 255, 255)
    assert seen.getpixel((0, 0)) == ((0, 0, 0) if mode == "LA" else GREEN)
    assert close(seen, (1, 0), (127, 127, 127), within=1)


def test_sixteen_bit_grey_keeps_its_tones(tmp_path: Path) -> None:
    tones = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    Image.fromarray(tones).save(tmp_path / "a.png")
    gray = np.asarray(read_image(tmp_path / "a.png"))[..., 0].astype(int)
    assert np.abs(gray - tones / 257).max() <= 1


@pytest.mark.parametrize(("orientation", "red"), [(1, (2, 10)), (3, (37, 10)), (6, (10, 2)), (8, (10, 37))])
def test_exif_orientation_is_applied(orientation: int, red: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    halves().save(buffer, "JPEG", quality=95, exif=exif)
    image = read_image(buffer.getvalue())
    assert image.size == ((20, 40) if orientation in (6, 8) else (40, 20))
    assert close(image, red, RED)


def test_draft_decodes_small_but_never_smaller_than_asked(tmp_path: Path, picture: Picture) -> None:
    picture(0, (800, 600)).save(tmp_path / "a.jpg")
    full, small = read_image(tmp_path / "a.jpg"), read_image(tmp_path / "a.jpg", draft=100)
    assert full.size == (800, 600)
    assert 100 <= min(small.size) < 300
    difference = np.asarray(full.resize((32, 32)), float) - np.asarray(small.resize((32, 32)), float)
    assert np.sqrt(np.mean(difference**2)) < 4


@pytest.fixture
def damaged(tmp_path: Path, picture: Picture) -> list[Path]:
    picture(0).save(tmp_path / "whole.jpg")
    picture(0).save(tmp_path / "whole.png")
    for suffix in ("jpg", "png"):
        raw = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"truncated.{suffix}").write_bytes(raw[: len(raw) // 2])
    (tmp_path / "page.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "empty.jpg").touch()
    names = ("truncated.jpg", "truncated.png", "page.jpg", "empty.jpg", "missing.jpg")
    return [tmp_path / name for name in names]


def test_a_file_that_is_no_whole_image_is_an_os_error_that_names_it(damaged: list[Path]) -> None:
    for path in damaged:
        with pytest.raises(OSError, match=f"^{path}: "):
            read_image(path)


_SEEDS = {suffix: io.BytesIO() for suffix in ("JPEG", "PNG", "GIF", "BMP", "WEBP")}
for _suffix, _buffer in _SEEDS.items():
    halves().save(_buffer, _suffix)


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(list(_SEEDS)), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8))
def test_any_damage_is_an_os_error(suffix: str, edits: list[tuple[int, int]]) -> None:
    raw = bytearray(_SEEDS[suffix].getvalue())
    for position, value in edits:
        raw[position % len(raw)] = value
    try:
        assert read_image(bytes(raw), draft=16).mode == "RGB"
    except OSError as error:
        assert str(error).startswith("<bytes>: ")


def _seed_files() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "made for a test"
    files = {}
    for suffix, options in {
        "JPEG": {"exif": exif}, "PNG": {"exif": exif}, "GIF": {"save_all": True, "append_images": [halves()]},
        "WEBP": {"exif": exif}, "TIFF": {"compression": "tiff_lzw"}, "BMP": {}, "JPEG2000": {},
    }.items():  # fmt: skip
        with io.BytesIO() as file:
            halves().save(file, suffix, **options)
            files[suffix] = file.getvalue()
    return files


@pytest.mark.filterwarnings("ignore")  # Pillow warns of metadata
@pytest.mark.parametrize("suffix", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "JPEG2000"])
def test_mutants_are_read_or_refused_by_name(suffix: str, tmp_path: Path) -> None:
    rng, original = np.random.default_rng(7), np.frombuffer(_seed_files()[suffix], np.uint8)
    path, refused = tmp_path / "mutant.jpg", 0
    for number in range(80):
        mutant = original.copy()
        positions = rng.integers(len(original) if number % 2 else min(len(original), 120), size=rng.integers(1, 6))
        mutant[positions] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)], size=len(positions))
        path.write_bytes(mutant[: rng.integers(len(mutant))] if number % 5 == 0 else mutant)
        try:
            assert read_image(path, draft=16).mode == "RGB"
        except OSError as error:
            refused += 1
            assert str(error).startswith(f"{path}: ")
    assert refused >= 16 - (suffix == "BMP") * 8
    scans = scan_images([path], [digest_file(path)], tmp_path / "cache")
    assert scans["size"].shape == (1, 2)


@pytest.mark.parametrize(
    "error", [MemoryError(), RecursionError("deep"), struct.error("argument out of range"), KeyError("x")]
)
def test_whatever_a_decoder_raises_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    halves().save(tmp_path / "a.png")

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr("PIL.ImageFile.ImageFile.load", fail)
        with pytest.raises(OSError, match=rf"a\.png: {type(error).__name__}"):
            read_image(tmp_path / "a.png")
        assert scanned([tmp_path / "a.png"], tmp_path / "cache")["readable"].tolist() == [False]
    # A failure that was none of the file's is forgotten.
    assert scanned([tmp_path / "a.png"], tmp_path / "cache")["readable"].tolist() == [True]


def test_what_is_no_picture_of_pixels_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "program.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EOF\n")
    Image.new("RGB", (1200, 1)).save(tmp_path / "thread.png")
    for name in ("pipe.jpg", "folder.jpg", "program.jpg", "thread.png"):
        with pytest.raises(OSError, match=name):
            read_image(tmp_path / name)


@pytest.mark.parametrize(("mode", "dark", "bright"), [("I", 0, 65535), ("F", 0.0, 1.0), ("F", 0.0, 255.0)])
def test_grey_of_many_bits_keeps_black_and_white(tmp_path: Path, mode: str, dark: float, bright: float) -> None:
    image = Image.new(mode, (4, 4), dark)
    image.putpixel((1, 1), bright)
    image.save(tmp_path / "a.tif")
    read = read_image(tmp_path / "a.tif")
    assert (read.getpixel((0, 0)), read.getpixel((1, 1))) == ((0, 0, 0), (255, 255, 255))


def scanned(paths: list[Path], cache: Path) -> np.ndarray:
    return scan_images(paths, [f"{number:032d}" for number, _ in enumerate(paths)], cache)


def test_scan_reports_format_depth_and_quantization_tables(tmp_path: Path) -> None:
    color = Image.new("RGB", (12, 8), "red")
    deep = Image.fromarray(np.arange(96, dtype=np.uint16).reshape(8, 12) * 500)
    color.save(tmp_path / "color.png")
    color.save(tmp_path / "fine.jpg", quality=95)
    color.save(tmp_path / "coarse.jpg", quality=50)
    deep.save(tmp_path / "deep.png")
    color.convert("L").save(tmp_path / "gray.png")
    names = ("color.png", "fine.jpg", "coarse.jpg", "deep.png", "gray.png")
    scans = scanned([tmp_path / name for name in names], tmp_path / "cache")
    assert scans["format"].tolist() == [b"PNG", b"JPEG", b"JPEG", b"PNG", b"PNG"]
    assert scans["size"].tolist() == [[12, 8]] * 5
    assert scans["deep"].tolist() == [False, False, False, True, False]
    assert np.isin(scans["mode"], GRAY_MODES).tolist() == [False, False, False, True, True]
    # The first numbers of the tables of Annex K of the JPEG standard, as they are at quality 50.
    assert scans["tables"][2, 0, 0] == 16 and scans["tables"][2, 1, 0] == 17
    assert scans["tables"][1, 0, 0] < 16 and not scans["tables"][0].any()


def test_scan_reports_size_cmyk_and_damage(tmp_path: Path, picture: Picture, damaged: list[Path]) -> None:
    picture(1, (120, 90)).save(tmp_path / "rgb.jpg")
    picture(2, (64, 300)).convert("CMYK").save(tmp_path / "cmyk.jpg")
    scans = scanned([tmp_path / "rgb.jpg", tmp_path / "cmyk.jpg", *damaged], tmp_path / "cache")
    assert scans["readable"].tolist() == [True, True] + [False] * len(damaged)
    assert scans["mode"].tolist() == [b"RGB", b"CMYK"] + [b""] * len(damaged)
    assert scans["size"][:2].tolist() == [[120, 90], [64, 300]]
    reference = np.asarray(read_image(tmp_path / "rgb.jpg").resize((32, 32), Image.Resampling.BOX), float)
    assert np.sqrt(np.mean((scans["thumbnail"][0] - reference) ** 2)) < 3


def test_a_decompression_bomb_is_unreadable_not_a_crash(
    tmp_path: Path, picture: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(0).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(OSError, match=r"a\.png: .*pixels"):
        read_image(tmp_path / "a.png")
    assert scanned([tmp_path / "a.png"], tmp_path / "cache")["readable"].tolist() == [False]


def test_scans_are_kept_by_content(tmp_path: Path, picture: Picture) -> None:
    path = tmp_path / "a.jpg"
    picture(1).save(path)
    key = digest_file(path)
    first = scan_images([path], [key], tmp_path / "cache")
    path.unlink()
    np.testing.assert_array_equal(scan_images([path], [key], tmp_path / "cache"), first)
    assert len(scan_images([], [], tmp_path / "cache")) == 0


def test_a_square_crop_resizes_the_shorter_side_and_crops_the_center() -> None:
    image = Image.new("RGB", (60, 20), RED)
    image.paste(GREEN, (20, 0, 40, 20))
    pixels = SquareCrop(10)(image)
    assert pixels.shape == (3, 10, 10) and pixels.dtype == np.uint8
    assert (pixels[1, :, 2:8] > 240).all() and (pixels[0, :, 2:8] < 15).all()


def test_decoded_images_equal_direct_decoding_and_are_cached_by_transform(tmp_path: Path, picture: Picture) -> None:
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        picture(seed).save(path)
    keys = [digest_file(path) for path in paths]
    expected = np.stack([SquareCrop(24)(read_image(path)) for path in paths])
    small = decoded_images(paths, keys, SquareCrop(24), tmp_path / "cache")
    np.testing.assert_array_equal(small.take([2, 0, 1]), expected[[2, 0, 1]])
    assert decoded_images(paths, keys, SquareCrop(32), tmp_path / "cache")[0].shape == (3, 32, 32)
    for path in paths:
        path.unlink()
    np.testing.assert_array_equal(
        decoded_images(paths, keys, SquareCrop(24), tmp_path / "cache").take([0]), expected[[0]]
    )


def test_perceptual_hash_is_64_bits_balanced_and_blind_to_brightness(picture: Picture) -> None:
    thumbnails = np.stack([np.asarray(picture(seed).resize((32, 32))) for seed in range(5)])
    bits = perceptual_hashes(thumbnails)
    assert bits.shape == (5, 64) and bits.dtype == bool and bits.sum(axis=1).tolist() == [32] * 5
    darker = perceptual_hashes((thumbnails * 0.6).astype(np.uint8))
    assert (bits != darker).sum(axis=1).max() <= 4
