//! Checksums: those that a writer sends are checked, and returned to a reader who asks.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::StreamExt as _;
use md5::Digest as _;
use s3s::checksum::ChecksumHasher;
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::blob::{Blob, Receiving};
use crate::store::Store;

/// The checksums that the writer states for a body, in Base64.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) md5: Option<String>,
    pub(crate) crc64: Option<String>,
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) trailers: Option<TrailingHeaders>,
}

impl Claims {
    /// Reads the checksums in the trailers of the body.
    fn read_trailers(&mut self) {
        let Some(trailers) = self.trailers.take().and_then(|trailers| trailers.take()) else {
            return;
        };
        let text = |name| {
            let value = trailers.get(name)?.to_str().ok()?;
            Some(value.to_owned())
        };
        self.crc64 = text("x-amz-checksum-crc64nvme").or(self.crc64.take());
        self.crc32 = text("x-amz-checksum-crc32").or(self.crc32.take());
        self.crc32c = text("x-amz-checksum-crc32c").or(self.crc32c.take());
        self.sha256 = text("x-amz-checksum-sha256").or(self.sha256.take());
    }
}

/// The checksum that a reader gets, in Base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Crc64(String),
    Crc32(String),
    Crc32c(String),
    Sha256(String),
}

/// A body that arrived as it was sent.
pub(crate) struct Received {
    pub(crate) blob: Blob,
    pub(crate) crc64: u64,
    pub(crate) sum: Sum,
}

/// A CRC-64/NVME as S3 writes it.
pub(crate) fn crc64_text(crc: u64) -> String {
    BASE64_STANDARD.encode(crc.to_be_bytes())
}

/// Receives a body and refuses one that does not match the writer's checksums.
pub(crate) async fn receive(
    store: &Store,
    body: Option<StreamingBlob>,
    expected_len: Option<i64>,
    mut claims: Claims,
) -> S3Result<Received> {
    let internal = |error: std::io::Error| s3_error!(error, InternalError);
    let mut receiving = Receiving::new(store.options.spill_to.as_deref()).map_err(internal)?;
    let mut crc64 = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
    let mut md5 = claims.md5.as_ref().map(|_| md5::Md5::new());
    let trailed = claims.trailers.is_some();
    let wanted = |claim: &Option<String>| claim.is_some() || trailed;
    let mut others = ChecksumHasher {
        crc32: wanted(&claims.crc32).then(Default::default),
        crc32c: wanted(&claims.crc32c).then(Default::default),
        sha256: wanted(&claims.sha256).then(Default::default),
        ..Default::default()
    };
    let mut len = 0_u64;
    if let Some(mut body) = body {
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| s3_error!(IncompleteBody))?;
            crc64.update(&piece);
            others.update(&piece);
            if let Some(md5) = &mut md5 {
                md5.update(&piece);
            }
            len += piece.len() as u64;
            receiving.push(piece).map_err(internal)?;
        }
    }
    if expected_len.is_some_and(|expected| expected as u64 != len) {
        return Err(s3_error!(IncompleteBody));
    }
    claims.read_trailers();
    let crc64 = crc64.finalize();
    let found = others.finalize();
    let md5 = md5.map(|md5| BASE64_STANDARD.encode(md5.finalize()));
    for (claim, found) in [
        (&claims.md5, &md5),
        (&claims.crc64, &Some(crc64_text(crc64))),
        (&claims.crc32, &found.checksum_crc32),
        (&claims.crc32c, &found.checksum_crc32c),
        (&claims.sha256, &found.checksum_sha256),
    ] {
        if claim.is_some() && claim != found {
            return Err(s3_error!(
                BadDigest,
                "The checksum you specified did not match what we received"
            ));
        }
    }
    let sum = match claims {
        Claims {
            crc32: Some(sum), ..
        } => Sum::Crc32(sum),
        Claims {
            crc32c: Some(sum), ..
        } => Sum::Crc32c(sum),
        Claims {
            sha256: Some(sum), ..
        } => Sum::Sha256(sum),
        _ => Sum::Crc64(crc64_text(crc64)),
    };
    Ok(Received {
        blob: receiving.finish(),
        crc64,
        sum,
    })
}
