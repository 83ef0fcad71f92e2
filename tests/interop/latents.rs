//! Random latents, and files of them written in every possible way.

use std::io::Cursor;
use std::path::Path;

use gen5::metadata::Extra;
use gen5::{
    Array, Compression, Dtype, Element, Entry, Environment, LatentStream, Metadata, NonFinite, Summary,
    WriteOptions, Writer, f16,
};

use crate::description::{DescribedLatent, sha256};
use crate::random::Random;

/// The contents of a file.
pub(crate) struct Contents {
    pub(crate) latents: Vec<Latent>,
    pub(crate) image: Option<Vec<u8>>,
    pub(crate) environment: Option<Environment>,
    pub(crate) metadata: Metadata,
}

pub(crate) struct Latent {
    pub(crate) key: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Values,
    pub(crate) extra: Extra,
}

pub(crate) enum Values {
    F16(Vec<f16>),
    F32(Vec<f32>),
}

/// The options with which a file is written.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    compression: Compression,
    level: i32,
    float16: bool,
    non_finite: NonFinite,
    alignment: u64,
    part_size: Option<u64>,
}

/// The most elements of a latent.
const MOST_ELEMENTS: usize = 20_000;

/// Values at the edges of both types. 65520 is the smallest that float16 rounds to infinity.
const EDGES: [f32; 15] = [
    0.0,
    -0.0,
    1.0,
    65504.0,
    -65519.996,
    65520.0,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    6e-8,
    -2.98e-8, // half of the smallest that float16 holds
    1e-45,
    1.0 + 1.0 / 2048.0, // halfway between two float16 values
    1.0 + 3.0 / 2048.0,
    2049.0,
];

impl Options {
    pub(crate) fn random(random: &mut Random) -> Self {
        Self {
            compression: match random.within(0..=9) {
                0 | 1 => Compression::Auto,
                2 | 3 => Compression::Raw,
                _ => Compression::Zstd,
            },
            level: random.within(0..=24) as i32 - 5,
            float16: random.chance(40),
            non_finite: random.pick(&[NonFinite::Refuse, NonFinite::Keep]),
            alignment: 64 << random.within(0..=6),
            part_size: match random.within(0..=9) {
                0 => None,
                1 => Some(64 << 20),
                2..=5 => Some(random.within(1..=60) as u64),
                _ => Some(random.within(60..=10_000) as u64),
            },
        }
    }

    fn to_write(&self) -> WriteOptions {
        let options = WriteOptions::new();
        let options = if self.float16 { options.dtype(Dtype::F16) } else { options };
        options
            .compression(self.compression)
            .level(self.level)
            .non_finite(self.non_finite)
            .alignment(self.alignment)
            .part_size(self.part_size)
            .sync(false)
    }

    fn random_shape(random: &mut Random) -> Vec<usize> {
        let ones = if random.chance(25) { random.within(1..=2) } else { 0 };
        let mut shape = vec![1; ones];
        let axes = (0..random.within(0..=6 - ones)).map(|_| match random.within(0..=19) {
            0 => 0,
            1..=5 => 1,
            6..=17 => random.within(2..=7),
            _ => random.within(8..=70),
        });
        shape.extend(axes);
        while shape.iter().product::<usize>() > MOST_ELEMENTS {
            let axis = random.within(0..=shape.len() - 1);
            shape[axis] = shape[axis].div_ceil(2);
        }
        shape
    }

    fn random_values(&self, random: &mut Random, len: usize) -> Values {
        let half = random.chance(50);
        let kind = random.within(0..=4);
        let constant = random.unit() * 8.0 - 4.0;
        let value = |random: &mut Random| match kind {
            0 => (0..12).map(|_| random.unit()).sum::<f32>() - 6.0, // normal, by Irwin and Hall
            1 if half => f16::from_bits(random.next() as u16).to_f32(),
            1 => f32::from_bits(random.next() as u32),
            2 => random.pick(&EDGES),
            3 => constant,
            _ => random.within(0..=255) as f32,
        };
        let single = |random: &mut Random| {
            let value = value(random);
            match value.is_finite() {
                // float16 has no finite value for these, and the writer refuses them.
                true if (half || self.float16) && value.abs() >= 65520.0 => 65519.996_f32.copysign(value),
                false if self.non_finite == NonFinite::Refuse => 1.0,
                _ => value,
            }
        };
        match half {
            true => Values::F16((0..len).map(|_| f16::from_f32(single(random))).collect()),
            false => Values::F32((0..len).map(|_| single(random)).collect()),
        }
    }

    fn random_latents(&self, random: &mut Random) -> Vec<Latent> {
        let wanted = random.within(0..=6);
        let mut latents: Vec<Latent> = Vec::new();
        while latents.len() < wanted {
            let key = match random.within(0..=2) {
                0 => format!("step.{:03}", latents.len()),
                _ => random.text(),
            };
            if latents.iter().any(|latent| latent.key == key) {
                continue;
            }
            let shape = Self::random_shape(random);
            let values = self.random_values(random, shape.iter().product());
            latents.push(Latent { key, shape, values, extra: random.extra() });
        }
        latents
    }

    pub(crate) fn random_contents(&self, random: &mut Random) -> Contents {
        Contents {
            latents: self.random_latents(random),
            image: random.chance(50).then(|| random.image()),
            environment: random.chance(50).then(|| random.environment()),
            metadata: random.metadata(),
        }
    }

    /// Writes the file to `path`: directly, or in memory after some other bytes.
    pub(crate) fn write(&self, random: &mut Random, contents: &Contents, path: &Path) -> Summary {
        if random.chance(50) {
            let mut writer = self.to_write().create(path).unwrap();
            fill(random, &mut writer, contents);
            return writer.finish(&contents.metadata).unwrap();
        }
        let start = random.within(0..=100);
        let mut out = Cursor::new(vec![0; start]);
        out.set_position(start as u64);
        let mut writer = self.to_write().to_writer(&mut out).unwrap();
        fill(random, &mut writer, contents);
        let summary = writer.finish(&contents.metadata).unwrap();
        std::fs::write(path, &out.into_inner()[start..]).unwrap();
        summary
    }
}

impl Latent {
    fn array(&self) -> Array<'_> {
        let array = match &self.values {
            Values::F16(values) => Array::new(&self.key, &self.shape, values),
            Values::F32(values) => Array::new(&self.key, &self.shape, values),
        };
        array.extra(self.extra.clone())
    }

    /// The latent's description in a file that was written with these options.
    pub(crate) fn describe(&self, options: &Options) -> DescribedLatent {
        let (dtype, bytes): (_, Vec<u8>) = match &self.values {
            Values::F16(values) => ("float16", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
            Values::F32(values) if options.float16 => {
                ("float16", values.iter().flat_map(|&value| rounded(value).to_le_bytes()).collect())
            }
            Values::F32(values) => ("float32", values.iter().flat_map(|value| value.to_le_bytes()).collect()),
        };
        let (key, dtype, shape) = (self.key.clone(), dtype.to_owned(), self.shape.clone());
        DescribedLatent { key, dtype, shape, sha256: sha256(&bytes) }
    }
}

/// The nearest float16, ties to even. For finite values it is computed independently of the `half`
/// crate: the spacing of float16 is 2^-10 of the value's power of two, or that of the smallest
/// normal value.
fn rounded(value: f32) -> f16 {
    if !value.is_finite() {
        return f16::from_f32(value);
    }
    let exponent = (value.to_bits() >> 23 & 0xff) as i32 - 127;
    let step = 2.0_f64.powi(exponent.max(-14) - 10);
    f16::from_f64((f64::from(value) / step).round_ties_even() * step)
}

/// A latent stream and the values not yet pushed.
struct Stream<'w, 'v, T: Element> {
    writer: LatentStream<'w, T>,
    rest: &'v [T],
}

/// A stream of either type.
trait Open {
    /// Pushes at most `count` more values.
    fn push(&mut self, count: usize);
    fn remaining(&self) -> u64;
    fn finish(self: Box<Self>);
}

impl<T: Element> Open for Stream<'_, '_, T> {
    fn push(&mut self, count: usize) {
        let (next, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.writer.push(next).unwrap();
        self.rest = rest;
    }

    fn remaining(&self) -> u64 {
        self.writer.remaining()
    }

    fn finish(self: Box<Self>) {
        self.writer.finish().unwrap();
    }
}

fn open<'w>(writer: &mut Writer<'w>, latent: &'w Latent) -> Box<dyn Open + 'w> {
    let (entry, shape) = (Entry::new(&latent.key).extra(latent.extra.clone()), &latent.shape);
    match &latent.values {
        Values::F16(rest) => Box::new(Stream { writer: writer.stream(entry, shape).unwrap(), rest }),
        Values::F32(rest) => Box::new(Stream { writer: writer.stream(entry, shape).unwrap(), rest }),
    }
}

/// Pushes some values to each stream in turn, and finishes the streams that have all their values.
fn advance<'w>(random: &mut Random, streams: Vec<Box<dyn Open + 'w>>) -> Vec<Box<dyn Open + 'w>> {
    let mut open = Vec::new();
    for mut stream in streams {
        let most = random.pick(&[3, 300, MOST_ELEMENTS]);
        stream.push(random.within(0..=most));
        match stream.remaining() {
            0 => stream.finish(),
            _ => open.push(stream),
        }
    }
    open
}

/// Writes latents singly, together and as streams that interleave, with image and environment
/// somewhere among them.
fn fill<'w>(random: &mut Random, writer: &mut Writer<'w>, contents: &'w Contents) {
    let mut streams = Vec::new();
    let mut rest = &contents.latents[..];
    let (mut image, mut environment) = (contents.image.as_deref(), contents.environment.as_ref());
    while !rest.is_empty() || !streams.is_empty() || image.is_some() || environment.is_some() {
        let together = if random.chance(30) { random.within(2..=4) } else { 1 };
        let (next, behind) = rest.split_at(together.min(rest.len()));
        rest = behind;
        match next {
            [latent] if random.chance(50) => streams.push(open(writer, latent)),
            [Latent { key, shape, values, extra }] if extra.is_empty() => match values {
                Values::F16(values) => writer.latent(key, shape, values).unwrap(),
                Values::F32(values) => writer.latent(key, shape, values).unwrap(),
            },
            several => writer.latents(several.iter().map(Latent::array)).unwrap(),
        }
        streams = advance(random, streams);
        if random.chance(40)
            && let Some(image) = image.take()
        {
            writer.image(image).unwrap();
        }
        if random.chance(40)
            && let Some(environment) = environment.take()
        {
            writer.environment(environment).unwrap();
        }
    }
}
