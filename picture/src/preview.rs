//! Previews: latents as RGB by a linear map of their channels. The result is close to the
//! decoder's, at an eighth of its size and almost without cost.
//!
//! The factors and biases are those that ComfyUI publishes as `latent_rgb_factors` and
//! `latent_rgb_factors_bias` (`comfy/latent_formats.py`, as of 2025). The idea is Keturn's, who
//! fitted the first of them (Hugging Face forum, "Decoding latents to RGB without upscaling",
//! 2022). They apply to latents as the sampler has them, scaled and shifted; the result is in -1 to
//! 1. The same file also has the scales and shifts, as `scale_factor` and `shift_factor`.

use image::RgbImage;

use crate::layout::{Layout, Scaling};
use crate::plane::Plane;
use crate::tiles::{NAN_COLOR, byte};

/// A preview in colour, by the factors of a family of models. Each of red, green and blue is the
/// bias plus the sum over the channels of value times factor, from -1 (dark) to 1 (light). Factors
/// and biases are ComfyUI's `latent_rgb_factors` and `latent_rgb_factors_bias`
/// (`comfy/latent_formats.py`, as of 2025).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preview {
    /// Stable Diffusion 1 and 2: 4 channels.
    Sd15,
    /// Stable Diffusion XL: 4 channels.
    Sdxl,
    /// Stable Diffusion 3 and 3.5: 16 channels.
    Sd3,
    /// FLUX.1: 16 channels.
    Flux,
}

/// The contribution of each channel to red, green and blue.
const SD15: [[f32; 3]; 4] = [
    [0.3512, 0.2297, 0.3227],
    [0.3250, 0.4974, 0.2350],
    [-0.2829, 0.1762, 0.2721],
    [-0.2120, -0.2616, -0.7177],
];

const SDXL: [[f32; 3]; 4] = [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
];

const SDXL_BIAS: [f32; 3] = [0.1084, -0.0175, -0.0011];

const SD3: [[f32; 3]; 16] = [
    [-0.0922, -0.0175, 0.0749],
    [0.0311, 0.0633, 0.0954],
    [0.1994, 0.0927, 0.0458],
    [0.0856, 0.0339, 0.0902],
    [0.0587, 0.0272, -0.0496],
    [-0.0006, 0.1104, 0.0309],
    [0.0978, 0.0306, 0.0427],
    [-0.0042, 0.1038, 0.1358],
    [-0.0194, 0.0020, 0.0669],
    [-0.0488, 0.0130, -0.0268],
    [0.0922, 0.0988, 0.0951],
    [-0.0278, 0.0524, -0.0542],
    [0.0332, 0.0456, 0.0895],
    [-0.0069, -0.0030, -0.0810],
    [-0.0596, -0.0465, -0.0293],
    [-0.1448, -0.1463, -0.1189],
];

const SD3_BIAS: [f32; 3] = [0.2394, 0.2135, 0.1925];

const FLUX: [[f32; 3]; 16] = [
    [-0.0346, 0.0244, 0.0681],
    [0.0034, 0.0210, 0.0687],
    [0.0275, -0.0668, -0.0433],
    [-0.0174, 0.0160, 0.0617],
    [0.0859, 0.0721, 0.0329],
    [0.0004, 0.0383, 0.0115],
    [0.0405, 0.0861, 0.0915],
    [-0.0236, -0.0185, -0.0259],
    [-0.0245, 0.0250, 0.1180],
    [0.1008, 0.0755, -0.0421],
    [-0.0515, 0.0201, 0.0011],
    [0.0428, -0.0012, -0.0036],
    [0.0817, 0.0765, 0.0749],
    [-0.1264, -0.0522, -0.1103],
    [-0.0280, -0.0881, -0.0499],
    [-0.1262, -0.0982, -0.0778],
];

const FLUX_BIAS: [f32; 3] = [-0.0329, -0.0718, -0.0851];

/// The conversion between the two scales of a model's latents. A value of the sampler is the
/// decoder's value less the shift, times the factor. ComfyUI names them `shift_factor` and
/// `scale_factor`.
///
/// ```
/// let scale = gen5_picture::Normalization { shift: 0.5, factor: 2.0 };
/// assert_eq!(scale.for_sampler(1.5), 2.0);
/// assert_eq!(scale.for_decoder(2.0), 1.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// The value to subtract.
    pub shift: f32,
    /// The factor for the difference.
    pub factor: f32,
}

impl Normalization {
    /// Converts a decoder value to the sampler's scale.
    pub fn for_sampler(self, value: f32) -> f32 {
        (value - self.shift) * self.factor
    }

    /// Converts a sampler value to the decoder's scale.
    pub fn for_decoder(self, value: f32) -> f32 {
        value / self.factor + self.shift
    }
}

impl Preview {
    /// The contribution of each channel to red, green and blue.
    pub fn factors(self) -> &'static [[f32; 3]] {
        match self {
            Self::Sd15 => &SD15,
            Self::Sdxl => &SDXL,
            Self::Sd3 => &SD3,
            Self::Flux => &FLUX,
        }
    }

    /// Red, green and blue if all channels are zero.
    pub fn bias(self) -> [f32; 3] {
        match self {
            Self::Sd15 => [0.0; 3],
            Self::Sdxl => SDXL_BIAS,
            Self::Sd3 => SD3_BIAS,
            Self::Flux => FLUX_BIAS,
        }
    }

    /// The conversion between the sampler's scale and the decoder's.
    pub fn normalization(self) -> Normalization {
        match self {
            Self::Sd15 => Normalization { shift: 0.0, factor: 0.18215 },
            Self::Sdxl => Normalization { shift: 0.0, factor: 0.13025 },
            Self::Sd3 => Normalization { shift: 0.0609, factor: 1.5305 },
            Self::Flux => Normalization { shift: 0.1159, factor: 0.3611 },
        }
    }

    /// The number of channels of its latents.
    pub fn channels(self) -> usize {
        self.factors().len()
    }

    /// Whether latents with this layout can be from this family.
    pub fn fits(self, layout: &Layout) -> bool {
        self.channels() == layout.channels()
    }

    /// Its name: `sd15`, `sdxl`, `sd3`, `flux`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sd15 => "sd15",
            Self::Sdxl => "sdxl",
            Self::Sd3 => "sd3",
            Self::Flux => "flux",
        }
    }

    /// The picture of these channels, one pixel per value; `None` if the number of channels is
    /// wrong. Pixels with a NaN value are [`NAN_COLOR`].
    pub fn picture(self, planes: &[Plane], scaling: Scaling) -> Option<RgbImage> {
        let value = |value: f32| match scaling {
            Scaling::Sampler => value,
            Scaling::Decoder => self.normalization().for_sampler(value),
        };
        let first = planes.first().filter(|_| planes.len() == self.channels())?;
        let picture = RgbImage::from_fn(first.width(), first.height(), |x, y| {
            let mut color = self.bias();
            for (plane, factors) in planes.iter().zip(self.factors()) {
                let value = value(plane.value(x, y));
                for (sum, factor) in color.iter_mut().zip(factors) {
                    *sum += value * factor;
                }
            }
            if color.iter().any(|part| part.is_nan()) {
                return NAN_COLOR;
            }
            image::Rgb(color.map(|part| byte((part + 1.0) / 2.0)))
        });
        Some(picture)
    }
}

/// The factors to show a latent with, and the evidence for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The factors.
    pub preview: Preview,
    /// The evidence: `4 channels, and "xl" in the model's name`.
    pub why: String,
    /// Whether the model's name is part of the evidence.
    pub by_name: bool,
}

/// The factors for a latent with this layout, if any match the number of its channels and the
/// model's name. Video models are numerous, and their latents have as many channels as those of
/// images, so they require the model's name.
///
/// ```
/// use gen5_picture::{Hints, Layout, Preview, guess_preview};
///
/// let layout = Layout::guess(&[1, 4, 128, 128], Hints::default());
/// let guess = guess_preview(&layout, "juggernautXL_v9").expect("four channels");
/// assert_eq!(guess.preview, Preview::Sdxl);
/// assert_eq!(guess.why, "4 channels, and \"xl\" in the model's name");
/// ```
pub fn guess_preview(layout: &Layout, model: &str) -> Option<Guess> {
    let is_video = layout.axes().iter().any(|axis| axis.name == "frame");
    guess_by_channels(layout.channels(), model).filter(|guess| guess.by_name || !is_video)
}

/// The factors that match the number of channels and the model's name, if any.
fn guess_by_channels(channels: usize, model: &str) -> Option<Guess> {
    use Preview::{Flux, Sd3, Sd15, Sdxl};
    let name = model.to_lowercase().replace(['-', '_'], " ");
    // Models whose latents have the same number of channels with a different meaning.
    const OTHERS: [&str; 13] = [
        "flux.2",
        "flux2",
        "flux 2",
        "wan",
        "hunyuan",
        "qwen",
        "cascade",
        "cosmos",
        "playground",
        "pixart",
        "cogvideo",
        "ltx",
        "mochi",
    ];
    // Only at the start of a word: a swan is not Wan.
    let starts_word = |at: usize| name.get(..at).is_some_and(|before| !before.ends_with(char::is_alphabetic));
    if OTHERS.iter().any(|other| name.match_indices(other).any(|(at, _)| starts_word(at))) {
        return None;
    }
    const NAMES: [(&str, Preview); 19] = [
        // These three use SDXL's autoencoder.
        ("kolors", Sdxl),
        ("auraflow", Sdxl),
        ("ssd 1b", Sdxl),
        ("xl", Sdxl),
        ("pony", Sdxl),
        ("illustrious", Sdxl),
        ("noob", Sdxl),
        ("1.5", Sd15),
        ("1 5", Sd15),
        ("sd15", Sd15),
        ("1.4", Sd15),
        ("sd2", Sd15),
        ("2.1", Sd15),
        ("flux", Flux),
        ("schnell", Flux),
        ("chroma", Flux),
        ("sd3", Sd3),
        ("sd 3", Sd3),
        ("diffusion 3", Sd3),
    ];
    let mut named = NAMES.iter().filter(|(part, _)| name.contains(part)).peekable();
    let against = named.peek().map(|(part, _)| *part);
    if let Some((part, preview)) = named.find(|(_, preview)| preview.channels() == channels) {
        let why = format!("{channels} channels, and \"{part}\" in the model's name");
        return Some(Guess { preview: *preview, why, by_name: true });
    }
    let preview = [Sd15, Flux].into_iter().find(|preview| preview.channels() == channels)?;
    let why = match against {
        None => format!("{channels} channels alone"),
        Some(part) => format!("{channels} channels, despite \"{part}\" in the model's name"),
    };
    Some(Guess { preview, why, by_name: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_channels_decide() {
        let table = [
            (4, "SDXL", Some(Preview::Sdxl)),
            (4, "juggernautXL_v9", Some(Preview::Sdxl)),
            (4, "Stable Diffusion", Some(Preview::Sd15)),
            (4, "v1-5-pruned", Some(Preview::Sd15)),
            // Names of models with a different number of channels are ignored.
            (4, "Stable Diffusion 3", Some(Preview::Sd15)),
            (16, "SDXL", Some(Preview::Flux)),
            (16, "flux-xl", Some(Preview::Flux)),
            (16, "Stable Diffusion 3.5", Some(Preview::Sd3)),
            (16, "stabilityai/stable-diffusion-3.5-large", Some(Preview::Sd3)),
            (16, "sd-3-medium", Some(Preview::Sd3)),
            (4, "stable_diffusion_v1_5", Some(Preview::Sd15)),
            (4, "PixArt-XL-2", None),
            (16, "FLUX.2-dev", None),
            (16, "FLUX.1-dev", Some(Preview::Flux)),
            (16, "", Some(Preview::Flux)),
            (16, "Wan2.1", None),
            (4, "swan-v2-xl", Some(Preview::Sdxl)),
            (4, "Kolors", Some(Preview::Sdxl)),
            (16, "CogVideoX-5b", None),
            (3, "SDXL", None),
            (128, "FLUX.2", None),
        ];
        for (channels, model, preview) in table {
            assert_eq!(
                guess_by_channels(channels, model).map(|guess| guess.preview),
                preview,
                "{channels} {model}"
            );
        }
    }

    #[test]
    fn a_guess_says_what_speaks_for_it_and_against() {
        let why = |channels, model| guess_by_channels(channels, model).unwrap().why;
        assert_eq!(why(4, "SDXL"), "4 channels, and \"xl\" in the model's name");
        assert_eq!(why(16, "SDXL"), "16 channels, despite \"xl\" in the model's name");
        assert_eq!(why(16, ""), "16 channels alone");
    }

    #[test]
    fn a_preview_is_the_published_sum() {
        // SDXL with channels 1, -2, 0.5 and 0: red 0.1084 + 0.3651 + 0.5066 + 0.0538 = 1.0339,
        // which is clipped; green -0.0175 + 0.4232 + 0.0084 + 0.05555 = 0.46965, so (0.46965 + 1) /
        // 2 * 255 = 187.4; blue -0.0011 + 0.4341 - 0.2136 - 0.0181 = 0.2013, so 153.2.
        let planes: Vec<Plane> =
            [1.0, -2.0, 0.5, 0.0].iter().map(|value| Plane::new(1, 1, vec![*value])).collect();
        let picture = Preview::Sdxl.picture(&planes, Scaling::Sampler).unwrap();
        assert_eq!(picture.get_pixel(0, 0).0, [255, 187, 153]);
        assert_eq!(Preview::Sd3.picture(&planes, Scaling::Sampler), None);
    }

    #[test]
    fn values_for_the_decoder_are_scaled_first() {
        for preview in [Preview::Sd15, Preview::Sdxl, Preview::Sd3, Preview::Flux] {
            let unscaled = preview.normalization().for_decoder(0.7);
            let plane = |value: f32| vec![Plane::new(1, 1, vec![value]); preview.channels()];
            let scaled = preview.picture(&plane(0.7), Scaling::Sampler);
            assert_eq!(preview.picture(&plane(unscaled), Scaling::Decoder), scaled);
            assert_ne!(preview.picture(&plane(unscaled), Scaling::Sampler), scaled);
        }
    }

    #[test]
    fn one_nan_is_seen() {
        let planes = vec![Plane::new(2, 1, vec![0.0, f32::NAN]); 16];
        let picture = Preview::Flux.picture(&planes, Scaling::Sampler).unwrap();
        // (-0.0329 + 1) / 2 * 255 = 123.3, (-0.0718 + 1) / 2 * 255 = 118.3, (-0.0851 + 1) / 2 * 255 = 116.6
        assert_eq!(picture.get_pixel(0, 0).0, [123, 118, 117]);
        assert_eq!(*picture.get_pixel(1, 0), NAN_COLOR);
    }
}
