//! Readers of values: exactly the announced number of bytes, in C order.

use std::io::{self, Read};

use gen5::Dtype;

/// Bytes returned by a transposition at a time.
const BLOCK: usize = 64 << 10;

/// The data allowed after the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// The end of the source; more data is an error.
    End,
    /// Any data, for an array in the middle of a file.
    Any,
}

/// Reads exactly the announced number of bytes from a source. A source that ends early or has
/// surplus data is an error, and every error names it.
///
/// The end of the source is read, which checks its checksum, before the last bytes are returned. So
/// a reader that only takes the expected bytes does not miss the error.
pub(super) struct Exact<R> {
    inner: R,
    left: u64,
    tail: Tail,
    name: String,
}

impl<R: Read> Exact<R> {
    /// A reader of the next `length` bytes of `inner`; errors call it `name`.
    pub(super) fn new(inner: R, length: u64, tail: Tail, name: String) -> io::Result<Self> {
        let mut exact = Self { inner, left: length, tail, name };
        if length == 0 {
            exact.finish()?;
        }
        Ok(exact)
    }

    /// Checks the data after the values.
    fn finish(&mut self) -> io::Result<()> {
        if self.tail == Tail::Any {
            return Ok(());
        }
        loop {
            match self.inner.read(&mut [0]) {
                Ok(0) => return Ok(()),
                Ok(_) => return Err(self.corrupt("it has more bytes than its shape requires")),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.named(&error)),
            }
        }
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::new(error.kind(), format!("{}: {error}", self.name))
    }

    fn corrupt(&self, problem: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: {problem}", self.name))
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        let (buf, _) = buf.split_at_mut(wanted);
        if buf.is_empty() {
            return Ok(0);
        }
        let count = self.inner.read(buf).map_err(|error| self.named(&error))?;
        if count == 0 {
            let problem = format!("it is {} bytes too short for its values", self.left);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{}: {problem}", self.name)));
        }
        // `wanted` is at most `left`, so this does not saturate.
        self.left = self.left.saturating_sub(count as u64);
        if self.left == 0 {
            self.finish()?;
        }
        Ok(count)
    }
}

/// Whether Fortran order differs from C order for this shape.
pub(super) fn order_matters(shape: &[usize]) -> bool {
    !shape.contains(&0) && shape.iter().filter(|&&axis| axis > 1).count() > 1
}

/// Reads values in Fortran order from `source` and returns them in C order. They are loaded
/// unchanged and reordered while they are read. `size` is that of an element.
pub(super) fn from_fortran(
    mut source: Exact<impl Read>,
    shape: &[usize],
    size: usize,
) -> io::Result<Box<dyn Read + Send>> {
    let length = source.left;
    let mut data = Vec::new();
    // A small compressed file may claim a false length. It is an error if that memory is not
    // available, and pages without data are never used.
    let capacity = usize::try_from(length).unwrap_or(usize::MAX);
    data.try_reserve_exact(capacity).map_err(|error| {
        let problem = format!("{}: no memory for {length} bytes in Fortran order", source.name);
        io::Error::new(io::ErrorKind::OutOfMemory, format!("{problem}: {error}"))
    })?;
    source.read_to_end(&mut data)?;
    Ok(match size {
        1 => Box::new(Transposed::<1>::new(data, shape)),
        2 => Box::new(Transposed::<2>::new(data, shape)),
        8 => Box::new(Transposed::<8>::new(data, shape)),
        _ => Box::new(Transposed::<4>::new(data, shape)),
    })
}

/// Elements of `S` bytes in Fortran order, read in C order.
struct Transposed<const S: usize> {
    data: Vec<u8>,
    /// The position in C order, last axis first.
    axes: Vec<StridedAxis>,
    /// The same position in `data`, in elements; `None` at the end.
    at: Option<usize>,
    block: Vec<u8>,
    taken: usize,
}

struct StridedAxis {
    index: usize,
    length: usize,
    /// Elements in `data` between neighbouring indices.
    stride: usize,
}

impl<const S: usize> Transposed<S> {
    /// `data` holds all elements of `shape`, so no product of axes exceeds `usize`.
    fn new(data: Vec<u8>, shape: &[usize]) -> Self {
        let mut stride = 1;
        let mut axes = Vec::with_capacity(shape.len());
        for &length in shape {
            // An axis of length 1 never moves.
            if length != 1 {
                axes.push(StridedAxis { index: 0, length, stride });
                stride *= length;
            }
        }
        axes.reverse();
        let at = (!data.is_empty()).then_some(0);
        Self { data, axes, at, block: Vec::new(), taken: 0 }
    }

    /// Fills the block with the next elements in C order.
    fn refill(&mut self) {
        self.block.clear();
        self.taken = 0;
        let (elements, _) = self.data.as_chunks::<S>();
        while self.block.len() < BLOCK
            && let Some(at) = self.at
            && let Some(element) = elements.get(at)
        {
            self.block.extend_from_slice(element);
            self.at = next(&mut self.axes, at);
        }
    }
}

/// Moves to the next position in C order, from `at` in the data.
fn next(axes: &mut [StridedAxis], mut at: usize) -> Option<usize> {
    for axis in axes {
        if axis.index + 1 < axis.length {
            axis.index += 1;
            return Some(at + axis.stride);
        }
        at -= axis.index * axis.stride;
        axis.index = 0;
    }
    None
}

impl<const S: usize> Read for Transposed<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() {
            self.refill();
        }
        let mut rest = self.block.get(self.taken..).unwrap_or_default();
        let count = rest.read(buf)?;
        self.taken += count;
        Ok(count)
    }
}

/// Reads values and returns them as float32, multiplied by a factor.
pub(super) struct Scaled {
    inner: Box<dyn Read + Send>,
    dtype: Dtype,
    factor: f32,
    values: Vec<f32>,
    /// Values ready to be read.
    block: Vec<u8>,
    taken: usize,
}

impl Scaled {
    pub(super) fn new(inner: Box<dyn Read + Send>, dtype: Dtype, factor: f32) -> Self {
        Self { inner, dtype, factor, values: Vec::new(), block: Vec::new(), taken: 0 }
    }

    fn refill(&mut self) -> io::Result<()> {
        self.taken = 0;
        let mut source = Vec::new();
        self.inner.by_ref().take(BLOCK as u64).read_to_end(&mut source)?;
        self.dtype.widen(&source, &mut self.values);
        self.values.iter_mut().for_each(|value| *value *= self.factor);
        Dtype::F32.narrow(&self.values, &mut self.block);
        Ok(())
    }
}

impl Read for Scaled {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.block.len() && !buf.is_empty() {
            self.refill()?;
        }
        let mut rest = self.block.get(self.taken..).unwrap_or_default();
        let count = rest.read(buf)?;
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exact(source: &[u8], length: u64, tail: Tail) -> io::Result<Vec<u8>> {
        let mut values = Vec::new();
        Exact::new(source, length, tail, "x.npy".to_owned())?.read_to_end(&mut values)?;
        Ok(values)
    }

    #[test]
    fn too_few_and_too_many_bytes_are_errors() {
        assert_eq!(exact(b"abcd", 4, Tail::End).unwrap(), b"abcd");
        assert_eq!(exact(b"abcd", 3, Tail::Any).unwrap(), b"abc");
        assert_eq!(exact(b"", 0, Tail::End).unwrap(), b"");
        assert_eq!(
            exact(b"abcd", 6, Tail::End).unwrap_err().to_string(),
            "x.npy: it is 2 bytes too short for its values"
        );
        for length in [0, 3] {
            let error = exact(b"abcd", length, Tail::End).unwrap_err();
            assert_eq!(error.to_string(), "x.npy: it has more bytes than its shape requires");
        }
    }

    #[test]
    fn surplus_is_found_without_reading_past_the_values() {
        let mut reader = Exact::new(&b"abcd"[..], 3, Tail::End, String::new()).unwrap();
        assert!(reader.read_exact(&mut [0; 3]).is_err());
    }

    #[test]
    fn order_matters_with_two_long_axes() {
        for shape in [&[][..], &[5], &[1, 5, 1], &[0, 2, 2], &[1, 1]] {
            assert!(!order_matters(shape));
        }
        assert!(order_matters(&[2, 1, 2]));
    }

    fn whole(data: &[u8]) -> Exact<&[u8]> {
        Exact::new(data, data.len() as u64, Tail::End, String::new()).unwrap()
    }

    /// Reads with buffers of these sizes, in rotation.
    fn read_all(mut source: impl Read, sizes: &[usize]) -> Vec<u8> {
        let mut all = Vec::new();
        for &size in sizes.iter().cycle() {
            let mut buf = vec![0; size];
            match source.read(&mut buf).unwrap() {
                0 => break,
                count => all.extend_from_slice(&buf[..count]),
            }
        }
        all
    }

    /// Element `i` in C order, found by its indices.
    fn naive(data: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
        let count: usize = shape.iter().product();
        let mut out = Vec::new();
        for position in 0..count {
            let mut rest = position;
            let mut indices = vec![0; shape.len()];
            for axis in (0..shape.len()).rev() {
                indices[axis] = rest % shape[axis];
                rest /= shape[axis];
            }
            let at: usize =
                (0..shape.len()).map(|axis| indices[axis] * shape[..axis].iter().product::<usize>()).sum();
            out.extend_from_slice(&data[at * size..(at + 1) * size]);
        }
        out
    }

    proptest! {
        #[test]
        fn transposition_is_the_index_formula(
            shape in prop::collection::vec(0_usize..6, 0..6),
            size in prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)],
            sizes in prop::collection::vec(1_usize..40, 1..4),
        ) {
            let length = shape.iter().product::<usize>() * size;
            let data: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let reader = from_fortran(whole(&data), &shape, size).unwrap();
            prop_assert_eq!(read_all(reader, &sizes), naive(&data, &shape, size));
        }
    }

    #[test]
    fn transposition_goes_on_over_blocks() {
        let shape = [300, 2, 500];
        let data: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let reader = from_fortran(whole(&data), &shape, 4).unwrap();
        assert!(read_all(reader, &[1 << 20, 7, 100_000]) == naive(&data, &shape, 4));
    }

    #[test]
    fn no_memory_is_an_error() {
        let source = Exact::new(&b""[..], u64::MAX, Tail::End, "x.npy".to_owned()).unwrap();
        let Err(error) = from_fortran(source, &[1 << 31, 1 << 31], 4) else { panic!("memory was there") };
        assert!(error.to_string().starts_with("x.npy: no memory for 18446744073709551615 bytes"), "{error}");
    }
}
