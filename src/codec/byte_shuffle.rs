//! Byte shuffle: all first bytes of the elements, then all second bytes, and so on. This groups the
//! signs and exponents of floats, which an entropy coder can compress, separately from the
//! mantissas, which are mostly incompressible.

/// Bytes of a payload that are shuffled together, counted from its start. The last block may be
/// shorter. This size is part of the format.
pub(crate) const SHUFFLE_BLOCK: usize = 1 << 20;

/// Shuffles one block of elements of `size` bytes, 2 or 4, into `to`, which has the same length.
pub(crate) fn shuffle(elements: &[u8], size: usize, to: &mut [u8]) {
    match size {
        2 => {
            let (elements, _) = elements.as_chunks();
            let (low, high) = to.split_at_mut(elements.len());
            split(elements.iter().map(|element| u16::from_le_bytes(*element)), low, high);
        }
        _ => split_quads(elements.as_chunks().0, to),
    }
}

/// Reverses [`shuffle`].
pub(crate) fn unshuffle(groups: &[u8], size: usize, to: &mut [u8]) {
    match size {
        2 => {
            let (elements, _) = to.as_chunks_mut();
            let (low, high) = groups.split_at(elements.len());
            join(low, high, elements);
        }
        _ => join_quads(groups, to.as_chunks_mut().0),
    }
}

/// Elements of four bytes that are shuffled together, in two steps through two bytes each.
/// Compilers can vectorize shifts within 16 and 32 bits, but hardly a step from one byte to four.
const LANES: usize = 64;

#[allow(clippy::cast_possible_truncation)] // takes the low byte; the high byte is shifted down first
fn split(elements: impl Iterator<Item = u16>, low: &mut [u8], high: &mut [u8]) {
    for ((element, low), high) in elements.zip(low).zip(high) {
        (*low, *high) = (element as u8, (element >> 8) as u8);
    }
}

fn join(low: &[u8], high: &[u8], elements: &mut [[u8; 2]]) {
    for ((element, low), high) in elements.iter_mut().zip(low).zip(high) {
        *element = [*low, *high];
    }
}

#[allow(clippy::cast_possible_truncation)] // takes the low 16 bits; the high ones are shifted down first
fn split_quads(elements: &[[u8; 4]], to: &mut [u8]) {
    let (groups_of_low, groups_of_high) = to.split_at_mut(2 * elements.len());
    let (a, b) = groups_of_low.split_at_mut(elements.len());
    let (c, d) = groups_of_high.split_at_mut(elements.len());
    let groups =
        a.chunks_mut(LANES).zip(b.chunks_mut(LANES)).zip(c.chunks_mut(LANES).zip(d.chunks_mut(LANES)));
    let mut low = [0; LANES];
    let mut high = [0; LANES];
    for (elements, ((a, b), (c, d))) in elements.chunks(LANES).zip(groups) {
        for ((element, low), high) in elements.iter().zip(&mut low).zip(&mut high) {
            let element = u32::from_le_bytes(*element);
            (*low, *high) = (element as u16, (element >> 16) as u16);
        }
        split(low.iter().copied(), a, b);
        split(high.iter().copied(), c, d);
    }
}

fn join_quads(groups: &[u8], elements: &mut [[u8; 4]]) {
    let (groups_of_low, groups_of_high) = groups.split_at(2 * elements.len());
    let (a, b) = groups_of_low.split_at(elements.len());
    let (c, d) = groups_of_high.split_at(elements.len());
    let groups = a.chunks(LANES).zip(b.chunks(LANES)).zip(c.chunks(LANES).zip(d.chunks(LANES)));
    let mut low = [[0; 2]; LANES];
    let mut high = [[0; 2]; LANES];
    for (elements, ((a, b), (c, d))) in elements.chunks_mut(LANES).zip(groups) {
        join(a, b, &mut low);
        join(c, d, &mut high);
        for ((element, low), high) in elements.iter_mut().zip(&low).zip(&high) {
            let ([a, b], [c, d]) = (*low, *high);
            *element = [a, b, c, d];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_the_format_says() {
        let mut groups = [0; 12];
        shuffle(b"a0b0c0d0e0f0", 2, &mut groups);
        assert_eq!(&groups, b"abcdef000000");
        shuffle(b"a012b012c012", 4, &mut groups);
        assert_eq!(&groups, b"abc000111222");
    }

    #[test]
    fn every_length_comes_back() {
        for size in [2, 4] {
            for count in (0..300).chain([SHUFFLE_BLOCK / size - 1, SHUFFLE_BLOCK / size]) {
                let elements: Vec<u8> =
                    (0..count * size).map(|at| (at * 7 + at / 251).to_le_bytes()[0]).collect();
                let mut groups = vec![0; elements.len()];
                let mut back = vec![0; elements.len()];
                shuffle(&elements, size, &mut groups);
                for (at, byte) in groups.iter().enumerate() {
                    assert_eq!(*byte, elements[at % count * size + at / count], "{count} of {size}");
                }
                unshuffle(&groups, size, &mut back);
                assert_eq!(back, elements, "{count} of {size}");
            }
        }
    }
}
