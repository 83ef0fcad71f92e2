"""Compares this crate with Python packages, in turn: the reference ``gen5`` 0.1.0, safetensors and numpy.

    cargo bench --no-run --bench against_python
    PYTHON benches/against_python.py [--quick] [--pairs N]

PYTHON is the interpreter of an environment that has the reference; ``.ci/reference`` makes one and
prints its path. The rows of safetensors need ``pip install safetensors`` there, and are omitted
without it.

Each side writes and reads four float32 latents of standard normal noise, 64 MiB each, in the page
cache. Each side is warmed up once; then both are timed in turn, ours first. The ratio is the median
of the ratios of the pairs. Ours is a separate process, ``against_python.rs``, which receives
commands and times itself, on all cores. Python is timed in this process, which runs nothing else at
that time. All values read are compared with those written, and files are removed, outside the
measured time.

Both sides read a file of the reference, or each reads a file of its own format. Reading copies all
values into memory that the program owns. Hashes are not compared, since the reference does not
compare them.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from gen5 import Gen5FileHandler

try:
    from safetensors.numpy import load_file, save_file
except ImportError:
    load_file = save_file = None

ROOT = Path(__file__).resolve().parent.parent
LATENTS = 4
Latents = dict[str, np.ndarray]
Job = Callable[[Path], object]


class Ours:
    """The process that runs our side."""

    def __init__(self) -> None:
        command = ["cargo", "bench", "--quiet", "--bench", "against_python"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, *words: object) -> float:
        """Runs a command and returns the seconds that it took."""
        assert self.process.stdin and self.process.stdout
        print(*words, sep="\t", file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"ours ended with {self.process.wait()} at {words}")
        return float(answer)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses the reference's debugging output and warnings."""
    with open(os.devnull, "w", encoding="utf-8") as sink, contextlib.redirect_stdout(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def encode(latents: Latents, compressed: bool) -> Job:
    def job(path: Path) -> None:
        Gen5FileHandler().file_encoder(
            str(path),
            latents,
            chunk_records=[],
            model_name="model",
            model_version="1",
            prompt="a lighthouse at dusk",
            tags=["benchmark"],
            img_binary=None,
            should_compress=compressed,
            convert_float16=False,
            generation_settings={"seed": 42, "steps": 50, "sampler": "ddim"},
            hardware_info={"os": "Linux"},
        )

    return job


def decode(path: Path) -> list[np.ndarray]:
    return Gen5FileHandler().file_decoder(str(path))["chunks"]["latent"]


def load_npz(path: Path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[key] for key in file]


def timed(job: Job, path: Path) -> tuple[float, object]:
    with quiet():
        start = time.perf_counter()
        result = job(path)
        return time.perf_counter() - start, result


class Table:
    def __init__(self, ours: Ours, latents: Latents, folder: Path, pairs: int) -> None:
        self.ours, self.latents, self.folder, self.pairs = ours, latents, folder, pairs
        self.size = sum(array.nbytes for array in latents.values())
        self.rows: list[str] = []

    def row(self, scenario: str, goal: float | None, ours: Callable[[], float], against: Callable[[], float]) -> None:
        """Measures both sides in turn and adds a row with the result."""
        ours(), against()
        pairs = [(ours(), against()) for _ in range(self.pairs)]
        ratio = statistics.median(theirs / mine for mine, theirs in pairs)
        speeds = [f"{self.size / statistics.median(side) / 1e9:.2f} GB/s" for side in zip(*pairs)]
        told = ("-", "-") if goal is None else (f">= {goal:.2f}", "holds" if ratio >= goal else "short")
        print(f"{scenario}: {ratio:.2f}, goal {told[0]}", file=sys.stderr)
        self.rows.append(f"| {scenario} | {speeds[0]} | {speeds[1]} | {ratio:.3f} | {told[0]} | {told[1]} |")

    def write(self, scenario: str, goal: float | None, command: str, job: Job, suffix: str) -> None:
        """Measures writing to a new file each time; ours is read back."""
        our_file, their_file = self.folder / "ours.gen5", self.folder / f"theirs{suffix}"

        def ours() -> float:
            seconds = self.ours(command, our_file)
            self.ours("read", our_file)
            our_file.unlink()
            return seconds

        def against() -> float:
            seconds, _ = timed(job, their_file)
            assert their_file.stat().st_size > self.size // 2
            their_file.unlink()
            return seconds

        self.row(scenario, goal, ours, against)

    def read(self, scenario: str, goal: float | None, our_file: Path, job: Job, their_file: Path) -> None:
        """Measures reading existing files."""

        def against() -> float:
            seconds, read = timed(job, their_file)
            arrays = list(read.values()) if isinstance(read, dict) else read
            assert len(arrays) == len(self.latents)
            assert all(np.array_equal(*pair) for pair in zip(self.latents.values(), arrays, strict=True))
            return seconds

        self.row(scenario, goal, lambda: self.ours("read", our_file), against)

    def print(self) -> None:
        print("| scenario | ours | against | ratio | goal | holds or short |")
        print("|---|---|---|---|---|---|")
        print("\n".join(self.rows))


def measure(table: Table) -> None:
    folder, latents = table.folder, table.latents
    raw, zstd = folder / "raw.gen5", folder / "zstd.gen5"
    for path, compressed in [(raw, False), (zstd, True)]:
        timed(encode(latents, compressed), path)
    # The reference decodes our files to the same values.
    for command in ["raw", "zstd"]:
        table.ours(command, folder / "check.gen5")
        _, decoded = timed(decode, folder / "check.gen5")
        assert all(np.array_equal(*pair) for pair in zip(latents.values(), decoded, strict=True))

    table.write("encode raw, against the reference", 6.0, "raw", encode(latents, False), ".gen5")
    table.write("encode compressed, against the reference", 4.5, "zstd", encode(latents, True), ".gen5")
    table.read("decode compressed, against the reference", 4.5, zstd, decode, zstd)
    table.read("decode raw, against the reference", None, raw, decode, raw)

    if save_file is None:
        print("safetensors is not there: pip install safetensors", file=sys.stderr)
    else:
        file = folder / "latents.safetensors"
        save_file(latents, file)
        table.write("encode raw, against safetensors, which hashes nothing", None, "raw",
                    lambda path: save_file(latents, path), ".safetensors")
        table.read("read raw, against safetensors", None, raw, load_file, file)

    file = folder / "latents.npz"
    np.savez(file, **latents)
    table.write("encode raw, against numpy.savez", None, "raw", lambda path: np.savez(path, **latents), ".npz")
    table.read("read raw, against numpy.load", None, raw, load_npz, file)


def main() -> None:
    parser = argparse.ArgumentParser(description="Ours against the Python packages.")
    parser.add_argument("--quick", action="store_true", help="latents of 8 MiB, and three pairs")
    parser.add_argument("--pairs", type=int, help="how often each side is timed (7)")
    arguments = parser.parse_args()
    pairs = arguments.pairs or (3 if arguments.quick else 7)
    shape = (8 if arguments.quick else 64, 4, 256, 256)

    random = np.random.default_rng(42)
    latents = {f"latent_{index}": random.standard_normal(shape, dtype=np.float32) for index in range(LATENTS)}
    ours = Ours()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(folder / "values", "wb") as file:
            for array in latents.values():
                file.write(array.tobytes())
        ours("values", folder / "values", *shape)
        table = Table(ours, latents, folder, pairs)
        measure(table)
    ours.close()
    print(f"{LATENTS} latents of {shape[0]} MiB, medians of {pairs} pairs, files in {tempfile.gettempdir()}.")
    if arguments.quick:
        print("Quick: the goals are for latents of 64 MiB.")
    print()
    table.print()


if __name__ == "__main__":
    main()
