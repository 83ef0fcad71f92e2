//! The meaning of a latent's axes. Files do not record it, so it is inferred from the shape and,
//! where the shape is ambiguous, from the key and the model's name. The conclusion is also
//! available in words.

/// The role of an axis in pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Successive pictures: images of a batch, steps, frames.
    Item,
    /// Channels of one picture.
    Channel,
    /// Vertical. One step along the axis moves down by this number of pixels.
    Down(usize),
    /// Horizontal, likewise to the right.
    Right(usize),
}

/// An axis as stored in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its name: `step`, `image`, `channel`, …
    pub name: &'static str,
    /// Its length.
    pub len: usize,
    /// Its role.
    pub role: Role,
}

/// The meaning of a latent's axes, outermost first. An axis of tokens counts as several, since each
/// token covers an area of height and width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    axes: Vec<Axis>,
    /// A further assumption.
    note: Option<&'static str>,
}

/// The scale of a latent's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// The sampler's scale.
    #[default]
    Sampler,
    /// The decoder's scale, as in files of ComfyUI and caches of sd-scripts.
    Decoder,
}

/// Information that resolves ambiguous shapes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hints<'a> {
    /// The latent's key.
    pub key: &'a str,
    /// The model's name.
    pub model: &'a str,
    /// Width and height of the image in the file.
    pub image: Option<(u32, u32)>,
    /// The scale of its values.
    pub scaling: Scaling,
    /// Whether its source file gives the axes as channels, frames, height and width.
    pub is_video: bool,
}

/// Values per token of packed latents: 16 channels of 2x2 pixels.
const TOKEN: usize = 64;

/// Minimum number of tokens for packed latents: those of an image of 256x256.
const FEW_TOKENS: usize = 256;

/// Image pixels per token along an axis: 2 pixels of the latent, with 8 pixels of the image each.
const TOKEN_PIXELS: usize = 16;

impl Hints<'_> {
    fn is_trajectory(&self) -> bool {
        has_one_of(self.key, &["traj", "step", "histor", "intermediate", "denois"])
    }

    fn is_mask(&self) -> bool {
        has_one_of(self.key, &["mask", "alpha", "depth"])
    }

    /// Whether the model makes videos, or images with a video model's autoencoder.
    fn is_video_model(&self) -> bool {
        const NAMES: [&str; 12] = [
            "wan",
            "hunyuan",
            "ltx",
            "cosmos",
            "mochi",
            "cogvideo",
            "animatediff",
            "framepack",
            "skyreels",
            "qwen",
            "svd",
            "video",
        ];
        has_one_of(self.model, &NAMES)
    }

    /// Rows and columns for this number of packed tokens, and the assumption made, if any.
    fn token_grid(&self, tokens: usize) -> Option<(usize, usize, Option<&'static str>)> {
        let size = |pixels: u32| usize::try_from(pixels).unwrap_or(usize::MAX).div_ceil(TOKEN_PIXELS);
        if let Some((width, height)) = self.image.map(|(width, height)| (size(width), size(height)))
            && width.checked_mul(height) == Some(tokens)
        {
            return Some((height, width, None));
        }
        let side = tokens.isqrt();
        (side * side == tokens && side > 1).then_some((side, side, Some("assumed to be square")))
    }
}

/// Whether a text contains one of these words, ignoring case.
fn has_one_of(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Whether latents can have this number of channels.
fn is_channels(len: usize) -> bool {
    matches!(len, 3 | 4 | 8 | 12 | 16 | 24 | 32 | 48 | 64 | 128)
}

impl Layout {
    /// The most likely interpretation of a shape, which has the outermost axis first. Any shape has
    /// one.
    ///
    /// ```
    /// use gen5_picture::{Hints, Layout};
    ///
    /// let layout = Layout::guess(&[50, 1, 4, 128, 96], Hints::default());
    /// assert_eq!(layout.description(), "step × image × channel × height × width");
    /// assert_eq!((layout.items(), layout.channels()), (50, 4));
    /// ```
    pub fn guess(shape: &[usize], hints: Hints<'_>) -> Self {
        let known = if hints.is_video { video(shape, hints) } else { None };
        let told = known.or_else(|| packed(shape, hints)).or_else(|| video(shape, hints));
        told.unwrap_or_else(|| Self { axes: name_axes(shape, hints), note: None })
    }

    /// The axes, outermost first.
    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    fn product(&self, role: Role) -> usize {
        let axes = self.axes.iter().filter(|axis| axis.role == role);
        axes.fold(1, |product, axis| product.saturating_mul(axis.len))
    }

    /// The number of pictures.
    pub fn items(&self) -> usize {
        self.product(Role::Item)
    }

    /// The number of channels per picture; 1 if there is no such axis.
    pub fn channels(&self) -> usize {
        self.product(Role::Channel)
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        let axes = self.axes.iter().filter(|axis| matches!(axis.role, Role::Right(_)));
        axes.fold(1, |product, axis| product.saturating_mul(axis.len))
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        let axes = self.axes.iter().filter(|axis| matches!(axis.role, Role::Down(_)));
        axes.fold(1, |product, axis| product.saturating_mul(axis.len))
    }

    /// The interpretation in words: `step × channel × height × width`.
    pub fn description(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for axis in &self.axes {
            if !names.contains(&axis.name) {
                names.push(axis.name);
            }
        }
        let names = if names.is_empty() { "one value".to_owned() } else { names.join(" × ") };
        match self.note {
            Some(note) => format!("{names}, {note}"),
            None => names,
        }
    }

    /// The name of a picture by its position: `step 3, image 0`. Axes of length 1 are omitted,
    /// unless all have length 1.
    pub fn item_name(&self, item: usize) -> String {
        let axes: Vec<&Axis> = self.axes.iter().filter(|axis| axis.role == Role::Item).collect();
        let mut rest = item;
        let mut names = Vec::new();
        for axis in axes.iter().rev() {
            let at = rest % axis.len.max(1);
            rest /= axis.len.max(1);
            if axis.len != 1 {
                names.push(format!("{} {at}", axis.name));
            }
        }
        names.reverse();
        names.join(", ")
    }

    /// The number of pictures in a row, as counted by [`rows`](gen5::Latent::rows); `None` if a row
    /// is not a whole number of pictures.
    pub fn items_in_row(&self) -> Option<usize> {
        let outermost = self.axes.iter().find(|axis| axis.len > 1)?;
        (outermost.role == Role::Item).then(|| self.items() / outermost.len)
    }

    /// The same layout with another number of rows, if these are whole pictures.
    pub(crate) fn of_rows(&self, rows: usize) -> Self {
        let mut layout = self.clone();
        if let Some(axis) = layout.axes.iter_mut().find(|axis| axis.len > 1) {
            axis.len = rows;
        }
        layout
    }

    /// Whether pictures spread over the whole range are more informative than the first ones.
    pub(crate) fn is_spread(&self) -> bool {
        self.axes.iter().find(|axis| axis.len > 1).is_some_and(is_spread)
    }

    /// The positions of up to `most` pictures, ascending: evenly spread steps and frames from first
    /// to last, but the first of other pictures.
    pub fn choose(&self, most: usize) -> Vec<usize> {
        let axes: Vec<&Axis> = self.axes.iter().filter(|axis| axis.role == Role::Item).collect();
        if self.items() == 0 || most == 0 {
            return Vec::new();
        }
        let mut chosen = vec![0];
        for (axis, count) in axes.iter().zip(share(&axes, most)) {
            let along = (0..count)
                .map(|at| if is_spread(axis) { spread_evenly(at, count, axis.len - 1) } else { at });
            let along: Vec<usize> = along.collect();
            chosen =
                chosen.iter().flat_map(|base| along.iter().map(move |at| base * axis.len + at)).collect();
        }
        chosen
    }
}

/// The position of one of `count` pictures evenly spread from 0 to `last`.
pub(crate) fn spread_evenly(at: usize, count: usize, last: usize) -> usize {
    let place = at as u128 * last as u128 / (count.max(2) - 1) as u128;
    usize::try_from(place).unwrap_or(last)
}

/// Whether evenly spread positions along this axis are more informative than the first ones.
fn is_spread(axis: &Axis) -> bool {
    matches!(axis.name, "step" | "frame")
}

/// The number of positions to take along each axis, with a product of at most `most`: each axis in
/// turn gets one more while possible.
fn share(axes: &[&Axis], most: usize) -> Vec<usize> {
    let mut counts: Vec<usize> = vec![1; axes.len()];
    loop {
        let mut grown = false;
        for (at, axis) in axes.iter().enumerate() {
            let others = counts.iter().enumerate().filter(|(other, _)| *other != at);
            let others: usize = others.map(|(_, count)| *count).product();
            if let Some(count) = counts.get_mut(at)
                && *count < axis.len
                && others * (*count + 1) <= most
            {
                *count += 1;
                grown = true;
            }
        }
        if !grown {
            return counts;
        }
    }
}

/// Latents packed into tokens: the last axis has 2x2 pixels of 16 channels, channel by channel; the
/// axis before it has all tokens.
fn packed(shape: &[usize], hints: Hints<'_>) -> Option<Layout> {
    let &[.., tokens, last] = shape else { return None };
    let (outer, _) = shape.split_at(shape.len() - 2);
    let (rows, columns, note) = hints.token_grid(tokens)?;
    // The shape may also be that of very tall, narrow channels.
    let is_plane = outer.last().is_some_and(|&len| is_channels(len));
    let is_packed = !is_plane || has_one_of(hints.model, &["flux"]) || tokens >= 2 * FEW_TOKENS;
    if last != TOKEN || outer.len() > 2 || !is_packed || tokens < FEW_TOKENS {
        return None;
    }
    let mut axes = items(outer, hints);
    axes.extend([
        Axis { name: "token", len: rows, role: Role::Down(2) },
        Axis { name: "token", len: columns, role: Role::Right(2) },
        Axis { name: "16 channels of 2x2", len: TOKEN / 4, role: Role::Channel },
        Axis { name: "16 channels of 2x2", len: 2, role: Role::Down(1) },
        Axis { name: "16 channels of 2x2", len: 2, role: Role::Right(1) },
    ]);
    Some(Layout { axes, note })
}

/// The axes around pictures: if there are two, the outer one is steps.
fn items(outer: &[usize], hints: Hints<'_>) -> Vec<Axis> {
    let steps = hints.is_trajectory();
    let names: &[&'static str] = match outer.len() {
        0 => &[],
        1 if steps => &["step"],
        1 => &["image"],
        2 => &["step", "image"],
        _ => &[],
    };
    let name = |at| names.get(at).copied().unwrap_or("item");
    let axis = |(at, &len): (usize, &usize)| Axis { name: name(at), len, role: Role::Item };
    outer.iter().enumerate().map(axis).collect()
}

fn down(len: &usize) -> Axis {
    Axis { name: "height", len: *len, role: Role::Down(1) }
}

fn right(len: &usize) -> Axis {
    Axis { name: "width", len: *len, role: Role::Right(1) }
}

fn channel(len: &usize) -> Axis {
    Axis { name: "channel", len: *len, role: Role::Channel }
}

/// Minimum number of channels of video autoencoders; fewer mean images.
const VIDEO_CHANNELS: usize = 12;

/// A video: channels, then frames. There may be a single frame, which is how video autoencoders
/// encode an image.
fn video(shape: &[usize], hints: Hints<'_>) -> Option<Layout> {
    let [outer @ .., channels, frames, height, width] = shape else { return None };
    let steps = hints.is_trajectory();
    let is_video = match outer {
        _ if outer.len() > 2 || *channels <= 3 || !is_channels(*channels) => false,
        _ if hints.is_video => true,
        // One channel means a mask, and hardly ever a latent.
        _ if *frames == 1 && hints.is_mask() => false,
        [] if *frames == 1 => *channels >= VIDEO_CHANNELS && !steps,
        _ if *frames == 1 => true,
        // If `frames` is a possible number of channels, the first axis may be a batch instead.
        [] if is_channels(*frames) => *channels >= VIDEO_CHANNELS && hints.is_video_model() && !steps,
        // Likewise, the third axis may be the channels of steps with a batch each.
        _ => !(steps && is_channels(*frames)) || hints.is_video_model(),
    };
    let mut axes = items(outer, hints);
    let frame = Axis { name: "frame", len: *frames, role: Role::Item };
    axes.extend([channel(channels), frame, down(height), right(width)]);
    let note = (*frames == 1 && !hints.is_video).then_some("assumed to be one frame of a video");
    is_video.then_some(Layout { axes, note })
}

fn name_axes(shape: &[usize], hints: Hints<'_>) -> Vec<Axis> {
    match shape {
        [] => vec![],
        [len] => vec![Axis { name: "one row of values", ..right(len) }],
        // Channels are last if the axes before them are the large ones.
        [outer @ .., height, width, channels]
            if matches!(channels, 3 | 4 | 16)
                && height.min(width) > channels
                && outer.len() <= 2
                && !outer.last().is_some_and(|len| is_channels(*len)) =>
        {
            let mut axes = items(outer, hints);
            axes.extend([down(height), right(width), channel(channels)]);
            axes
        }
        [outer @ .., channels, height, width] if is_channels(*channels) => {
            let mut axes = items(outer, hints);
            axes.extend([channel(channels), down(height), right(width)]);
            axes
        }
        // An explicit single channel: masks, and data with only a batch axis.
        [outer @ .., 1, height, width] if !outer.is_empty() => {
            let mut axes = items(outer, hints);
            axes.extend([channel(&1), down(height), right(width)]);
            axes
        }
        [outer @ .., height, width] => {
            let mut axes = items(outer, hints);
            axes.extend([down(height), right(width)]);
            axes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: &[usize], key: &str) -> String {
        read_of("", shape, key)
    }

    fn read_of(model: &str, shape: &[usize], key: &str) -> String {
        Layout::guess(shape, Hints { key, model, ..Hints::default() }).description()
    }

    #[test]
    fn shapes_are_read_as_users_would() {
        let table: [(&[usize], &str, &str); 26] = [
            (&[], "", "one value"),
            (&[1280], "", "one row of values"),
            (&[77, 768], "", "height × width"),
            (&[4, 64, 64], "", "channel × height × width"),
            (&[16, 128, 96], "", "channel × height × width"),
            (&[64, 64, 4], "", "height × width × channel"),
            (&[2, 77, 768], "", "image × height × width"),
            (&[1, 4, 64, 64], "", "image × channel × height × width"),
            (&[8, 16, 128, 128], "", "image × channel × height × width"),
            (&[16, 4, 64, 64], "", "image × channel × height × width"),
            (&[50, 4, 64, 64], "trajectory", "step × channel × height × width"),
            (&[50, 16, 64, 64], "denoising", "step × channel × height × width"),
            (&[2, 64, 64, 4], "", "image × height × width × channel"),
            (&[2, 64, 64, 16], "", "image × height × width × channel"),
            (&[16, 21, 60, 104], "", "channel × frame × height × width"),
            (&[1, 16, 21, 60, 104], "", "image × channel × frame × height × width"),
            (&[50, 1, 4, 128, 128], "", "step × image × channel × height × width"),
            (&[50, 2, 16, 128, 128], "", "step × image × channel × height × width"),
            (&[50, 4, 4, 128, 128], "steps", "step × image × channel × height × width"),
            (&[1, 4096, 64], "", "image × token × 16 channels of 2x2, assumed to be square"),
            (&[4096, 64], "", "token × 16 channels of 2x2, assumed to be square"),
            (&[20, 1, 4096, 64], "steps", "step × image × token × 16 channels of 2x2, assumed to be square"),
            (&[64, 64], "", "height × width"),
            (&[4, 1, 64, 64], "mask", "image × channel × height × width"),
            (&[1, 1, 64, 64], "mask", "image × channel × height × width"),
            (&[2, 3, 5, 7, 2, 9, 8], "", "item × height × width"),
        ];
        for (shape, key, description) in table {
            assert_eq!(read(shape, key), description, "{shape:?}");
        }
    }

    #[test]
    fn videos_are_channels_then_frames() {
        const BATCH: &str = "image × channel × height × width";
        const VIDEO: &str = "channel × frame × height × width";
        const VIDEOS: &str = "image × channel × frame × height × width";
        const STEPS: &str = "step × channel × frame × height × width";
        const FRAME: &str = "channel × frame × height × width, assumed to be one frame of a video";
        const FRAMES: &str = "image × channel × frame × height × width, assumed to be one frame of a video";
        const STEP: &str = "step × channel × frame × height × width, assumed to be one frame of a video";
        let table: [(&str, &[usize], &str, &str); 22] = [
            ("", &[16, 1, 60, 104], "", FRAME),
            ("", &[48, 1, 44, 80], "", FRAME),
            ("", &[1, 16, 1, 60, 104], "", FRAMES),
            ("Wan2.1", &[3, 16, 1, 60, 104], "", FRAMES),
            ("", &[1, 4, 1, 64, 64], "", FRAMES),
            ("", &[20, 16, 1, 60, 104], "denoising steps", STEP),
            // A single channel means a mask, or a step.
            ("", &[16, 1, 64, 64], "mask", BATCH),
            ("", &[1, 16, 1, 64, 64], "masks", "step × image × channel × height × width"),
            ("", &[16, 1, 64, 64], "steps", "step × channel × height × width"),
            ("", &[8, 1, 64, 64], "", BATCH),
            ("", &[16, 21, 60, 104], "", VIDEO),
            ("", &[1, 16, 21, 60, 104], "", VIDEOS),
            ("", &[1, 4, 16, 64, 64], "", VIDEOS),
            ("", &[20, 16, 21, 60, 104], "trajectory", STEPS),
            // If channels and frames are equal in number, the model's name decides.
            ("", &[16, 16, 64, 64], "", BATCH),
            ("FLUX.1-dev", &[16, 16, 64, 64], "", BATCH),
            ("Wan2.1", &[16, 16, 64, 64], "", VIDEO),
            ("Wan2.1", &[16, 16, 64, 64], "steps", "step × channel × height × width"),
            ("HunyuanDiT", &[8, 4, 64, 64], "", BATCH),
            ("", &[20, 4, 16, 64, 64], "steps", "step × image × channel × height × width"),
            ("AnimateDiff", &[20, 4, 16, 64, 64], "steps", STEPS),
            ("Wan2.1", &[16, 60, 104], "", "channel × height × width"),
        ];
        for (model, shape, key, description) in table {
            assert_eq!(read_of(model, shape, key), description, "{model} {shape:?} {key}");
        }
        // A statement in the file outranks a guess.
        let hints = Hints { is_video: true, key: "mask", ..Hints::default() };
        let read = |shape: &[usize]| Layout::guess(shape, hints).description();
        assert_eq!(read(&[16, 1, 1024, 64]), VIDEO);
        assert_eq!(read(&[5, 16, 16, 64, 64]), VIDEOS);
        assert_eq!(read(&[16, 60, 104]), "channel × height × width");
    }

    #[test]
    fn one_frame_has_its_channels_in_one_picture() {
        for shape in [&[16, 1, 6, 4][..], &[1, 16, 1, 6, 4]] {
            let layout = Layout::guess(shape, Hints::default());
            assert_eq!((layout.items(), layout.channels()), (1, 16));
            assert_eq!((layout.item_name(0).as_str(), layout.items_in_row()), ("", None));
        }
    }

    #[test]
    fn every_axis_is_counted_once() {
        let shapes: [&[usize]; 9] = [
            &[],
            &[9],
            &[2, 4, 8, 6],
            &[2, 4096, 64],
            &[1, 16, 3, 8, 8],
            &[2; 20],
            &[0, 4, 8, 8],
            &[16, 1, 8, 8],
            &[16, 0, 8, 8],
        ];
        for shape in shapes {
            let layout = Layout::guess(shape, Hints::default());
            let product = layout.items() * layout.channels() * layout.height() * layout.width();
            assert_eq!(product, shape.iter().product::<usize>(), "{shape:?}");
        }
    }

    #[test]
    fn tokens_take_the_form_of_the_image() {
        let hints = Hints { image: Some((1344, 768)), ..Hints::default() };
        let layout = Layout::guess(&[1, 4032, 64], hints);
        assert_eq!((layout.channels(), layout.height(), layout.width()), (16, 96, 168));
        assert_eq!(layout.description(), "image × token × 16 channels of 2x2");
        // Not square, and without an image that determines the size.
        assert_eq!(read(&[1, 4032, 64], ""), "image × height × width");
    }

    #[test]
    fn items_are_named_and_chosen() {
        let steps = Layout::guess(&[50, 1, 4, 8, 8], Hints::default());
        assert_eq!(steps.choose(4), [0, 16, 32, 49]);
        assert_eq!(steps.item_name(49), "step 49");
        let both = Layout::guess(&[5, 3, 4, 8, 8], Hints::default());
        assert_eq!(both.item_name(14), "step 4, image 2");
        assert_eq!(both.choose(4), [0, 1, 12, 13]);
        assert_eq!(both.choose(100), (0..15).collect::<Vec<_>>());
        let batch = Layout::guess(&[4096, 4, 8, 8], Hints::default());
        assert_eq!(batch.choose(3), [0, 1, 2]);
        assert_eq!(Layout::guess(&[0, 4, 8, 8], Hints::default()).choose(3), [] as [usize; 0]);
        assert_eq!(Layout::guess(&[4, 8, 8], Hints::default()).choose(3), [0]);
    }
}
