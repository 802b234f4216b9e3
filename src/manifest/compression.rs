//! The compression of an inventory: zstd, piece by piece.
//!
//! Measured with 100,000 lines: half of a compressed line is its digest, which nothing compresses.
//! Level 1 is both faster and smaller than 3 to 9, which find short matches in the digests; a long
//! window, and another order of the fields, change nothing.

use std::io::{self, Write};

use zstd::stream::raw::{DParameter, Decoder, Operation};
use zstd::stream::write::Encoder;

/// The name in [`InventoryRef::compression`](super::InventoryRef::compression).
pub const ZSTD: &str = "zstd";
const LEVEL: i32 = 1;
/// The largest window that is accepted: 8 MiB. What this program writes needs 512 KiB.
const LARGEST_WINDOW_LOG: u32 = 23;
/// How much is decompressed at once.
const PIECE_BYTES: usize = 128 << 10;

/// Compresses pieces.
pub struct Compressor(Encoder<'static, Vec<u8>>);

impl Compressor {
    /// A new one.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> io::Result<Self> {
        Encoder::new(Vec::new(), LEVEL).map(Self)
    }

    /// Takes a piece, and returns what is compressed so far; it may be nothing.
    ///
    /// # Errors
    /// When it can't be compressed: there is no memory.
    pub fn push(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(piece)?;
        Ok(std::mem::take(self.0.get_mut()))
    }

    /// The rest.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.0.finish()
    }
}

/// Decompresses pieces. However small they are, never more than a piece is in memory.
pub(crate) struct Decompressor {
    decoder: Decoder<'static>,
    output: Vec<u8>,
    has_ended: bool,
}

impl Decompressor {
    /// A new one.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(LARGEST_WINDOW_LOG))?;
        Ok(Self {
            decoder,
            output: vec![0; PIECE_BYTES],
            has_ended: false,
        })
    }

    /// Takes a piece, and gives what is in it to `take`, in pieces.
    pub(crate) fn push<E>(
        &mut self,
        mut piece: &[u8],
        damaged: impl Fn(String) -> E,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            if self.has_ended {
                return match piece.is_empty() {
                    true => Ok(()),
                    false => Err(damaged("has something behind its end".to_owned())),
                };
            }
            let done = (self.decoder.run_on_buffers(piece, &mut self.output))
                .map_err(|e| damaged(format!("can't be decompressed: {e}")))?;
            piece = &piece[done.bytes_read..];
            self.has_ended = done.remaining == 0;
            take(&self.output[..done.bytes_written])?;
            // With the buffer full, more may be waiting in the decoder.
            if piece.is_empty() && done.bytes_written < self.output.len() {
                return Ok(());
            }
        }
    }

    /// Whether the last piece was the end.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compressed(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new().expect("memory");
        let mut all = Vec::new();
        for piece in bytes.chunks(10_000) {
            all.extend(compressor.push(piece).expect("compressed"));
        }
        all.extend(compressor.finish().expect("compressed"));
        all
    }

    fn read(compressed: &[u8], pieces: usize) -> Result<(Vec<u8>, bool), String> {
        let mut decompressor = Decompressor::new().expect("memory");
        let mut all = Vec::new();
        for piece in compressed.chunks(pieces) {
            decompressor.push(
                piece,
                |why| why,
                |bytes| {
                    assert!(bytes.len() <= PIECE_BYTES, "more than a piece at once");
                    all.extend_from_slice(bytes);
                    Ok(())
                },
            )?;
        }
        Ok((all, decompressor.has_ended()))
    }

    /// Guards against: a list that is cut off, or followed by another, and passes for whole.
    #[test]
    fn what_is_written_is_read_again_and_only_as_a_whole() {
        for length in [0, 1, 127, PIECE_BYTES, PIECE_BYTES + 1, 3_000_000] {
            let bytes: Vec<u8> = (0..length).map(|n| ((n * n) >> 9) as u8).collect();
            let compressed = compressed(&bytes);
            for pieces in [1, 7, 64 << 10, compressed.len()] {
                let (read, has_ended) = read(&compressed, pieces).expect("whole");
                assert!(read == bytes && has_ended, "{length} in {pieces}");
            }
            let cut = read(&compressed[..compressed.len() - 1], 1 << 20);
            assert!(cut.is_err() || !cut.expect("read").1, "{length}");
            let mut more = compressed.clone();
            more.extend_from_slice(&compressed);
            assert!(read(&more, 1 << 20).is_err(), "{length}");
        }
    }

    /// Guards against: a small file that fills the memory.
    #[test]
    fn a_bomb_is_given_in_pieces() {
        let bomb = compressed(&vec![b'x'; 64 << 20]);
        assert!(bomb.len() < 64 << 10);
        let mut count = 0;
        let mut decompressor = Decompressor::new().expect("memory");
        let ended = decompressor.push(
            &bomb,
            |why| why,
            |_| {
                count += 1;
                match count {
                    3 => Err("enough".to_owned()),
                    _ => Ok(()),
                }
            },
        );
        assert_eq!(ended, Err("enough".to_owned()));
    }
}
