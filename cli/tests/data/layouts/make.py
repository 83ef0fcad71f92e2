"""Writes the files of this folder with numpy and safetensors, as the programs with these layouts do.

    python make.py FOLDER      needs numpy, safetensors and ml_dtypes

The files here were written with numpy 2.4.6 and safetensors 0.8.0.

The values are n / 8 for n = 0, 1, 2, …, which all of the types represent exactly.
"""

import json
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

GRAPH = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 42,
            "steps": 20,
            "cfg": 7.5,
            "sampler_name": "euler",
            "scheduler": "karras",
            "denoise": 1.0,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["7", 0],
            "latent_image": ["5", 0],
        },
    },
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15/v1-5-pruned.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 32, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a lighthouse at dusk", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry", "clip": ["4", 1]}},
    "9": {"class_type": "SaveLatent", "inputs": {"samples": ["3", 0], "filename_prefix": "latents/ComfyUI"}},
}


def values(*shape, dtype=np.float32):
    return (np.arange(np.prod(shape), dtype=np.float32) / 8).reshape(shape).astype(dtype)


def comfyui(folder):
    marker = np.zeros(0, np.float32)
    texts = {"prompt": json.dumps(GRAPH), "workflow": json.dumps({"nodes": [], "version": 0.4})}
    tensors = {"latent_tensor": values(1, 4, 4, 8), "latent_format_version_0": marker}
    save_file(tensors, folder / "ComfyUI_00001_.latent", metadata=texts)
    save_file({"latent_tensor": values(1, 4, 4, 8)}, folder / "old.latent")


def kohya(folder):
    sizes = {"original_size": np.array((120, 65)), "crop_ltrb": np.array((0, 0, 64, 32))}
    np.savez(folder / "cat_0064x0032_sdxl.npz", latents=values(4, 4, 8), **sizes,
             latents_flipped=values(4, 4, 8)[:, :, ::-1], alpha_mask=np.ones((32, 64), np.float32))
    several = {}
    for height, width in [(4, 8), (8, 8)]:
        several[f"latents_{height}x{width}"] = values(16, height, width)
        several[f"original_size_{height}x{width}"] = np.array((width * 8, height * 8))
        several[f"crop_ltrb_{height}x{width}"] = np.array((-1, 0, width * 8, height * 8))
    np.savez(folder / "dog_flux.npz", **several)


def musubi(folder):
    texts = {"architecture": "wan", "width": "64", "height": "32", "format_version": "1.0.1", "frame_count": "5"}
    tensors = {
        "latents_2x4x8_bfloat16": values(16, 2, 4, 8, dtype=ml_dtypes.bfloat16),
        "latents_image_2x4x8_bfloat16": values(20, 2, 4, 8, dtype=ml_dtypes.bfloat16),
        "clip_float16": values(3, 5, dtype=np.float16),
        "f_indices_int32": np.array([-1, 0, 7], np.int32),
        "mask_float64": np.array([[0.1, np.nan]], np.float64),
    }
    save_file(tensors, folder / "sea_00000-005_0064x0032_wan.safetensors", metadata=texts)


def plain(folder):
    save_file({"a": values(2, 3), "b": values(3, dtype=ml_dtypes.bfloat16)}, folder / "plain.safetensors",
              metadata={"format": "pt"})
    np.savez_compressed(folder / "plain.npz", a=values(2, 3), b=values(3, dtype=np.float16))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for write in [comfyui, kohya, musubi, plain]:
        write(folder)
