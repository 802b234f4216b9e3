//! The bytes of a file of a backup.

use poem::Body;
use poem_openapi::ApiResponse;
use poem_openapi::payload::Binary;

/// The bytes of a file of a backup.
#[derive(ApiResponse)]
pub(in crate::api) enum FileAnswer {
    /// All of the file.
    #[oai(status = 200)]
    Whole(
        Binary<Body>,
        /// The SHA-256 of the file, in quotes; absent where the backup has none for it.
        #[oai(header = "ETag")]
        Option<String>,
        /// The size of the file.
        #[oai(header = "Content-Length")]
        u64,
        /// `bytes`.
        #[oai(header = "Accept-Ranges")]
        String,
    ),
    /// The range of the file.
    #[oai(status = 206)]
    Part(
        Binary<Body>,
        /// The SHA-256 of the whole file, in quotes; absent where the backup has none for it.
        #[oai(header = "ETag")]
        Option<String>,
        /// How many bytes are sent.
        #[oai(header = "Content-Length")]
        u64,
        /// `bytes`.
        #[oai(header = "Accept-Ranges")]
        String,
        /// Which bytes these are: `bytes 0-1023/5242880`.
        #[oai(header = "Content-Range")]
        String,
    ),
    /// The client has the file.
    #[oai(status = 304)]
    NotModified(
        /// The SHA-256 of the file, in quotes.
        #[oai(header = "ETag")]
        Option<String>,
    ),
}
