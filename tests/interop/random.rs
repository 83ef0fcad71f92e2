//! Random texts, JSON, metadata, environments and images. The same seed gives the same values.

use std::ops::RangeInclusive;

use gen5::environment::Component;
use gen5::metadata::{Extra, GenerationSettings, Gpu, HardwareInfo, ModelInfo};
use gen5::{Environment, Metadata};

/// A SplitMix64 generator.
pub(crate) struct Random(u64);

const PLAIN_TEXTS: [&str; 7] =
    ["a photo of a cat", "DDIM", "euler_a", "stable-diffusion-xl", "fp16", "NVIDIA A100", "1.0.2"];

const AWKWARD_TEXTS: [&str; 18] = [
    "",
    " ",
    "\0",
    "a\0b",
    "line one\nline two\r\n\ttabbed",
    "say \"hello\" \\ and 'bye'",
    "\\u0041 is not A",
    "naïve café",
    "nai\u{308}ve cafe\u{301}",
    "日本語のプロンプト",
    "עברית ואז العربية",
    "🐈‍⬛ 👩🏽‍🚀 🏳️‍🌈",
    "𝔊𝔈𝔑𝟝 𐍈 \u{10ffff}",
    "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}\u{7f}\u{85}",
    "</script><!-- {{x}} %s %n $(y) `z` -->",
    "../../etc/passwd",
    "trajectory[0:125]",
    "null",
];

const CODE_POINTS: [(usize, usize); 6] =
    [(0, 0x7f), (0x20, 0x7e), (0x80, 0x7ff), (0x800, 0xd7ff), (0xe000, 0xffff), (0x1_0000, 0x10_ffff)];

const UNKNOWN_NAMES: [&str; 12] =
    ["x_note", "Seed", "", "a.b/c", "☃", "𝕏", "$ref", "__proto__", "quote\"d", "nul\0", "index", "gpus"];

/// Numbers in spellings that a round trip must keep. No single numeric type holds them all.
const NUMBER_TEXTS: [&str; 15] = [
    "0",
    "-0",
    "7.0",
    "1E+2",
    "0.10",
    "-1e-7",
    "5e-324",
    "1.7976931348623157e308",
    "0.1000000000000000055511151231257827",
    "9007199254740993",
    "9007199254740993.0",
    "18446744073709551615",
    "-9223372036854775808",
    "1180591620717411303424",
    "1e400",
];

const SEEDS: [u64; 7] = [0, 1, 1 << 32, (1 << 53) + 1, i64::MAX as u64, 1 << 63, u64::MAX];
const COUNTS: [u64; 5] = [1, 8, 28, (1 << 53) + 1, u64::MAX];
const AMOUNTS: [f64; 9] = [0.0, -0.0, 0.1, 7.0, 7.5, 0.1 + 0.2, 5e-324, 1e22, f64::MAX];

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in the range. The slight bias of the remainder does not matter here.
    pub(crate) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let span = (range.end() - range.start()) as u64 + 1;
        range.start() + (self.next() % span) as usize
    }

    /// True `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.within(0..=of.len() - 1)]
    }

    /// A number from 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    pub(crate) fn text(&mut self) -> String {
        match self.within(0..=20) {
            0 => "long ".repeat(self.within(100..=1500)),
            1..=7 => self.pick(&PLAIN_TEXTS).to_owned(),
            8..=14 => self.pick(&AWKWARD_TEXTS).to_owned(),
            _ => (0..self.within(1..=40)).map(|_| self.character()).collect(),
        }
    }

    fn character(&mut self) -> char {
        let (first, last) = self.pick(&CODE_POINTS);
        char::from_u32(self.within(first..=last) as u32).unwrap()
    }

    /// The text of a JSON value.
    pub(crate) fn json(&mut self, depth: usize) -> String {
        match self.within(0..=if depth < 3 { 5 } else { 3 }) {
            0 => self.pick(&["null", "true", "false"]).to_owned(),
            1 => self.pick(&NUMBER_TEXTS).to_owned(),
            2 => format!("{:?}", (f64::from(self.unit()) - 0.5) * 1e6),
            3 => self.json_string(),
            4 => {
                let items: Vec<String> = (0..self.within(0..=3)).map(|_| self.json(depth + 1)).collect();
                format!("[{}]", items.join(self.separator()))
            }
            _ => {
                let member = |at| format!("\"{at}\": {}", self.json(depth + 1));
                let members: Vec<String> = (0..3).map(member).collect();
                format!("{{{}}}", members.join(self.separator()))
            }
        }
    }

    fn separator(&mut self) -> &'static str {
        self.pick(&[",", ", ", "\n,\t"])
    }

    /// A JSON string, escaped as this crate or as Python does.
    fn json_string(&mut self) -> String {
        let text = self.text();
        let plain = serde_json::to_string(&text).unwrap();
        if self.chance(50) {
            return plain;
        }
        let mut escaped = String::new();
        for character in plain.chars() {
            match character.is_ascii() {
                true => escaped.push(character),
                false => character
                    .encode_utf16(&mut [0; 2])
                    .iter()
                    .for_each(|unit| escaped.push_str(&format!("\\u{unit:04x}"))),
            }
        }
        escaped
    }

    /// Members that the format does not know, often an empty set.
    pub(crate) fn extra(&mut self) -> Extra {
        let mut extra = Extra::new();
        while self.chance(30) {
            extra.insert_json(self.pick(&UNKNOWN_NAMES), self.json(0)).unwrap();
        }
        extra
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.chance(60).then(|| value(self))
    }

    fn amount(&mut self) -> f64 {
        self.pick(&AMOUNTS)
    }

    pub(crate) fn metadata(&mut self) -> Metadata {
        let mut info = ModelInfo::new(self.text(), self.text());
        if self.chance(80) {
            info.date = self.text();
        }
        info.prompt = self.text();
        info.tags = (0..self.within(0..=6)).map(|_| self.text()).collect();
        info.generation_settings = self.maybe(Self::settings);
        info.hardware_info = self.maybe(Self::hardware);
        info.extra = self.extra();
        Metadata::new(&info).unwrap()
    }

    fn settings(&mut self) -> GenerationSettings {
        let seed = if self.chance(50) { self.pick(&SEEDS) } else { self.next() };
        let mut settings = GenerationSettings::new(seed, self.pick(&COUNTS), self.text());
        settings.cfg_scale = self.maybe(Self::amount);
        settings.scheduler = self.maybe(Self::text);
        settings.eta = self.maybe(Self::amount);
        settings.guidance = self.maybe(Self::text);
        settings.precision = self.maybe(Self::text);
        settings.deterministic = self.maybe(|random| random.chance(50));
        settings.extra = self.extra();
        settings
    }

    fn hardware(&mut self) -> HardwareInfo {
        let mut hardware = HardwareInfo::new(self.text());
        hardware.machine_name = self.maybe(Self::text);
        hardware.cpu = self.maybe(Self::text);
        hardware.cpu_cores = self.maybe(|random| random.pick(&COUNTS));
        hardware.ram_gb = self.maybe(Self::amount);
        hardware.gpu = self.maybe(|random| (0..random.within(0..=3)).map(|_| random.graphics()).collect());
        hardware.framework = self.maybe(Self::text);
        hardware.compute_lib = self.maybe(Self::text);
        hardware.extra = self.extra();
        hardware
    }

    fn graphics(&mut self) -> Gpu {
        let mut gpu = Gpu::new(self.text());
        gpu.memory_gb = self.maybe(Self::amount);
        gpu.driver = self.maybe(Self::text);
        gpu.cuda_version = self.maybe(Self::text);
        gpu.extra = self.extra();
        gpu
    }

    /// Components with the known ids, any number of `gpu` among them, and with others; possibly
    /// none.
    pub(crate) fn environment(&mut self) -> Environment {
        let mut environment = Environment::default();
        for id in ["torch", "numpy", "python", "cuda", "os"] {
            if self.chance(50) {
                environment.push(Component::new(id, format!("name={id};version={}", self.text())));
            }
        }
        for _ in 0..self.within(0..=4) {
            let canonical = format!("name=gpu;model={};driver=535.129.01", self.text());
            environment.push(Component::new("gpu", canonical));
        }
        if self.chance(20) {
            environment.push(Component::new(self.text(), self.text()));
        }
        environment
    }

    /// An encoded image, or sometimes bytes that are not an image, which are stored with a note.
    pub(crate) fn image(&mut self) -> Vec<u8> {
        match self.within(0..=9) {
            0 => Vec::new(),
            1 | 2 => {
                let mut bytes = b"not an image: ".to_vec();
                bytes.extend(self.bytes(3000));
                bytes
            }
            _ => self.encoded_image(),
        }
    }

    #[cfg(feature = "image")]
    fn encoded_image(&mut self) -> Vec<u8> {
        use image::{DynamicImage, ImageFormat, RgbImage};
        let (width, height) = (self.within(1..=40), self.within(1..=40));
        let pixels = self.bytes(width * height * 3);
        let image = RgbImage::from_raw(width as u32, height as u32, pixels).unwrap();
        let format = self.pick(&[ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP]);
        let mut encoded = std::io::Cursor::new(Vec::new());
        DynamicImage::from(image).write_to(&mut encoded, format).unwrap();
        encoded.into_inner()
    }

    #[cfg(not(feature = "image"))]
    fn encoded_image(&mut self) -> Vec<u8> {
        include_bytes!("../data/pixel.png").to_vec()
    }
}
