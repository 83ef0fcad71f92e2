//! What `gen5_cli::picture` sees in latents, and what `render` and `show` make of it.

use std::path::Path;

use gen5::{Compression, Latent, Reader, WriteOptions, bf16};
use gen5_cli::picture::{Hints, Request, Scan, scan};

use crate::support::Folder;

/// Values that are different ones everywhere.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|at| at as f32 * 0.25 - 7.0).collect()
}

fn latent(path: &Path, shape: &[usize], values: &[f32], options: &WriteOptions) -> Latent {
    let mut writer = options.clone().create(path).unwrap();
    writer.latent("x", shape, values).unwrap();
    let metadata = gen5::Metadata::builder("SD", "1").date("2026-11-22").build().unwrap();
    writer.finish(&metadata).unwrap();
    Reader::open(path).unwrap().latent("x").unwrap()
}

fn look(latent: &Latent, request: &Request) -> Scan {
    scan(latent, Hints { key: latent.key().unwrap_or_default(), ..Hints::default() }, request).unwrap()
}

#[test]
fn planes_are_the_values_where_they_belong() {
    let folder = Folder::new();
    let values = ramp(2 * 4 * 8 * 6);
    let latent = latent(&folder.path("a.gen5"), &[2, 4, 8, 6], &values, &WriteOptions::new());
    let scan = look(&latent, &Request::default());
    assert_eq!(scan.items.len(), 2);
    for (item, picture) in scan.items.iter().enumerate() {
        assert_eq!((picture.index, picture.planes.len()), (item, 4));
        for (channel, plane) in picture.planes.iter().enumerate() {
            assert_eq!((plane.width(), plane.height()), (6, 8));
            let at = |x: u32, y: u32| values[((item * 4 + channel) * 8 + y as usize) * 6 + x as usize];
            assert!((0..8).all(|y| (0..6).all(|x| plane.value(x, y) == at(x, y))));
        }
    }
    for (channel, statistics) in scan.channels.iter().enumerate() {
        let of_channel = |item: usize| &values[(item * 4 + channel) * 48..][..48];
        let all: Vec<f64> =
            of_channel(0).iter().chain(of_channel(1)).map(|&value| f64::from(value)).collect();
        let mean = all.iter().sum::<f64>() / 96.0;
        assert!((statistics.mean().unwrap() - mean).abs() < 1e-9);
        assert_eq!(statistics.count(), 96);
    }
    assert!(!scan.is_sample());
}

#[test]
fn packed_tokens_come_out_as_channels() {
    // 16x16 tokens of 2x2 pixels: the value tells channel, y and x.
    let value = |channel: usize, y: usize, x: usize| (channel * 10_000 + y * 100 + x) as f32;
    let mut values = Vec::new();
    for token in 0..256 {
        for part in 0..64 {
            let (channel, down, right) = (part / 4, part / 2 % 2, part % 2);
            values.push(value(channel, token / 16 * 2 + down, token % 16 * 2 + right));
        }
    }
    let folder = Folder::new();
    let latent = latent(&folder.path("a.gen5"), &[1, 256, 64], &values, &WriteOptions::new());
    let scan = look(&latent, &Request::default());
    let planes = &scan.items[0].planes;
    assert_eq!(planes.len(), 16);
    for (channel, plane) in planes.iter().enumerate() {
        assert!(
            (0..32).all(|y| (0..32).all(|x| plane.value(x, y) == value(channel, y as usize, x as usize))),
            "channel {channel}"
        );
    }
}

#[test]
fn channels_that_come_last_are_found() {
    let folder = Folder::new();
    let values = ramp(2 * 8 * 9 * 4);
    let latent = latent(&folder.path("a.gen5"), &[2, 8, 9, 4], &values, &WriteOptions::new());
    let scan = look(&latent, &Request::default());
    let plane = &scan.items[1].planes[3];
    assert_eq!((plane.width(), plane.height()), (9, 8));
    assert_eq!(plane.value(5, 7), values[((8 + 7) * 9 + 5) * 4 + 3]);
}

#[test]
fn large_planes_become_means_of_squares() {
    let folder = Folder::new();
    let values = ramp(5 * 7);
    let latent = latent(&folder.path("a.gen5"), &[5, 7], &values, &WriteOptions::new());
    let scan = look(&latent, &Request { side: 4, ..Request::default() });
    let plane = &scan.items[0].planes[0];
    assert_eq!((plane.width(), plane.height()), (4, 3));
    assert_eq!(plane.value(0, 0), (values[0] + values[1] + values[7] + values[8]) / 4.0);
    // At the right and at the bottom there is one value to a pixel.
    assert_eq!(plane.value(3, 2), values[34]);
    assert_eq!(plane.value(3, 0), (values[6] + values[13]) / 2.0);
}

#[test]
fn rows_choose_pictures_and_values() {
    let folder = Folder::new();
    let values = ramp(10 * 4 * 4 * 5);
    let latent = latent(&folder.path("a.gen5"), &[10, 4, 4, 5], &values, &WriteOptions::new());
    let scan = look(&latent, &Request { rows: Some(6..9), items: 2, ..Request::default() });
    assert_eq!(scan.items.iter().map(|item| item.index).collect::<Vec<_>>(), [6, 7]);
    assert_eq!((scan.values, scan.statistics.count()), (240, 240));
    assert_eq!(scan.statistics.min(), Some(values[480]));
    assert_eq!(scan.items[1].planes[0].value(0, 0), values[560]);
}

#[test]
fn what_is_large_is_sampled_and_says_so() {
    let folder = Folder::new();
    let values = ramp(1000 * 4 * 4 * 4);
    let all = values.len() as u64;
    let raw = WriteOptions::new().compression(Compression::None);
    let zstd = WriteOptions::new().compression(Compression::Zstd);
    for (name, options) in [("raw.gen5", raw), ("zstd.gen5", zstd)] {
        let latent = latent(&folder.path(name), &[1000, 4, 4, 4], &values, &options);
        let scan = look(&latent, &Request { sample: 64 << 10, items: 5, ..Request::default() });
        assert!(scan.is_sample());
        assert_eq!(scan.values, all);
        let read = scan.statistics.count();
        assert!((64..40_000).contains(&read), "{name}: {read}");
        assert_eq!(scan.items.len(), 5, "{name}");
        for item in &scan.items {
            assert_eq!(item.planes[1].value(2, 3), values[item.index * 64 + 16 + 14], "{name}");
        }
    }
}

#[test]
fn a_row_over_the_limit_is_read_in_part_and_not_shown() {
    let folder = Folder::new();
    let options = WriteOptions::new().compression(Compression::None);
    let latent = latent(&folder.path("a.gen5"), &[2, 4, 64, 64], &ramp(2 * 4 * 64 * 64), &options);
    let scan = look(&latent, &Request { sample: 8 << 10, ..Request::default() });
    assert!(scan.is_sample() && scan.items.is_empty());
    assert_eq!(scan.statistics.count(), 2048);
}

#[test]
fn odd_shapes_are_looked_at() {
    let folder = Folder::new();
    let shapes: [(&[usize], usize); 6] =
        [(&[], 1), (&[0], 0), (&[0, 4, 8, 8], 0), (&[4, 0, 8], 0), (&[1; 20], 1), (&[2; 12], 64)];
    for (at, (shape, items)) in shapes.into_iter().enumerate() {
        let count = shape.iter().product();
        let path = folder.path(&format!("{at}.gen5"));
        let scan = look(&latent(&path, shape, &ramp(count), &WriteOptions::new()), &Request::default());
        assert_eq!(scan.items.len(), items, "{shape:?}");
        assert_eq!(scan.statistics.count(), count as u64, "{shape:?}");
    }
}

#[test]
fn every_dtype_gives_the_same() {
    let folder = Folder::new();
    let path = folder.path("a.gen5");
    let values: Vec<bf16> = (0..1024).map(|at| bf16::from_f32(at as f32)).collect();
    let mut writer = WriteOptions::new().create(&path).unwrap();
    writer.latent("x", &[4, 16, 16], &values).unwrap();
    writer.finish(&gen5::Metadata::builder("SD", "1").build().unwrap()).unwrap();
    let scan =
        look(&Reader::open(&path).unwrap().latent("x").unwrap(), &Request { bins: 8, ..Request::default() });
    assert_eq!(scan.items[0].planes[2].value(3, 1), values[2 * 256 + 19].to_f32());
    let counts = scan.histogram.unwrap().counts;
    assert!((counts.iter().sum::<f64>() - 1024.0).abs() < 1e-6);
}
