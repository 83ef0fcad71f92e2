//! The bytes of a latent, read on a separate thread.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use gen5::Latent;
use rayon::Scope;

/// Blocks that wait to be worked on: each is at most half a MiB.
const WAITING: usize = 4;

/// The bytes of a latent, as another thread reads them.
pub(crate) struct Blocks {
    blocks: Receiver<gen5::Result<Vec<u8>>>,
    /// Where blocks that were worked on go, to be filled again: fresh memory costs as much as filling it.
    spent: Sender<Vec<u8>>,
    block: Vec<u8>,
    /// Bytes of the block that were taken.
    taken: usize,
}

impl Blocks {
    /// Starts to read. On a pool of one thread no parts are decompressed side by side, which would take memory for each.
    pub(crate) fn read<'scope>(scope: &Scope<'scope>, latent: &'scope Latent) -> Self {
        let (sender, blocks) = sync_channel(WAITING);
        let (spent, to_fill) = channel();
        scope.spawn(move |_| {
            let mut filler = Filler { sender, to_fill };
            if let Err(error) = latent.write_to(&mut filler) {
                // If nobody waits for blocks any more, nobody wants to know either.
                let _ = filler.sender.send(Err(error));
            }
        });
        Self { blocks, spent, block: Vec::new(), taken: 0 }
    }

    /// What is left of the block, or all of the next; nothing at the end.
    pub(crate) fn rest(&mut self) -> gen5::Result<&[u8]> {
        while self.taken == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => {
                    let spent = std::mem::replace(&mut self.block, block?);
                    self.taken = 0;
                    // If the latent has come to its end, nobody takes it.
                    let _ = self.spent.send(spent);
                }
                Err(_) => break,
            }
        }
        Ok(self.block.get(self.taken..).unwrap_or_default())
    }

    /// Takes bytes of the block, of which as many are left.
    pub(crate) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.taken;
        self.taken += count;
        self.block.get(start..self.taken).unwrap_or_default()
    }
}

/// Takes the blocks of a latent, each a whole number of values.
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
