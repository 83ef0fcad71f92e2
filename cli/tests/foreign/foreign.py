"""Writes and compares files with numpy, safetensors and torch for the tests.

    python foreign.py make DIR           write files of every layout into DIR, print their names
    python foreign.py compare DIR OTHER  compare files in DIR and OTHER, print names of equal ones
    python foreign.py derived DIR        check DIR/comfyui and DIR/kohya, made from made/plain.npy
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

RANDOM = np.random.default_rng(5)


def noise(*shape, dtype=torch.float32):
    return torch.from_numpy(RANDOM.standard_normal(shape, np.float32)).to(dtype)


def make(folder):
    folder.mkdir()
    texts = {"prompt": json.dumps({"1": {"class_type": "Note", "inputs": {}}}), "workflow": '{"a": "\\u00e9\\n"}'}
    for dtype in [torch.float32, torch.float16, torch.bfloat16]:
        name = str(dtype).removeprefix("torch.")
        latent = {"latent_tensor": noise(2, 4, 8, 8, dtype=dtype), "latent_format_version_0": torch.tensor([])}
        save_file(latent, folder / f"ComfyUI_{name}_.latent", metadata=texts)
    sizes = {"original_size": np.array((65, 70)), "crop_ltrb": np.array((0, 0, 64, 64))}
    np.savez(folder / "cat_0064x0064_sd.npz", latents=noise(4, 8, 8).numpy(), **sizes)
    np.savez_compressed(
        folder / "dog_0064x0064_flux.npz",
        latents_8x8=noise(16, 8, 8).numpy(),
        latents_flipped_8x8=noise(16, 8, 8).numpy(),
        original_size_8x8=np.array((-1, 2**40), np.int64),
        crop_ltrb_8x8=np.array((0, 0, 1, 1), np.int32),
        alpha_mask_8x8=np.array([[0.1, np.inf]], np.float64),
    )
    for name, height, width in [("a", 8, 12), ("b", 12, 8), ("c", 8, 12), ("d", 12, 8), ("e", 8, 8)]:
        arrays = {"latents": noise(4, height, width).numpy(), "alpha_mask": RANDOM.random((height * 8, width * 8), np.float32)}
        np.savez(folder / f"{name}_{width * 8:04}x{height * 8:04}_sdxl.npz", **arrays, **sizes)
    architecture = {"architecture": "hunyuan_video", "width": "64", "height": "64", "format_version": "1.0.1"}
    tensors = {
        "latents_3x8x8_bfloat16": noise(16, 3, 8, 8, dtype=torch.bfloat16),
        "latents_control_0_1x8x8_bfloat16": noise(16, 1, 8, 8, dtype=torch.bfloat16),
        "llm_mask": torch.tensor([True, False]),
        "latent_indices_int64": torch.tensor([[-5, 2**62]]),
    }
    save_file(tensors, folder / "sea_00000-009_0064x0064_hv.safetensors", metadata=architecture)
    plain = {"a/b": noise(3, dtype=torch.float16), "c": noise(5, dtype=torch.bfloat16), "d": torch.tensor(1.5)}
    save_file(plain, folder / "plain.safetensors")
    np.savez(folder / "plain.npz", a=noise(3, 2).numpy(), b=np.float16([1, np.nan, -0.0]), empty=np.zeros((0, 3), np.float32))
    np.save(folder / "plain.npy", noise(4, 8, 8).numpy())
    for name in names(folder):
        print(name)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def read(path):
    """The dtype, shape and bytes of all arrays of a file, and its metadata texts."""
    if path.suffix == ".npy":
        arrays, texts = {"": np.load(path)}, {}
    elif path.suffix == ".npz":
        with np.load(path) as file:
            arrays, texts = {name: file[name] for name in file.files}, {}
    else:
        with safe_open(path, framework="pt") as file:
            arrays, texts = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    described = {}
    for name, array in arrays.items():
        if isinstance(array, torch.Tensor):
            described[name] = (str(array.dtype), tuple(array.shape), array.flatten().view(torch.uint8).numpy().tobytes())
        else:
            described[name] = (array.dtype.str, array.shape, array.tobytes())
    return described, texts


def compare(folder, other):
    for name in names(folder):
        (expected, texts), (found, found_texts) = read(folder / name), read(other / name)
        assert found == expected, f"{name}: {found} instead of {expected}"
        if not name.startswith("plain"):
            assert found_texts == texts, f"{name}: {found_texts} instead of {texts}"
        print(name)


def derived(folder):
    noise = np.load(folder / "made" / "plain.npy") / np.float32(0.18215)
    with safe_open(folder / "comfyui" / "latents" / "noise.latent", framework="pt") as file:
        assert set(file.keys()) == {"latent_tensor", "latent_format_version_0"}
        assert torch.equal(file.get_tensor("latent_tensor"), torch.from_numpy(noise)[None])
        assert file.get_tensor("latent_format_version_0").numel() == 0
    with np.load(folder / "kohya" / "latents" / "noise.npz") as file:
        assert np.array_equal(file["latents"], noise) and file["latents"].dtype == np.float32
        assert file["original_size"].tolist() == [64, 64]
        assert file["crop_ltrb"].tolist() == [0, 0, 64, 64]


if __name__ == "__main__":
    command, *folders = sys.argv[1:]
    {"make": make, "compare": compare, "derived": derived}[command](*map(Path, folders))
