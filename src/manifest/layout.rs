//! The arrangement of the chunks in the file, and the latents that they make up.

use std::collections::{HashMap, HashSet};

use super::record::{ChunkRecord, LatentRecord, Part};
use crate::element::Dtype;
use crate::error::{Error, Result};
use crate::excerpt::shorten;
use crate::wire::ChunkType;

/// The contents of a file, as positions in its table.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// The latents, in the order of their first chunks in the table.
    pub(crate) latents: Vec<LatentEntry>,
    pub(crate) image: Option<usize>,
    pub(crate) environment: Option<usize>,
}

/// A latent: one chunk, or several chunks that are its parts.
#[derive(Debug)]
pub(crate) enum LatentEntry {
    /// The position of its record.
    Whole(usize),
    /// The positions of its records, in the order of the parts.
    Parts(Vec<usize>),
}

impl LatentEntry {
    /// Returns the positions of its records, in the order of their values.
    pub(crate) fn chunks(&self) -> &[usize] {
        match self {
            Self::Whole(index) => std::slice::from_ref(index),
            Self::Parts(parts) => parts,
        }
    }

    fn first<'r>(&self, records: &'r [ChunkRecord]) -> Option<&'r LatentRecord> {
        self.chunks().first().and_then(|&index| records.get(index)).and_then(|record| record.latent.as_ref())
    }

    /// Returns its key.
    pub(crate) fn key<'r>(&self, records: &'r [ChunkRecord]) -> Option<&'r str> {
        let first = self.first(records)?;
        match &first.part {
            Some(part) => Some(&part.of),
            None => first.key.as_deref(),
        }
    }

    /// Returns the shape of the whole latent.
    pub(crate) fn shape<'r>(&self, records: &'r [ChunkRecord]) -> &'r [usize] {
        self.first(records).map_or(&[], |first| first.part.as_ref().map_or(&first.shape, |part| &part.shape))
    }

    pub(crate) fn dtype(&self, records: &[ChunkRecord]) -> Dtype {
        self.first(records).map_or(Dtype::F32, |first| first.dtype)
    }
}

/// Returns the axis along which a latent of this shape is cut and its rows are counted. It is the
/// first axis longer than 1, so that rows are contiguous, or the last axis if there is none; `None`
/// for a scalar.
pub(crate) fn row_axis(shape: &[usize]) -> Option<usize> {
    shape.iter().position(|&len| len > 1).or_else(|| shape.len().checked_sub(1))
}

/// Checks the records against each other, and finds the latents, the image and the environment.
pub(crate) fn lay_out(records: &[ChunkRecord]) -> Result<Layout> {
    refuse_overlaps(records)?;
    let mut layout = Layout::default();
    let mut groups: HashMap<&str, usize> = HashMap::new();
    for (index, record) in records.iter().enumerate() {
        match (&record.latent, record.kind) {
            (Some(LatentRecord { part: None, .. }), _) => layout.latents.push(LatentEntry::Whole(index)),
            (Some(LatentRecord { part: Some(part), .. }), _) => {
                let group = *groups.entry(&part.of).or_insert_with(|| {
                    layout.latents.push(LatentEntry::Parts(Vec::new()));
                    layout.latents.len() - 1
                });
                if let Some(LatentEntry::Parts(parts)) = layout.latents.get_mut(group) {
                    parts.push(index);
                }
            }
            (None, ChunkType::IMAGE) => only_one(&mut layout.image, index, records)?,
            (None, ChunkType::ENVIRONMENT) => only_one(&mut layout.environment, index, records)?,
            _ => {}
        }
    }
    if !groups.is_empty() {
        refuse_parts_of_a_plain_key(records)?;
        for entry in &mut layout.latents {
            if let LatentEntry::Parts(parts) = entry {
                order_parts(parts, records)?;
            }
        }
    }
    Ok(layout)
}

fn refuse_overlaps(records: &[ChunkRecord]) -> Result<()> {
    let overlap = |first: &ChunkRecord, second: &ChunkRecord| {
        Err(Error::Overlap {
            first: Box::new(first.place()),
            first_end: first.end(),
            second: Box::new(second.place()),
        })
    };
    // Records are usually already sorted.
    if records.windows(2).all(|pair| matches!(pair, [first, second] if first.end() <= second.offset)) {
        return Ok(());
    }
    let mut by_offset: Vec<&ChunkRecord> = records.iter().collect();
    by_offset.sort_by_key(|record| record.offset);
    for pair in by_offset.windows(2) {
        if let [first, second] = pair
            && first.end() > second.offset
        {
            return overlap(first, second);
        }
    }
    Ok(())
}

fn only_one(slot: &mut Option<usize>, index: usize, records: &[ChunkRecord]) -> Result<()> {
    match slot.and_then(|first| records.get(first)).zip(records.get(index)) {
        Some((first, second)) => {
            Err(Error::SecondChunk { first: Box::new(first.place()), second: Box::new(second.place()) })
        }
        None => {
            *slot = Some(index);
            Ok(())
        }
    }
}

fn refuse_parts_of_a_plain_key(records: &[ChunkRecord]) -> Result<()> {
    let plain: HashSet<&str> =
        records.iter().filter(|record| record.part().is_none()).filter_map(ChunkRecord::key).collect();
    let clash = records.iter().find_map(|record| {
        let part = record.part()?;
        plain.contains(part.of.as_str()).then_some((record, part))
    });
    match clash {
        Some((record, part)) => Err(misfit(record, part, "an undivided latent has the same key".into())),
        None => Ok(()),
    }
}

fn misfit(record: &ChunkRecord, part: &Part, problem: String) -> Error {
    Error::Parts { place: record.place(), of: shorten(&part.of), problem }
}

/// Sorts the parts of one latent and checks that they make up the whole: each index exactly once,
/// one dtype, one shape, no gap and no overlap.
fn order_parts(parts: &mut [usize], records: &[ChunkRecord]) -> Result<()> {
    parts.sort_by_key(|&index| records.get(index).and_then(ChunkRecord::part).map(|part| part.index));
    let members = || {
        parts.iter().filter_map(|&index| {
            let record = records.get(index)?;
            let latent = record.latent.as_ref()?;
            Some((record, latent, latent.part.as_deref()?))
        })
    };
    let Some((first_record, first_latent, first)) = members().next() else { return Ok(()) };

    let axis_before = first.shape.get(..first.axis);
    let Some(&length) = first.shape.get(first.axis) else {
        let problem =
            format!("it is cut along axis {}, but the latent has {} axes", first.axis, first.shape.len());
        return Err(misfit(first_record, first, problem));
    };
    if axis_before.is_none_or(|axes| axes.iter().any(|&len| len != 1)) {
        let problem = format!("it is cut along axis {}, but an earlier axis is longer than 1", first.axis);
        return Err(misfit(first_record, first, problem));
    }

    let mut next_start = 0_usize;
    for (position, (record, latent, part)) in members().enumerate() {
        let refuse = |problem: String| Err(misfit(record, part, problem));
        if part.index != position {
            let missing = format!("part {position} is missing");
            let twice = format!("part {} occurs twice", part.index);
            return refuse(if part.index < position { twice } else { missing });
        }
        if latent.dtype != first_latent.dtype {
            return refuse(format!(
                "its dtype is {}, but that of part 0 is {}",
                latent.dtype, first_latent.dtype
            ));
        }
        if (part.count, part.axis, &part.shape) != (first.count, first.axis, &first.shape) {
            return refuse("its count, axis or whole shape differs from that of part 0".into());
        }
        if part.start != next_start {
            return refuse(format!("it starts at slice {}, expected {next_start}", part.start));
        }
        let slices = latent.shape.get(first.axis).copied().unwrap_or(0);
        let mut expected = first.shape.clone();
        if let Some(axis) = expected.get_mut(first.axis) {
            *axis = slices;
        }
        if slices == 0 || latent.shape != expected {
            return refuse(format!(
                "its shape {:?} is not a range of slices of {:?}",
                latent.shape, first.shape
            ));
        }
        match next_start.checked_add(slices) {
            Some(next) => next_start = next,
            None => return refuse(format!("it ends after slice {}", usize::MAX)),
        }
    }
    if parts.len() != first.count {
        let problem = format!("the file has {} of {} parts", parts.len(), first.count);
        return Err(misfit(first_record, first, problem));
    }
    if next_start != length {
        let problem = format!("they hold {next_start} of {length} slices");
        return Err(misfit(first_record, first, problem));
    }
    Ok(())
}
