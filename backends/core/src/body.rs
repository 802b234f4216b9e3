//! The bytes of an object on their way from one place to another.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::{Error, Result};

/// A stream of bytes that may break off with an error.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// The bytes of an object: an open local file, or a stream.
///
/// The two are distinguished so that a copy from local disk can take the fastest road (plain reads
/// on one thread, or what the kernel offers) where a stream would hop between threads for every
/// piece.
pub enum Body {
    /// An open file, positioned where reading starts; exactly `len` bytes are to be read.
    File {
        /// The file.
        file: File,
        /// How many bytes to read from where the file is positioned.
        len: u64,
    },
    /// Anything else.
    Stream(ByteStream),
}

impl Body {
    /// A body of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::Stream(stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed())
    }

    /// Reads the whole body into memory, refusing one of more than `limit` bytes.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] when there are more bytes than `limit`, else what reading
    /// gave; `subject` is named in both.
    pub async fn collect(self, limit: u64, subject: &str) -> Result<Vec<u8>> {
        let too_large = || {
            Error::new(
                crate::ErrorKind::Invalid,
                "read",
                subject,
                format!("it is larger than {limit} bytes"),
            )
        };
        match self {
            Self::File { file, len } => {
                if len > limit {
                    return Err(too_large());
                }
                let mut bytes = Vec::new();
                file.take(len)
                    .read_to_end(&mut bytes)
                    .map_err(|e| Error::from_io("read", subject, e))?;
                Ok(bytes)
            }
            Self::Stream(mut stream) => {
                let mut bytes = Vec::new();
                while let Some(piece) = stream.next().await {
                    let piece = piece?;
                    if (bytes.len() + piece.len()) as u64 > limit {
                        return Err(too_large());
                    }
                    bytes.extend_from_slice(&piece);
                }
                Ok(bytes)
            }
        }
    }
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { len, .. } => write!(f, "Body::File({len} bytes)"),
            Self::Stream(_) => f.write_str("Body::Stream"),
        }
    }
}
