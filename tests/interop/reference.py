"""The reference's side of the interop tests.

Drives the Python package ``gen5`` 0.1.0, the reference implementation of the GEN5 container, so that the Rust
tests can hold their files and verdicts against it. Run it with the Python of an environment that has that package
(``pip install gen5==0.1.0``):

    python reference.py decode DIR [--strict]    check the files that DIR/expected.json describes
    python reference.py encode DIR COUNT SEED    write COUNT random files and DIR/expected.json
    python reference.py manifests SEED COUNT     print COUNT random manifests, each with the reference's verdict
    python reference.py validate FILE            the reference's verdict on each line of FILE, a manifest each
    python reference.py refuses FILE...          whether the reference refuses to decode each FILE
    python reference.py environment              what the reference captures of the environment it runs in
    python reference.py drift DIR                its warnings on the environments in DIR/pairs.json

The last line of standard output is the result, one JSON object. A mismatch is a result and exits 0; what stops a
command from doing its work is told on standard error and exits 1. ``--strict`` adds to ``decode`` what this
project's writer promises beyond the reference's own files: a checksum in every zstd frame, raw latents aligned to
64 bytes, and the file's exact length in the manifest.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import random
import re
import struct
import sys
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zstandard
from PIL import Image

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from gen5 import Gen5FileHandler
    from gen5.chunks.env import EnvChunk, EnvComponent, Gen5Env
    from gen5.chunks.metadata import Gen5Metadata
    from gen5.core.exceptions import Gen5MetadataError

Json = Any
Record = dict[str, Json]

FILE_HEADER_SIZE = 32
CHUNK_HEADER = struct.Struct("<4s4sI")
ALIGNMENT = 64
FLAGS = {"float16": "F16", "float32": "F32"}
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
FAILURES_TOLD = 20
FLOAT16_MAX = float(np.finfo(np.float16).max)
FLOAT32_MAX = float(np.finfo(np.float32).max)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the reference's debugging output off standard output, and its warnings off standard error."""
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def values_of(array: np.ndarray) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def describe_latent(key: str, array: np.ndarray) -> Record:
    return {
        "key": key,
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "sha256": sha256(values_of(array)),
    }


def environment_of(chunks: dict[str, Json]) -> list[Record] | None:
    """The decoded components of the environment; None for a file without one."""
    environment = chunks.get("env")
    if environment is None:
        return None
    return environment["components"] if isinstance(environment, dict) else environment.components


def describe_environment(components: list[Record] | None) -> list[Record] | None:
    if components is None:
        return None
    return [{name: component[name] for name in ("component_id", "cononical_str")} for component in components]


def describe_image(chunks: dict[str, Json]) -> str | None:
    return sha256(chunks["image"]) if "image" in chunks else None


def passes_schema(manifest: Json) -> bool:
    """The reference's own verdict on a manifest."""
    try:
        return Gen5Metadata().metadata_validator(manifest)
    except Gen5MetadataError:
        return False


# Comparison


def first_difference(expected: Json, found: Json, where: str) -> tuple[str, Json, Json] | None:
    """Where two JSON values differ first. Numbers compare by value, and a boolean is no number."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if expected.keys() != found.keys():
            return f"members of {where}", sorted(expected), sorted(found)
        pairs = [(expected[name], found[name], f"{where}.{name}") for name in expected]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return where, expected, found
        pairs = [(*pair, f"{where}[{at}]") for at, pair in enumerate(zip(expected, found))]
    elif isinstance(expected, bool) != isinstance(found, bool) or expected != found:
        return where, expected, found
    else:
        return None
    differences = (first_difference(*pair) for pair in pairs)
    return next((difference for difference in differences if difference), None)


def shortened(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "…"


@dataclass
class Report:
    """What `decode` found, and the file it is at."""

    strict: bool
    file: str = ""
    files: int = 0
    latents: int = 0
    parts: int = 0
    failure_count: int = 0
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str, expected: Json, found: Json) -> None:
        self.failure_count += 1
        if len(self.failures) < FAILURES_TOLD:
            self.failures.append(f"{self.file}: {what}, expected {shortened(expected)}, found {shortened(found)}")

    def check(self, what: str, expected: Json, found: Json) -> bool:
        difference = first_difference(expected, found, what)
        if difference:
            self.fail(*difference)
        return difference is None

    def result(self) -> Record:
        return {
            "files": self.files,
            "latents": self.latents,
            "parts": self.parts,
            "failures": self.failures,
            "failure_count": self.failure_count,
        }


def error_text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


# decode: latents and their parts


@dataclass
class Part:
    """One stored part of a latent: its `extra.part` and its values."""

    place: Record
    array: np.ndarray

    def has_whole_numbers(self) -> bool:
        numbers = [self.place.get(name) for name in ("index", "count", "axis", "start")]
        shape = self.place.get("shape")
        return isinstance(shape, list) and all(type(number) is int for number in numbers + shape)


def first_long_axis(shape: list[int]) -> int:
    return next((axis for axis, length in enumerate(shape) if length > 1), 0)


def check_part(report: Report, what: str, part: Part, first: Part, index: int, start: int) -> bool:
    shape = first.place["shape"]
    axis = first_long_axis(shape)
    length = part.array.shape[axis] if part.array.ndim == len(shape) else None
    place = {"index": index, "count": first.place["count"], "axis": axis, "start": start, "shape": shape}
    found = {name: part.place[name] for name in place}
    agrees = report.check(what, place, found)
    own_shape = shape[:axis] + [length] + shape[axis + 1 :]
    agrees &= report.check(f"{what}: shape of its values", own_shape, list(part.array.shape))
    agrees &= report.check(f"{what}: dtype", str(first.array.dtype), str(part.array.dtype))
    return agrees & report.check(f"{what}: holds a slice", True, length is not None and length > 0)


def put_together(report: Report, name: str, parts: list[Part]) -> np.ndarray | None:
    """The whole that the parts of one latent make up; None, and told, if they do not make up one."""
    what = f"parts of {name!r}"
    if not report.check(f"{what}: whole numbers", True, all(part.has_whole_numbers() for part in parts)):
        return None
    parts = sorted(parts, key=lambda part: part.place["index"])
    first = parts[0]
    if not report.check(f"{what}: count", first.place["count"], len(parts)):
        return None
    start = 0
    for index, part in enumerate(parts):
        if not check_part(report, f"{what}: {index}", part, first, index, start):
            return None
        start += part.array.shape[part.place["axis"]]
    axis = first.place["axis"]
    if not report.check(f"{what}: slices in all", first.place["shape"][axis], start):
        return None
    return np.concatenate([part.array for part in parts], axis=axis)


def check_array(report: Report, record: Record, array: np.ndarray) -> None:
    extra = record["extra"]
    what = f"latent {extra['key']!r}"
    report.check(f"{what}: shape in its record", list(array.shape), extra["shape"])
    report.check(f"{what}: dtype in its record", str(array.dtype), extra["dtype"])
    report.check(f"{what}: flags in its record", FLAGS[str(array.dtype)], record["flags"])


def whole_latents(report: Report, records: list[Record], arrays: list[np.ndarray]) -> list[Record]:
    """The latents of a file, by first appearance, parts put together."""
    keys = [record["extra"]["key"] for record in records]
    report.check("keys that occur twice", [], sorted({key for key in keys if keys.count(key) > 1}))
    plain: dict[str, np.ndarray] = {}
    divided: dict[str, list[Part]] = {}
    order: dict[str, None] = {}
    for record, array in zip(records, arrays):
        check_array(report, record, array)
        place = record["extra"].get("part")
        name = record["extra"]["key"] if place is None else place["of"]
        order.setdefault(name)
        if place is None:
            plain[name] = array
        else:
            divided.setdefault(name, []).append(Part(place, array))
            report.parts += 1
    report.check("names that are a key and divided as well", [], sorted(plain.keys() & divided.keys()))
    for name, parts in divided.items():
        whole = put_together(report, name, parts)
        if whole is not None:
            plain[name] = whole
    return [describe_latent(name, plain[name]) for name in order if name in plain]


def check_latents(report: Report, expected: list[Record], records: list[Record], arrays: list[np.ndarray]) -> None:
    records = [record for record in records if record["type"] == "LATN"]
    if not report.check("number of arrays decoded", len(records), len(arrays)):
        return
    found = whole_latents(report, records, arrays)
    report.latents += len(found)
    report.check("latents", [latent["key"] for latent in expected], [latent["key"] for latent in found])
    by_key = {latent["key"]: latent for latent in found}
    for latent in expected:
        if latent["key"] in by_key:
            report.check(f"latent {latent['key']!r}", latent, by_key[latent["key"]])


# decode: the bytes of the file


def check_frame(report: Report, what: str, stored: bytes) -> bytes | None:
    """The chunk in a zstd frame; None, and told, if it is not exactly one frame that the reference can decode."""
    if not report.check(f"{what}: zstd magic", ZSTD_MAGIC.hex(), stored[:4].hex()):
        return None
    try:
        frame = zstandard.get_frame_parameters(stored)
        chunk = zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        report.fail(f"{what}: zstd", "one frame", error_text(error))
        return None
    report.check(f"{what}: content size of its frame", len(chunk), frame.content_size)
    if report.strict:
        report.check(f"{what}: checksum in its frame", True, frame.has_checksum)
    return chunk


def check_chunk_header(report: Report, what: str, kind: str, flags: str, chunk: bytes) -> None:
    if len(chunk) < CHUNK_HEADER.size:
        report.fail(f"{what}: chunk", "a chunk header", chunk.hex())
        return
    expected = (kind.encode(), flags.encode().ljust(4, b"\0"), len(chunk) - CHUNK_HEADER.size)
    report.check(f"{what}: chunk header", expected, CHUNK_HEADER.unpack_from(chunk))


def check_chunk(report: Report, index: int, record: Record, data: bytes) -> None:
    what = f"chunk {index} ({record['type']})"
    report.check(f"{what}: index", index, record["index"])
    begin, size = record["offset"], record["compressed_size"]
    stored = data[begin : begin + size]
    report.check(f"{what}: bytes in the file", size, len(stored))
    compressed = record.get("compressed", True)
    chunk = check_frame(report, what, stored) if compressed else stored
    if chunk is None:
        return
    check_chunk_header(report, what, record["type"], record["flags"], chunk)
    payload = chunk[CHUNK_HEADER.size :]
    report.check(f"{what}: uncompressed_size", len(payload), record["uncompressed_size"])
    report.check(f"{what}: hash", sha256(payload), record["hash"])
    if report.strict and record["type"] == "LATN" and not compressed:
        report.check(f"{what}: payload offset modulo {ALIGNMENT}", 0, (begin + CHUNK_HEADER.size) % ALIGNMENT)


def check_gaps(report: Report, spans: list[tuple[int, int]], data: bytes) -> None:
    """Checks that nothing overlaps and that all bytes that belong to nothing are zero."""
    at = 0
    for begin, end in [*sorted(spans), (len(data), len(data))]:
        report.check("overlap in bytes", 0, max(0, at - begin))
        gap = data[at:begin]
        report.check(f"bytes other than zero in the gap at {at}", 0, len(gap) - gap.count(0))
        at = max(at, end)


def check_header(report: Report, header: Record, manifest: Record, length: int) -> None:
    file_info = manifest["file_info"]
    report.check("header: file_size", length, header["file_size"])
    report.check("header: chunk_count", len(manifest["chunks"]), header["chunk_count"])
    report.check("header: flags", 0, header["flags"])
    report.check("header: reserved", 0, header["reserved"])
    report.check("file_info: chunk_count", len(manifest["chunks"]), file_info["chunk_count"])
    for name in ("version_major", "version_minor"):
        report.check(f"file_info: {name}", header[name], file_info[name])
    if report.strict:
        report.check("file_info: file_size", length, file_info["file_size"])


def check_bytes(report: Report, data: bytes, header: Record, manifest: Record) -> None:
    check_header(report, header, manifest, len(data))
    spans = [(0, FILE_HEADER_SIZE)]
    for index, record in enumerate(manifest["chunks"]):
        check_chunk(report, index, record, data)
        spans.append((record["offset"], record["offset"] + record["compressed_size"]))
    begin = header["chunk_table_offset"]
    end = begin + header["chunk_table_size"]
    table = check_frame(report, "chunk table", data[begin:end])
    if table is not None:
        check_chunk_header(report, "chunk table", "META", "0000", table)
    check_gaps(report, [*spans, (begin, end)], data)


# decode: one file and all of them


def check_environment(report: Report, expected: list[Record] | None, components: list[Record] | None) -> None:
    report.check("environment", expected, describe_environment(components))
    for component in components or []:
        digest = component["component_sha256_digest"]
        found = digest.hex() if isinstance(digest, bytes) else digest
        canonical = component["cononical_str"].encode()
        report.check(f"environment: digest of {component['component_id']!r}", sha256(canonical), found)


def check_file(report: Report, path: Path, expected: Record) -> None:
    with quiet():
        decoded = Gen5FileHandler().file_decoder(str(path))
    chunks = decoded["chunks"]
    manifest = decoded["metadata"]["gen5_metadata"]
    check_latents(report, expected["latents"], manifest["chunks"], chunks["latent"])
    report.check("image_sha256", expected["image_sha256"], describe_image(chunks))
    report.check("model_info", expected["model_info"], manifest["model_info"])
    check_environment(report, expected["environment"], environment_of(chunks))
    report.check("manifest passes the reference's schema", True, passes_schema(decoded["metadata"]))
    check_bytes(report, path.read_bytes(), decoded["header"], manifest)


def decode(arguments: argparse.Namespace) -> Record:
    report = Report(strict=arguments.strict)
    for expected in json.loads((arguments.dir / "expected.json").read_text(encoding="utf-8")):
        report.files += 1
        report.file = expected["file"]
        try:
            check_file(report, arguments.dir / expected["file"], expected)
        except Exception as error:
            report.fail("decode and check", "no exception", error_text(error))
    return report.result()


# Random values, for encode and manifests

PLAIN_TEXTS = ("a photo of a cat", "DDIM", "euler_a", "stable-diffusion-xl", "fp16", "NVIDIA A100", "1.0.2")
AWKWARD_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "line one\nline two\r\n\ttabbed",
    'say "hello" \\ and \'bye\'',
    "\\u0041 is not A",
    "naïve café",
    "nai\u0308ve cafe\u0301",
    "日本語のプロンプト",
    "עברית ואז العربية",
    "🐈‍⬛ 👩🏽‍🚀 🏳️‍🌈",
    "𝔊𝔈𝔑𝟝 𐍈 \U0010ffff",
    "\u2028\u2029\ufeff\ufffe\uffff\x7f\x85",
    "</script><!-- {{x}} %s %n $(y) `z` -->",
    "../../etc/passwd",
    "trajectory[0:125]",
    "null",
    "long " * 400,
)
CODE_POINTS = ((0x00, 0x7F), (0x20, 0x7E), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF))
UNKNOWN_NAMES = ("x_note", "Seed", "", "a.b/c", "☃", "𝕏", "$ref", "__proto__", "quote\"d", "nul\0", "index", "gpus")
PLAIN_NUMBERS = (0, 1, -1, 7, 7.0, 0.1, -2.5, 1e-7, 1e22, 2**53 + 1, 2**63, 2**64 - 1, -(2**63), 2**70, 5e-324, 1.5e300)
SEEDS = (0, 1, 7.0, 2**31, 2**32 - 1, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 2, 2**64 - 1)
STEPS = (1, 7.0, 20, 28, 30.0, 50, 1000)
AMOUNTS = (0, 0.0, 0.1, 0.5, 1, 3.75, 7, 7.5, 24.0, 79.1523, 1e-9, 1e22)
CORES = (1, 8, 16.0, 96, 256)


def random_text(rng: random.Random) -> str:
    kind = rng.randrange(3)
    if kind == 0:
        return rng.choice(PLAIN_TEXTS)
    if kind == 1:
        return rng.choice(AWKWARD_TEXTS)
    return "".join(chr(rng.randint(*rng.choice(CODE_POINTS))) for _ in range(rng.randint(1, 40)))


def random_json(rng: random.Random, depth: int = 0) -> Json:
    kind = rng.randrange(4 if depth == 2 else 6)
    if kind == 0:
        return rng.choice((None, True, False))
    if kind == 1:
        return rng.choice(PLAIN_NUMBERS)
    if kind == 2:
        return rng.uniform(-1e6, 1e6)
    if kind == 3:
        return random_text(rng)
    size = rng.randrange(4)
    if kind == 4:
        return [random_json(rng, depth + 1) for _ in range(size)]
    return {random_text(rng): random_json(rng, depth + 1) for _ in range(size)}


def some_of(rng: random.Random, optional: Record) -> Record:
    share = rng.random()
    return {name: value for name, value in optional.items() if rng.random() < share}


def with_unknown_members(rng: random.Random, known: Record) -> Record:
    """The members in any order, at times with some that the format does not know."""
    members = dict(known)
    while rng.random() < 0.3:
        members.setdefault(rng.choice(UNKNOWN_NAMES), random_json(rng))
    return dict(rng.sample(list(members.items()), len(members))) if rng.random() < 0.5 else members


def random_tags(rng: random.Random) -> list[str]:
    return [random_text(rng) for _ in range(rng.randrange(7))]


def random_generation_settings(rng: random.Random) -> Record:
    seed = rng.choice(SEEDS) if rng.random() < 0.6 else rng.getrandbits(64)
    optional = {
        "cfg_scale": rng.choice(AMOUNTS),
        "scheduler": random_text(rng),
        "eta": rng.choice(AMOUNTS),
        "guidance": random_text(rng),
        "precision": random_text(rng),
        "deterministic": rng.random() < 0.5,
    }
    required = {"seed": seed, "steps": rng.choice(STEPS), "sampler": random_text(rng)}
    return with_unknown_members(rng, required | some_of(rng, optional))


def random_gpu(rng: random.Random) -> Record:
    optional = {"memory_gb": rng.choice(AMOUNTS), "driver": random_text(rng), "cuda_version": random_text(rng)}
    return with_unknown_members(rng, {"name": random_text(rng)} | some_of(rng, optional))


def random_hardware_info(rng: random.Random) -> Record:
    optional = {
        "machine_name": random_text(rng),
        "cpu": random_text(rng),
        "cpu_cores": rng.choice(CORES),
        "gpu": [random_gpu(rng) for _ in range(rng.randrange(4))],
        "ram_gb": rng.choice(AMOUNTS),
        "framework": random_text(rng),
        "compute_lib": random_text(rng),
    }
    return with_unknown_members(rng, {"os": random_text(rng)} | some_of(rng, optional))


# encode: random arrays and images

IMAGE_KINDS = (
    ("PNG", "1"),
    ("PNG", "L"),
    ("PNG", "LA"),
    ("PNG", "P"),
    ("PNG", "RGB"),
    ("PNG", "RGBA"),
    ("PNG", "I;16"),
    ("JPEG", "L"),
    ("JPEG", "RGB"),
    ("JPEG", "CMYK"),
    ("WEBP", "RGB"),
    ("WEBP", "RGBA"),
)
PIXEL_SIZES = {"RGB": 3, "RGBA": 4, "I;16": 2}


def random_image(rng: random.Random) -> bytes:
    image_format, mode = rng.choice(IMAGE_KINDS)
    drawn_as = mode if mode in PIXEL_SIZES else "RGB"
    width, height = rng.randint(1, 48), rng.randint(1, 48)
    pixels = rng.randbytes(width * height * PIXEL_SIZES[drawn_as])
    image = Image.frombytes(drawn_as, (width, height), pixels)
    encoded = io.BytesIO()
    (image if drawn_as == mode else image.convert(mode)).save(encoded, format=image_format)
    return encoded.getvalue()


def random_shape(rng: random.Random) -> tuple[int, ...]:
    kind = rng.random()
    if kind < 0.7:
        return tuple(rng.randint(1, 6) for _ in range(4))
    if kind < 0.95:
        return rng.randint(1, 2), rng.choice((1, 3, 4, 16)), rng.randint(1, 33), rng.randint(1, 33)
    return tuple(rng.randint(1, 33) for _ in range(4))


def random_bits(numbers: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    size = int(np.prod(shape))
    values = np.frombuffer(numbers.bytes(size * dtype.itemsize), dtype=dtype).reshape(shape)
    return np.where(np.isfinite(values), values, dtype.type(1))


def random_values(rng: random.Random, shape: tuple[int, ...], dtype: np.dtype, limit: float) -> np.ndarray:
    """Finite values of magnitudes up to `limit`, down to subnormal ones and both zeros."""
    numbers = np.random.default_rng(rng.getrandbits(128))
    kind = rng.randrange(5)
    if kind == 0:
        values = numbers.standard_normal(shape)
    elif kind == 1:
        values = numbers.choice([-1.0, 1.0], shape) * 10.0 ** numbers.uniform(-46, 39, shape)
    elif kind == 2:
        values = random_bits(numbers, shape, dtype)
    elif kind == 3:
        values = numbers.choice([0.0, -0.0, limit, -limit, 6e-8, -6e-8, 2.0**-149, 1.0], shape)
    else:
        values = np.full(shape, rng.uniform(-4, 4))
    return np.clip(values, -limit, limit).astype(dtype)


def in_random_layout(rng: random.Random, array: np.ndarray) -> np.ndarray:
    """Values of the same shape and type that lie in memory in another way."""
    kind = rng.randrange(6)
    if kind == 0:
        return np.asfortranarray(array)
    if kind == 1:
        order = rng.sample(range(4), 4)
        return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    if kind == 2:
        spread = np.zeros([2 * length for length in array.shape], array.dtype)
        spread[::2, ::2, ::2, ::2] = array
        return spread[::2, ::2, ::2, ::2]
    if kind == 3:
        return np.ascontiguousarray(array[::-1, :, :, ::-1])[::-1, :, :, ::-1]
    if kind == 4:
        return np.broadcast_to(array[:1], array.shape)
    return array


def random_latents(rng: random.Random, convert_float16: bool) -> dict[str, np.ndarray]:
    latents: dict[str, np.ndarray] = {}
    wanted = rng.randint(1, 8)
    while len(latents) < wanted:
        key = rng.choice(("latent", "noise", f"step.{len(latents):03}", random_text(rng)))
        dtype = np.dtype(rng.choice(("float16", "float32")))
        limit = FLOAT16_MAX if convert_float16 or dtype == np.float16 else FLOAT32_MAX
        array = random_values(rng, random_shape(rng), dtype, limit)
        latents.setdefault(key, in_random_layout(rng, array))
    return latents


# encode: writing and reading back


class WriteFailure(Exception):
    """The reference does not give back what it was given."""


def check_read_back(given: Record, found: Record) -> None:
    difference = first_difference(given, found, "read back")
    if difference:
        where, expected, got = difference
        raise WriteFailure(f"{where}: gave {shortened(expected)}, got {shortened(got)}")


def write_random_file(rng: random.Random, path: Path) -> Record:
    """Writes one file with the reference and tells what the reference reads from it."""
    convert_float16 = rng.random() < 0.5
    latents = random_latents(rng, convert_float16)
    image = random_image(rng) if rng.random() < 0.6 else None
    model_info = {"model_name": random_text(rng), "version": random_text(rng), "prompt": random_text(rng)}
    model_info["tags"] = random_tags(rng)
    model_info["generation_settings"] = random_generation_settings(rng)
    model_info["hardware_info"] = random_hardware_info(rng)
    handler = Gen5FileHandler()
    with quiet():
        handler.file_encoder(
            str(path),
            latents,
            chunk_records=[],
            model_name=model_info["model_name"],
            model_version=model_info["version"],
            prompt=model_info["prompt"],
            tags=model_info["tags"],
            img_binary=image,
            should_compress=rng.random() < 0.5,
            convert_float16=convert_float16,
            generation_settings=model_info["generation_settings"],
            hardware_info=model_info["hardware_info"],
        )
        decoded = handler.file_decoder(str(path))
    found = describe_decoded(path, decoded)
    stored = {key: array.astype(np.float16) if convert_float16 else array for key, array in latents.items()}
    given = {
        "file": path.name,
        "latents": [describe_latent(key, array) for key, array in stored.items()],
        "image_sha256": None if image is None else sha256(image),
        "model_info": {**model_info, "date": found["model_info"]["date"]},
        "environment": found["environment"],
    }
    check_read_back(given, found)
    return found


def describe_decoded(path: Path, decoded: Record) -> Record:
    manifest = decoded["metadata"]["gen5_metadata"]
    records = [record for record in manifest["chunks"] if record["type"] == "LATN"]
    latents = zip(records, decoded["chunks"]["latent"], strict=True)
    return {
        "file": path.name,
        "latents": [describe_latent(record["extra"]["key"], array) for record, array in latents],
        "image_sha256": describe_image(decoded["chunks"]),
        "model_info": manifest["model_info"],
        "environment": describe_environment(environment_of(decoded["chunks"])),
    }


def encode(arguments: argparse.Namespace) -> Record:
    arguments.dir.mkdir(parents=True, exist_ok=True)
    expected = []
    for index in range(arguments.count):
        rng = random.Random(f"encode/{arguments.seed}/{index}")
        path = arguments.dir / f"reference-{index:05}.gen5"
        try:
            expected.append(write_random_file(rng, path))
        except WriteFailure as error:
            raise WriteFailure(f"{path.name}: {error}") from error
    text = json.dumps(expected, indent=1, allow_nan=False)
    (arguments.dir / "expected.json").write_text(text + "\n", encoding="utf-8")
    return {"files": len(expected), "latents": sum(len(file["latents"]) for file in expected)}


# manifests


@dataclass(frozen=True)
class NumberText:
    """A JSON number in a spelling that Python does not write."""

    text: str


NUMBER_SPELLINGS = (
    "1e0",
    "1.0e0",
    "1E+2",
    "10e-1",
    "5e-1",
    "15e-1",
    "-0",
    "-0e0",
    "0e5",
    "-1e-7",
    "1.50",
    "5e-324",
    "0.99999999999999999999",
    "9007199254740993.0",
    "18446744073709551615.0",
    "184467440737095516160e-1",
)
BOUNDARY_NUMBERS: tuple[Json, ...] = (
    *(-1, -0.0, 0, 0.0, 0.5, 1, 1.0, 1.5, -(2**63), -(2**70)),
    *(2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70, 1e22, 1e300, -1e300),
    *(NumberText(text) for text in NUMBER_SPELLINGS),
)
WRONG_VALUES: tuple[Json, ...] = (
    *(None, True, False, 0, 1, -1, 2.5, "", "1", "text"),
    *([], [None], ["a"], [1], [[]], {}, {"a": 1}),
)

ANY_ITEM = None
SETTINGS = "generation_settings"
HARDWARE = "hardware_info"
NUMBER_PATHS = (
    (SETTINGS, "seed"),
    (SETTINGS, "steps"),
    (SETTINGS, "cfg_scale"),
    (SETTINGS, "eta"),
    (HARDWARE, "cpu_cores"),
    (HARDWARE, "ram_gb"),
    (HARDWARE, "gpu", ANY_ITEM, "memory_gb"),
)
OBJECT_PATHS = ((), (SETTINGS,), (HARDWARE,), (HARDWARE, "gpu", ANY_ITEM))
ARRAY_PATHS = (("tags",), (HARDWARE, "gpu"))
ALL_PATHS = (
    *NUMBER_PATHS,
    *OBJECT_PATHS[1:],
    *ARRAY_PATHS,
    *((name,) for name in ("model_name", "version", "date", "prompt")),
    ("tags", ANY_ITEM),
    *((SETTINGS, name) for name in ("sampler", "scheduler", "guidance", "precision", "deterministic")),
    *((HARDWARE, name) for name in ("machine_name", "os", "cpu", "framework", "compute_lib")),
    *((HARDWARE, "gpu", ANY_ITEM, name) for name in ("name", "driver", "cuda_version")),
)
REQUIRED_PATHS = (
    *((name,) for name in ("model_name", "version", "date", "prompt", "tags")),
    *((SETTINGS, name) for name in ("seed", "steps", "sampler")),
    (HARDWARE, "os"),
    (HARDWARE, "gpu", ANY_ITEM, "name"),
)
Steps = tuple[str | None, ...]


def random_model_info(rng: random.Random) -> Record:
    required = {
        "model_name": random_text(rng),
        "version": random_text(rng),
        "date": rng.choice(("2025-11-22T20:02:00+00:00", "1969-07-20", random_text(rng))),
        "prompt": random_text(rng),
        "tags": random_tags(rng),
    }
    if rng.random() < 0.8:
        required[SETTINGS] = random_generation_settings(rng)
    if rng.random() < 0.8:
        required[HARDWARE] = random_hardware_info(rng)
    return with_unknown_members(rng, required)


def find_place(rng: random.Random, holder: Record, path: Steps) -> tuple[Json, str | int] | None:
    """The object or array, below `holder`, that the path's last step is in, and that step; None if there is none."""
    place: tuple[Json, str | int] | None = None
    value: Json = holder
    for step in ("model_info", *path):
        if step is ANY_ITEM:
            if not isinstance(value, list) or not value:
                return None
            place = value, rng.randrange(len(value))
            value = value[place[1]]
        else:
            if not isinstance(value, dict):
                return None
            place = value, step
            value = value.get(step)
    return place


def put(rng: random.Random, holder: Record, path: Steps, value: Json) -> None:
    place = find_place(rng, holder, path)
    if place:
        container, step = place
        container[step] = deepcopy(value)


def remove(rng: random.Random, holder: Record, path: Steps) -> None:
    place = find_place(rng, holder, path)
    if place and (isinstance(place[0], list) or place[1] in place[0]):
        container, step = place
        del container[step]


def rename(rng: random.Random, holder: Record, path: Steps) -> None:
    place = find_place(rng, holder, path)
    if place and isinstance(place[0], dict) and place[1] in place[0]:
        container, step = place
        container[str(step).upper()] = container.pop(step)


def append(rng: random.Random, holder: Record, path: Steps, value: Json) -> None:
    place = find_place(rng, holder, path)
    array = place[0].get(place[1]) if place else None
    if isinstance(array, list):
        array.insert(rng.randint(0, len(array)), deepcopy(value))


def mutate(rng: random.Random, holder: Record) -> None:
    """Changes one thing in `holder["model_info"]`, which may well stay valid."""
    kind = rng.random()
    if kind < 0.3:
        put(rng, holder, rng.choice(NUMBER_PATHS), rng.choice(BOUNDARY_NUMBERS))
    elif kind < 0.55:
        wrong = rng.choice(WRONG_VALUES) if rng.random() < 0.8 else random_json(rng)
        put(rng, holder, rng.choice(ALL_PATHS), wrong)
    elif kind < 0.7:
        remove(rng, holder, rng.choice(REQUIRED_PATHS))
    elif kind < 0.78:
        remove(rng, holder, rng.choice(ALL_PATHS))
    elif kind < 0.83:
        rename(rng, holder, rng.choice(ALL_PATHS))
    elif kind < 0.9:
        append(rng, holder, rng.choice(ARRAY_PATHS), rng.choice((*WRONG_VALUES, {"name": ""}, {"memory_gb": 1})))
    elif kind < 0.97:
        put(rng, holder, (*rng.choice(OBJECT_PATHS), rng.choice(UNKNOWN_NAMES)), random_json(rng))
    elif kind < 0.99:
        put(rng, holder, (), rng.choice(WRONG_VALUES))
    else:
        remove(rng, holder, ())


def spelled(value: Json) -> str:
    """The JSON text of a value, with each `NumberText` as it stands."""
    text = json.dumps(value, allow_nan=False, default=lambda number: f"<number {number.text}>")
    return re.sub(r'"<number ([-+.0-9eE]+)>"', r"\1", text)


def random_manifest(rng: random.Random) -> str:
    file_info = {"magic": "GEN5", "version_major": 1, "version_minor": 0, "file_size": 4096, "chunk_count": 0}
    holder = {"file_info": file_info, "chunks": [], "model_info": random_model_info(rng)}
    if rng.random() < 0.8:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            mutate(rng, holder)
    return spelled({"gen5_metadata": holder})


def manifests(arguments: argparse.Namespace) -> Record:
    valid_count = 0
    for index in range(arguments.count):
        text = random_manifest(random.Random(f"manifests/{arguments.seed}/{index}"))
        valid = passes_schema(json.loads(text))
        valid_count += valid
        print(f'{{"manifest": {text}, "valid": {json.dumps(valid)}}}')
    return {"manifests": arguments.count, "valid": valid_count}


# validate, refuses, environment and drift


def validate(arguments: argparse.Namespace) -> Record:
    with open(arguments.file, encoding="utf-8", newline="\n") as lines:
        return {"verdicts": [passes_schema(json.loads(line)) for line in lines]}


def refusal(file: str) -> Record:
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file}: no such file")
    try:
        with quiet():
            Gen5FileHandler().file_decoder(file)
    except Exception as error:
        return {"file": file, "refused": True, "error": error_text(error)}
    return {"file": file, "refused": False, "error": None}


def refuses(arguments: argparse.Namespace) -> Record:
    return {"verdicts": [refusal(file) for file in arguments.files]}


def environment(arguments: argparse.Namespace) -> Record:
    with quiet():
        captured = Gen5Env().env_chunk_populator()
    return {"environment": describe_environment([asdict(component) for component in captured.components])}


class MadeEnvironment(Gen5Env):
    """The reference on a machine that has these components."""

    def __init__(self, components: list[Record]) -> None:
        super().__init__()
        self.components = components

    def env_chunk_populator(self) -> EnvChunk:
        made = []
        for component in self.components:
            text = component["cononical_str"]
            made.append(EnvComponent(component["component_id"], text, hashlib.sha256(text.encode()).digest()))
        return EnvChunk(env_version=1, components=made)


def warnings_on(path: Path, current: list[Record]) -> list[str]:
    """What the reference's decoder warns of on a machine that has these components."""
    handler = Gen5FileHandler()
    handler.env = MadeEnvironment(current)
    with quiet(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        handler.file_decoder(str(path))
    return [str(warning.message) for warning in caught]


def drift(arguments: argparse.Namespace) -> Record:
    """Decodes each pair's file, and one that it writes itself with the same environment, under the other environment."""
    pairs = json.loads((arguments.dir / "pairs.json").read_text(encoding="utf-8"))
    told = []
    for index, pair in enumerate(pairs):
        own = arguments.dir / f"reference-{index:05}.gen5"
        handler = Gen5FileHandler()
        handler.env = MadeEnvironment(pair["stored"])
        with quiet():
            handler.file_encoder(
                str(own),
                {"x": np.zeros((1, 1, 1, 1), np.float32)},
                chunk_records=[],
                model_name="m",
                model_version="1",
                prompt="",
                tags=[],
                img_binary=None,
                generation_settings={"seed": 0, "steps": 1, "sampler": "s"},
                hardware_info={"os": "o"},
            )
        files = {"here": arguments.dir / pair["file"], "there": own}
        told.append({"own": own.name, **{side: warnings_on(path, pair["current"]) for side, path in files.items()}})
    return {"warnings": told}


# Command line


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("decode", help="check the files that DIR/expected.json describes")
    command.add_argument("dir", type=Path, metavar="DIR")
    command.add_argument("--strict", action="store_true", help="check this project's promises as well")
    command.set_defaults(run=decode)

    command = commands.add_parser("encode", help="write random files and DIR/expected.json")
    command.add_argument("dir", type=Path, metavar="DIR")
    command.add_argument("count", type=int, metavar="COUNT")
    command.add_argument("seed", type=int, metavar="SEED")
    command.set_defaults(run=encode)

    command = commands.add_parser("manifests", help="print random manifests with verdicts")
    command.add_argument("seed", type=int, metavar="SEED")
    command.add_argument("count", type=int, metavar="COUNT")
    command.set_defaults(run=manifests)

    command = commands.add_parser("validate", help="verdicts on a file of manifests, one a line")
    command.add_argument("file", type=Path, metavar="FILE")
    command.set_defaults(run=validate)

    command = commands.add_parser("refuses", help="whether files are refused")
    command.add_argument("files", nargs="+", metavar="FILE")
    command.set_defaults(run=refuses)

    command = commands.add_parser("environment", help="capture the environment")
    command.set_defaults(run=environment)

    command = commands.add_parser("drift", help="warnings on the pairs of environments in DIR/pairs.json")
    command.add_argument("dir", type=Path, metavar="DIR")
    command.set_defaults(run=drift)
    return parser


def main() -> int:
    arguments = command_line().parse_args()
    try:
        result = arguments.run(arguments)
    except (OSError, ValueError, WriteFailure) as error:
        print(error_text(error), file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
