//! Values of a picture, in rows.

/// The values of a channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    width: u32,
    height: u32,
    values: Vec<f32>,
}

impl Plane {
    /// A plane of these values; missing values are NaN.
    pub fn new(width: u32, height: u32, values: Vec<f32>) -> Self {
        Self { width, height, values }
    }

    /// Number of columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The value at a position; NaN outside the plane.
    pub fn value(&self, x: u32, y: u32) -> f32 {
        let at = u64::from(y) * u64::from(self.width) + u64::from(x);
        usize::try_from(at).ok().and_then(|at| self.values.get(at)).copied().unwrap_or(f32::NAN)
    }
}
