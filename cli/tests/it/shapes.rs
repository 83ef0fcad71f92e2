//! Shapes with huge axes and few or no values.

use crate::library::{Builder, Chunk};
use crate::support::Folder;

/// Shapes with huge axes and one of length 0, and with very many axes of length 1.
const SHAPES: [&[usize]; 11] = [
    &[1 << 62, 0],
    &[0, 1 << 62],
    &[usize::MAX >> 1, 0],
    &[1, 1 << 62, 0, 8],
    &[1, 4, 1 << 62, 0],
    &[1, 4, 0, 1 << 62],
    &[1 << 40, 4, 0, 64],
    &[usize::MAX, usize::MAX, 0],
    &[99_999, 4, 0, 8],
    &[0; 64],
    &[1; 64],
];

/// All commands that use values or shapes. `%` is the file, `@` a folder with a copy of it.
const COMMANDS: [&str; 24] = [
    "info %",
    "info --json %",
    "ls --json %",
    "verify %",
    "cat % a",
    "cat % a --npy",
    "cat % a --rows 0..1",
    "show %",
    "show --json %",
    "show --protocol blocks %",
    "show --rows 0..1 %",
    "render % -o @/out.png",
    "report % -o @/out.html --no-environment-check",
    "diff % @/same.gen5",
    "unpack % -o @/out --no-environment-check",
    "unpack % -o @/out --no-environment-check --format npz",
    "unpack % -o @/out --no-environment-check --format safetensors",
    "unpack % -o @/out --no-environment-check --format original",
    "unpack % -o @/out --no-environment-check --format comfyui",
    "unpack % -o @/out --no-environment-check --format kohya",
    "repack % @/out.gen5",
    "merge --stack % @/same.gen5 -o @/out.gen5",
    "split % -o @/out --rows 1",
    "split % -o @/out",
];

#[test]
fn an_axis_of_any_length_costs_nothing_where_there_are_no_values() {
    for shape in SHAPES {
        let values = if shape.contains(&0) { &[][..] } else { &[0.5] };
        let file =
            Builder::new([Chunk::latent("a", shape, values), Chunk::latent("b", &[2, 2], &[0.0; 4])]).build();
        for line in COMMANDS {
            let folder = Folder::new();
            for name in ["file.gen5", "same.gen5"] {
                std::fs::write(folder.path(name), &file).unwrap();
            }
            let line = line.replace('%', "@/file.gen5");
            let (code, _, said) = folder.run_for_bytes(&line.split(' ').collect::<Vec<_>>());
            // Missing rows, values that a layout cannot hold, and overflowing axes are refused.
            assert!(code <= 2, "{line}, {shape:?}: {code} {said}");
        }
    }
}
