//! The bytes of a latent, read by another thread than the one that works on them.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use gen5::Latent;
use rayon::Scope;

/// Blocks that wait to be worked on: each is at most half a MiB.
const WAITING: usize = 4;

/// The bytes of a latent, as another thread reads them.
pub(super) struct Blocks {
    blocks: Receiver<gen5::Result<Vec<u8>>>,
    block: Vec<u8>,
    /// Bytes of the block that were taken.
    taken: usize,
}

impl Blocks {
    /// Starts to read. On a pool of one thread no parts are decompressed side by side, which would take memory for each.
    pub(super) fn read<'scope>(scope: &Scope<'scope>, latent: &'scope Latent) -> Self {
        let (sender, blocks) = sync_channel(WAITING);
        scope.spawn(move |_| {
            let mut sender = Sender(sender);
            if let Err(error) = latent.write_to(&mut sender) {
                // If nobody waits for blocks any more, nobody wants to know either.
                let _ = sender.0.send(Err(error));
            }
        });
        Self { blocks, block: Vec::new(), taken: 0 }
    }

    /// What is left of the block, or all of the next; nothing at the end.
    pub(super) fn rest(&mut self) -> gen5::Result<&[u8]> {
        while self.taken == self.block.len() {
            match self.blocks.recv() {
                Ok(block) => (self.block, self.taken) = (block?, 0),
                Err(_) => break,
            }
        }
        Ok(self.block.get(self.taken..).unwrap_or_default())
    }

    /// Takes bytes of the block, of which as many are left.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let start = self.taken;
        self.taken += count;
        self.block.get(start..self.taken).unwrap_or_default()
    }
}

/// Takes the blocks of a latent, each a whole number of values.
struct Sender(SyncSender<gen5::Result<Vec<u8>>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(Ok(bytes.to_vec())).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
