//! The bytes of a latent, read on a separate thread.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use gen5::Latent;
use rayon::Scope;

/// Number of blocks in the queue: each has at most half a MiB.
const WAITING: usize = 4;

/// The bytes of a latent, read by another thread.
pub(crate) struct Blocks {
    blocks: Receiver<gen5::Result<Vec<u8>>>,
    /// Returns used blocks for refilling: fresh memory costs as much as filling it.
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    /// Number of bytes taken from the block.
    taken: usize,
}

impl Blocks {
    /// Starts to read. In a pool of one thread, parts are not decompressed in parallel, which would
    /// take memory for each.
    pub(crate) fn read<'scope>(scope: &Scope<'scope>, latent: &'scope Latent) -> Self {
        let (sender, blocks) = sync_channel(WAITING);
        let (spent, to_fill) = channel();
        scope.spawn(move |_| {
            let mut filler = Filler { sender, to_fill };
            if let Err(error) = latent.write_to(&mut filler) {
                // If the receiver is gone, the error does not matter.
                let _ = filler.sender.send(Err(error));
            }
        });
        Self { blocks, spent, block: Vec::new(), taken: 0 }
    }

    /// The rest of the block, or the whole next block; empty at the end.
    pub(crate) fn rest(&mut self) -> gen5::Result<&[u8]> {
        while self.taken == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => {
                    let spent = std::mem::replace(&mut self.block, block?);
                    self.taken = 0;
                    // Once the whole latent has been read, the filler is gone.
                    let _ = self.spent.send(spent);
                }
                Err(_) => break,
            }
        }
        Ok(self.block.get(self.taken..).unwrap_or_default())
    }

    /// Takes `count` bytes, which the block must still have.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.taken;
        self.taken += count;
        self.block.get(start..self.taken).unwrap_or_default()
    }
}

/// A sink for the blocks of a latent, each a whole number of values.
struct Filler {
    sender: SyncSender<gen5::Result<Vec<u8>>>,
    to_fill: Receiver<Vec<u8>>,
}

impl Write for Filler {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut block = self.to_fill.try_recv().unwrap_or_default();
        block.clear();
        block.extend_from_slice(bytes);
        self.sender.send(Ok(block)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
