//! Latents and their pictures as the page shows them.

use gen5::Latent;
use gen5::chunk::ChunkRecord;
use gen5_picture::text::{count, shown_name};
use gen5_picture::{
    ColorKey, Hints, Item, Layout, Preview, Previews, Scale, Scaling, Scan, ScanOptions, Statistics,
    encode_png, guess_preview, paint_tile, scan_latent,
};
use image::RgbImage;

use super::model::{self, PageRoom, Picture, ShownFrame, ShownFrames, ShownValues};

/// Maximum number of steps of a trajectory, or images of a batch, to show.
const STEPS: usize = 60;
const ITEMS: usize = 12;

/// Maximum number of channels of a picture to show.
const CHANNELS: usize = 16;

/// Length of a picture's longer side in pixels.
const SIDE: usize = 256;

/// Number of bars of a histogram.
const BINS: usize = 64;

/// Describes a latent from its record alone.
pub(super) fn describe(latent: &Latent) -> model::ShownLatent {
    let stored_size = latent.chunks().map(ChunkRecord::stored_size).sum();
    let is_compressed = latent.chunks().any(ChunkRecord::is_compressed);
    let is_shuffled = latent.chunks().any(ChunkRecord::is_shuffled);
    model::ShownLatent {
        name: shown_name(latent.key(), latent.index()),
        dtype: latent.dtype().name(),
        shape: latent.shape().to_vec(),
        payload_size: latent.payload_size(),
        stored_size,
        storage: match (is_shuffled, is_compressed) {
            (true, _) => "zstd, shuffled",
            (false, true) => "zstd",
            (false, false) => "raw",
        },
        parts: latent.chunks().count(),
        values: Err("Its values were not read: the file has too many latents for a page.".into()),
    }
}

/// Memory needed for making the pictures of a latent, in bytes.
pub(super) fn memory_for(latent: &Latent, hints: Hints<'_>) -> u64 {
    let layout = Layout::guess(latent.shape(), hints);
    request(&layout).memory_for(&layout)
}

/// The requested results of a latent's scan.
fn request(layout: &Layout) -> ScanOptions {
    let items = if is_trajectory(layout) { STEPS } else { ITEMS };
    ScanOptions { items, side: SIDE, bins: BINS, ..ScanOptions::default() }
}

fn is_trajectory(layout: &Layout) -> bool {
    layout.axes().iter().any(|axis| axis.len > 1 && matches!(axis.name, "step" | "frame"))
}

/// The statistics and pictures of a latent.
pub(super) fn values(
    latent: &Latent,
    hints: Hints<'_>,
    previews: Previews,
    room: &mut PageRoom,
) -> gen5::Result<ShownValues> {
    let layout = Layout::guess(latent.shape(), hints);
    let is_trajectory = is_trajectory(&layout);
    let scan = scan_latent(latent, hints, &request(&layout))?;
    let colours = match previews {
        Previews::Off => None,
        Previews::By(preview) => Some((preview, "as requested".to_owned())),
        Previews::Auto => guess_preview(&layout, hints.model).map(|guess| (guess.preview, guess.why)),
    };
    let colours = colours.filter(|(preview, _)| preview.fits(&layout));
    let scales: Vec<Scale> = scan.channels.iter().map(Scale::of).take(CHANNELS).collect();

    let mut left_out = 0;
    let is_whole = layout.width().max(layout.height()) <= SIDE;
    let mut frames = Vec::new();
    // Previews of all pictures take precedence over channels, since they are more informative.
    for item in &scan.items {
        let picture = colours.as_ref().and_then(|(preview, _)| preview.picture(&item.planes, hints.scaling));
        let preview = picture.and_then(|picture| take(room, &picture, &mut left_out));
        let statistics = is_whole.then(|| statistics(item));
        let label = layout.item_name(item.index);
        frames.push(ShownFrame { at: item.index, label, statistics, preview, channels: Vec::new() });
    }
    for (item, frame) in scan.items.iter().zip(&mut frames) {
        let tiles = item.planes.iter().zip(&scales);
        let channels = tiles.map_while(|(plane, scale)| {
            Some((scale.words(), take(room, &paint_tile(plane, *scale), &mut left_out)?))
        });
        frame.channels.extend(channels);
    }
    frames.retain(|frame| {
        frame.preview.is_some() || !frame.channels.is_empty() || is_trajectory && frame.statistics.is_some()
    });
    let shown = scan.channels.get(..CHANNELS).unwrap_or(&scan.channels);
    let has_previews = frames.iter().any(|frame| frame.preview.is_some());
    let key = if frames.is_empty() { ColorKey::default() } else { ColorKey::of(shown, has_previews) };
    Ok(ShownValues {
        key,
        notes: notes(&scan, colours.as_ref(), hints.scaling, frames.len(), left_out),
        statistics: scan.statistics,
        histogram: scan.histogram,
        frames: if is_trajectory && frames.len() > 1 {
            ShownFrames::Steps(frames)
        } else {
            ShownFrames::Items(frames)
        },
    })
}

/// Notes about the pictures.
fn notes(
    scan: &Scan,
    colours: Option<&(Preview, String)>,
    scaling: Scaling,
    shown: usize,
    left_out: usize,
) -> Vec<String> {
    let scaled = if scaling == Scaling::Decoder { ", scaled for them" } else { "" };
    let colours = colours.map(|(preview, why)| format!("; colours of {} ({why}){scaled}", preview.name()));
    let mut notes =
        vec![format!("Axes read as {}{}.", scan.layout.description(), colours.unwrap_or_default())];
    let items = scan.layout.items();
    let channels = scan.layout.channels();
    if shown < items && scan.values > 0 {
        notes.push(format!("{shown} of {items} pictures are shown."));
    }
    if channels > CHANNELS {
        notes.push(format!("{CHANNELS} of {channels} channels are shown."));
    }
    if left_out > 0 {
        notes.push(format!("{} left out to keep the page small enough.", count(left_out, "picture")));
    }
    if scan.is_sample() {
        let read = scan.statistics.count();
        notes.push(format!("Statistics are those of a sample: {read} of {} values.", scan.values));
    }
    notes
}

fn take(room: &mut PageRoom, picture: &RgbImage, left_out: &mut usize) -> Option<Picture> {
    let (width, height) = picture.dimensions();
    let encoded = encode_png(picture).ok();
    let taken =
        encoded.and_then(|bytes| room.take(Picture { media_type: "image/png", bytes, width, height }));
    *left_out += usize::from(taken.is_none());
    taken
}

fn statistics(item: &Item) -> Statistics {
    let mut statistics = Statistics::default();
    for plane in &item.planes {
        let values = |y| (0..plane.width()).map(move |x| plane.value(x, y)).collect::<Vec<f32>>();
        (0..plane.height()).for_each(|y| statistics.add(&values(y)));
    }
    statistics
}
