//! Checksums: of what is written, so that the store refuses damage, and of what is read.

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::types::ChecksumType;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::Digest as _;

use crate::config::S3Checksums;

/// The checksum of a body that is sent, in Base64.
#[derive(Debug, Clone)]
pub(crate) enum Sum {
    /// A CRC-64/NVME, and its value.
    Crc64(String, u64),
    Md5(String),
}

impl Sum {
    pub(crate) fn of(bytes: &Bytes, checksums: S3Checksums) -> Self {
        match checksums {
            S3Checksums::WhenSupported => Self::crc64(crc_fast::checksum(NVME, bytes)),
            S3Checksums::WhenRequired => Self::Md5(md5_text(bytes)),
        }
    }

    /// The checksum whose value is `crc`.
    pub(crate) fn crc64(crc: u64) -> Self {
        Self::Crc64(BASE64_STANDARD.encode(crc.to_be_bytes()), crc)
    }

    pub(crate) fn crc64_text(&self) -> Option<String> {
        match self {
            Self::Crc64(text, _) => Some(text.clone()),
            Self::Md5(_) => None,
        }
    }

    pub(crate) fn md5_text(&self) -> Option<String> {
        match self {
            Self::Md5(text) => Some(text.clone()),
            Self::Crc64(..) => None,
        }
    }
}

const NVME: CrcAlgorithm = CrcAlgorithm::Crc64Nvme;

/// The MD5 of `bytes` as `Content-MD5` has it.
pub(crate) fn md5_text(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(md5::Md5::digest(bytes))
}

/// The CRC-64/NVME of parts joined, each by its own and its length.
pub(crate) fn joined(parts: impl Iterator<Item = (u64, u64)>) -> u64 {
    parts.fold(0, |whole, (crc, len)| {
        crc_fast::checksum_combine(NVME, whole, crc, len)
    })
}

/// A checksum that the store keeps of a whole object, to be compared with the bytes that come.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    algorithm: Algorithm,
    text: String,
}

#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Crc(CrcAlgorithm, usize),
    Sha256,
}

impl Expected {
    /// The checksum in an answer. `None` where there is none of the whole: a checksum of the parts'
    /// checksums says nothing without the parts.
    pub(crate) fn of(answer: &GetObjectOutput) -> Option<Self> {
        if answer.checksum_type() == Some(&ChecksumType::Composite) {
            return None;
        }
        let known = [
            (answer.checksum_crc64_nvme(), Algorithm::Crc(NVME, 8)),
            (
                answer.checksum_crc32_c(),
                Algorithm::Crc(CrcAlgorithm::Crc32Iscsi, 4),
            ),
            (
                answer.checksum_crc32(),
                Algorithm::Crc(CrcAlgorithm::Crc32IsoHdlc, 4),
            ),
            (answer.checksum_sha256(), Algorithm::Sha256),
        ];
        known.into_iter().find_map(|(text, algorithm)| {
            // Composite ones end in the number of parts.
            let text = text.filter(|text| !text.contains('-'))?.to_owned();
            Some(Self { algorithm, text })
        })
    }

    pub(crate) fn begin(&self) -> Check {
        let state = match self.algorithm {
            Algorithm::Crc(algorithm, bytes) => State::Crc(crc_fast::Digest::new(algorithm), bytes),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::default()),
        };
        Check {
            state,
            expected: self.text.clone(),
        }
    }
}

/// A checksum being computed.
pub(crate) struct Check {
    state: State,
    expected: String,
}

enum State {
    Crc(crc_fast::Digest, usize),
    Sha256(sha2::Sha256),
}

impl Check {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest, _) => digest.update(bytes),
            State::Sha256(digest) => sha2::Digest::update(digest, bytes),
        }
    }

    /// Whether the bytes are those that the store has the checksum of.
    pub(crate) fn holds(self) -> bool {
        let found = match self.state {
            State::Crc(digest, bytes) => {
                let value = digest.finalize().to_be_bytes();
                BASE64_STANDARD.encode(&value[value.len() - bytes..])
            }
            State::Sha256(digest) => BASE64_STANDARD.encode(sha2::Digest::finalize(digest)),
        };
        found == self.expected
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost if it fails: every write, refused by the store for a checksum of another kind.
    #[test]
    fn agrees_with_the_published_check_values() {
        let digits = Bytes::from_static(b"123456789");
        let Sum::Crc64(_, crc) = Sum::of(&digits, S3Checksums::WhenSupported) else {
            panic!("not a CRC");
        };
        assert_eq!(crc, 0xae8b_1486_0a79_9888);
        assert_eq!(
            joined(
                [&digits[..4], &digits[4..]]
                    .iter()
                    .map(|part| { (crc_fast::checksum(NVME, part), part.len() as u64) })
            ),
            crc
        );
        let md5 = Sum::of(&digits, S3Checksums::WhenRequired).md5_text();
        assert_eq!(md5.as_deref(), Some("JfnnlDI7RTiF9RgfG2JNCw=="));
    }

    /// Lost if it fails: a flipped byte of an object that another tool wrote, with a checksum of
    /// its own choice.
    #[test]
    fn every_kind_of_checksum_is_told_from_a_wrong_one() {
        let empty = || GetObjectOutput::builder();
        for answer in [
            empty().checksum_crc32("y/Q5Jg=="),
            empty().checksum_crc32_c("4waSgw=="),
            empty().checksum_crc64_nvme("rosUhgp5mIg="),
            empty().checksum_sha256("FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
        ] {
            let expected = Expected::of(&answer.build());
            for (bytes, good) in [(b"123456789", true), (b"123456780", false)] {
                let mut check = expected.as_ref().expect("a checksum").begin();
                check.update(&bytes[..3]);
                check.update(&bytes[3..]);
                assert_eq!(check.holds(), good, "{expected:?}");
            }
        }
        let parts = empty().checksum_crc32("y/Q5Jg==-3").build();
        assert!(Expected::of(&parts).is_none());
    }
}
