//! The calls of a test run and their arguments.

use arbitrary::Arbitrary;
use gen5::{Compression, Dtype, Element, Entry, NonFinite, Version, WriteOptions, bf16, f16};

use super::held::Held;
use super::sink::Fault;

/// Options, calls, and a fault of the sink.
#[derive(Arbitrary, Debug)]
pub(super) struct Script {
    pub(super) options: Options,
    pub(super) calls: Vec<Call>,
    pub(super) fault: Fault,
}

/// Settings of [`WriteOptions`]. Numbers wrap around.
#[derive(Arbitrary, Debug)]
pub(super) struct Options {
    compression: u8,
    level: Option<i8>,
    float16: bool,
    keep: bool,
    alignment: u8,
    part_size: Option<u8>,
    compatible: bool,
}

/// A call of a writer.
#[derive(Arbitrary, Debug)]
pub(super) enum Call {
    Latents(Vec<Spec>),
    Stream(Spec),
    /// Pushes this many values to one of the open streams.
    Push {
        stream: u8,
        count: u8,
    },
    Finish {
        stream: u8,
    },
    Drop {
        stream: u8,
    },
    Image,
    NoImage,
    Environment(String, String),
}

/// A latent.
#[derive(Arbitrary, Clone, Debug)]
pub(super) struct Spec {
    key: u8,
    /// The type of the values, and the type to store them as, if different.
    given: u8,
    stored: Option<u8>,
    compression: Option<u8>,
    shape: [u8; 3],
    axes: u8,
    seed: u8,
    odd: Odd,
}

/// The kind of invalid values, if any.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(super) enum Odd {
    Nothing,
    Nan,
    Infinite,
    /// Too large for float16.
    Large,
    /// Fewer values than the shape requires.
    Fewer,
}

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];
const COMPRESSIONS: [Compression; 4] =
    [Compression::Auto, Compression::Raw, Compression::Zstd, Compression::Shuffled];

impl Options {
    fn compression(&self) -> Compression {
        COMPRESSIONS[usize::from(self.compression) % 4]
    }

    pub(super) fn write_options(&self) -> WriteOptions {
        let options = WriteOptions::new();
        let options = if self.float16 { options.dtype(Dtype::F16) } else { options };
        let options = options
            .compression(self.compression())
            .non_finite(if self.keep { NonFinite::Keep } else { NonFinite::Refuse })
            .alignment(4 << (self.alignment % 12))
            .part_size(self.part_size.map(|size| u64::from(size) + 1))
            .max_version(if self.compatible { Version::V1_0 } else { Version::V1_1 });
        // Higher levels allocate megabytes of tables and exercise no other code.
        self.level.map_or(options.clone(), |level| options.level(i32::from(level % 8)))
    }
}

impl Spec {
    pub(super) fn key(&self) -> String {
        format!("k{}", self.key % 8)
    }

    pub(super) fn shape(&self) -> Vec<usize> {
        self.shape.iter().map(|axis| usize::from(*axis % 8)).take(usize::from(self.axes % 4)).collect()
    }

    pub(super) fn given(&self) -> Dtype {
        DTYPES[usize::from(self.given) % 3]
    }

    fn stored(&self, options: &Options) -> Dtype {
        let otherwise = if options.float16 { Dtype::F16 } else { self.given() };
        self.stored.map_or(otherwise, |stored| DTYPES[usize::from(stored) % 3])
    }

    fn compression(&self, options: &Options) -> Compression {
        self.compression.map_or(options.compression(), |one| COMPRESSIONS[usize::from(one) % 4])
    }

    pub(super) fn entry(&self) -> Entry {
        let mut entry = Entry::new(self.key());
        if let Some(stored) = self.stored {
            entry = entry.dtype(DTYPES[usize::from(stored) % 3]);
        }
        match self.compression {
            Some(one) => entry.compression(COMPRESSIONS[usize::from(one) % 4]),
            None => entry,
        }
    }

    /// Values that all types represent exactly, except for an invalid one.
    pub(super) fn values(&self) -> Vec<f32> {
        let count = self.shape().iter().product::<usize>();
        let mut values: Vec<f32> =
            (0..count).map(|at| f32::from(self.seed.wrapping_add((at / 2) as u8) as i8) / 4.0).collect();
        let odd = match self.odd {
            Odd::Nothing => return values,
            Odd::Nan => f32::NAN,
            Odd::Infinite => f32::NEG_INFINITY,
            Odd::Large => 2_f32.powi(100),
            Odd::Fewer => {
                values.pop();
                return values;
            }
        };
        let at = usize::from(self.seed) % count.max(1);
        if let Some(value) = values.get_mut(at) {
            *value = odd;
        }
        values
    }

    /// The same latent for a stream, where pushing fewer values is always valid.
    pub(super) fn streamed(&self) -> Self {
        let odd = if self.odd == Odd::Fewer { Odd::Nothing } else { self.odd };
        Self { odd, ..self.clone() }
    }

    pub(super) fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether its values are refused.
    pub(super) fn is_odd(&self, options: &Options) -> bool {
        let becomes_infinite = self.stored(options) == Dtype::F16;
        let is_infinite = self.given() == Dtype::F16;
        self.len() > 0
            && match self.odd {
                Odd::Nothing => false,
                Odd::Nan | Odd::Infinite => !options.keep,
                // As float16, the value is already infinite.
                Odd::Large if is_infinite => !options.keep,
                Odd::Large => becomes_infinite,
                Odd::Fewer => true,
            }
    }

    /// Whether version 1.0 is required but cannot hold it.
    pub(super) fn is_too_new(&self, options: &Options) -> bool {
        let is_newer =
            self.stored(options) == Dtype::BF16 || self.compression(options) == Compression::Shuffled;
        options.compatible && is_newer
    }

    /// The latent as the file should hold it.
    pub(super) fn held(&self, options: &Options) -> Held {
        fn stored<T: Element>(values: &[f32], convert: impl Fn(f32) -> T) -> Vec<u8> {
            values.iter().flat_map(|value| convert(*value).as_bytes().to_vec()).collect()
        }
        let mut values = self.values();
        if self.given() == Dtype::F16 {
            values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        }
        let dtype = self.stored(options);
        let bytes = match dtype {
            Dtype::F16 => stored(&values, f16::from_f32),
            Dtype::BF16 => stored(&values, bf16::from_f32),
            _ => stored(&values, |value| value),
        };
        Held { key: self.key(), shape: self.shape(), dtype, bytes }
    }
}

/// Whether a value is one that not all types represent exactly.
pub(super) fn is_odd(value: f32) -> bool {
    !value.is_finite() || value > 1e6
}
