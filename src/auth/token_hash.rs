//! The forms in which a token is kept: strict reading, constant-time comparison.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::error::AuthError;

/// Arc's iterations of PBKDF2, and ours for a generated token.
const ITERATIONS: u32 = 600_000;
/// Arc refuses iterations beyond this: checking one token would take seconds.
const MAX_ITERATIONS: u32 = 10_000_000;
/// Arc refuses a PBKDF2 text longer than this.
const MAX_TEXT_CHARS: usize = 128;
/// Bcrypt's cost is a power of two: 14 takes about a second, and each step doubles it.
const MAX_BCRYPT_COST: u32 = 14;

const PBKDF2_SCHEME: &str = "$pbkdf2-sha256$";

/// A `token_hash` of Arc's table. A text in another form is not a hash and matches nothing.
pub(crate) enum TokenHash {
    /// `$pbkdf2-sha256$<iterations>$<salt>$<key>`.
    Pbkdf2 {
        iterations: u32,
        salt: [u8; 16],
        key: [u8; 32],
    },
    /// `$2…`, of a bearable cost.
    Bcrypt(String),
    /// 64 lower-case hex digits: SHA-256 of the token.
    Sha256([u8; 32]),
}

impl TokenHash {
    /// Reads a hash; `None` for anything malformed, truncated or too expensive.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(rest) = text.strip_prefix(PBKDF2_SCHEME) {
            if text.len() > MAX_TEXT_CHARS {
                return None;
            }
            let mut parts = rest.split('$');
            let (iterations, salt, key) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some() || !iterations.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            let iterations = iterations.parse().ok()?;
            return (1..=MAX_ITERATIONS)
                .contains(&iterations)
                .then_some(Self::Pbkdf2 {
                    iterations,
                    salt: decode(salt)?,
                    key: decode(key)?,
                });
        }
        if text.starts_with("$2") {
            let parts: bcrypt::HashParts = text.parse().ok()?;
            return (parts.get_cost() <= MAX_BCRYPT_COST).then(|| Self::Bcrypt(text.to_owned()));
        }
        parse_hex(text).map(Self::Sha256)
    }

    /// Hashes a token as Arc does, with a salt of its own.
    pub(crate) fn derive(token: &str) -> Result<String, AuthError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(AuthError::Random)?;
        let key = stretch(token, &salt, ITERATIONS);
        Ok(format!(
            "{PBKDF2_SCHEME}{ITERATIONS}${}${}",
            STANDARD_NO_PAD.encode(salt),
            STANDARD_NO_PAD.encode(key)
        ))
    }

    /// Whether checking a token takes long enough to be queued and kept off the runtime's threads.
    pub(crate) fn is_slow(&self) -> bool {
        !matches!(self, Self::Sha256(_))
    }

    /// Whether the hash is the token's. Compares in constant time.
    pub(crate) fn matches(&self, token: &str) -> bool {
        match self {
            Self::Pbkdf2 {
                iterations,
                salt,
                key,
            } => stretch(token, salt, *iterations).ct_eq(key).into(),
            // The crate compares in constant time. Beyond 72 bytes a token is cut, as by Arc's
            // library.
            Self::Bcrypt(text) => bcrypt::verify(token, text).unwrap_or(false),
            Self::Sha256(digest) => {
                let own: [u8; 32] = Sha256::digest(token.as_bytes()).into();
                own.ct_eq(digest).into()
            }
        }
    }
}

fn stretch(token: &str, salt: &[u8; 16], iterations: u32) -> [u8; 32] {
    pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(token.as_bytes(), salt, iterations)
}

/// Unpadded standard Base64 of exactly `N` bytes.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD_NO_PAD.decode(text).ok()?.try_into().ok()
}

fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64
        || !digits
            .iter()
            .all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
    }
    Some(bytes)
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "anNIWjQQX+HE2hYWWeF7IA";
    const KEY: &str = "1It/tPM9yy+s4x77uQyx4zyiT9xkgRWaISKybjigT/Q";
    const ADMIN: &str = "sample-admin-token-0123456789abcdef0123456789";
    const BCRYPT: &str = "$2b$10$C4JUZnR515ru8mCMWU7YMeESi/l8fKYRo3R81X.5xLvUHiY3DAp6a";
    const SHA256: &str = "cd2980d8d53cd9ff2aff1dc78cfcc18992640ef3015998f9f7c7318a956d6615";

    fn matches(hash: &str, token: &str) -> bool {
        TokenHash::parse(hash)
            .expect("the hash is well formed")
            .matches(token)
    }

    /// Guards against: refusing whole generations of Arc's tokens, and accepting wrong ones.
    #[test]
    fn all_three_forms_match_their_token_only() {
        let pbkdf2 = format!("$pbkdf2-sha256$600000${SALT}${KEY}");
        for (hash, token) in [
            (pbkdf2.as_str(), ADMIN),
            (BCRYPT, "legacy-bcrypt-token-0123456789abcdef"),
            (SHA256, "legacy-sha256-token-0123456789abcdef"),
        ] {
            assert!(matches(hash, token), "{hash}");
            assert!(!matches(hash, &format!("{token}x")), "{hash}");
            assert!(!matches(hash, ""), "{hash}");
        }
    }

    /// Guards against: a damaged or planted hash that matches too much or takes for ever.
    #[test]
    fn malformed_hashes_are_no_hashes() {
        let long_zeros = "0".repeat(80);
        let upper = SHA256.to_uppercase();
        for text in [
            String::new(),
            "admin".to_owned(),
            format!("$pbkdf2-sha256$0${SALT}${KEY}"),
            format!("$pbkdf2-sha256$10000001${SALT}${KEY}"),
            format!("$pbkdf2-sha256$99999999999${SALT}${KEY}"),
            format!("$pbkdf2-sha256$+600000${SALT}${KEY}"),
            format!("$pbkdf2-sha256$-1${SALT}${KEY}"),
            format!("$pbkdf2-sha256$${SALT}${KEY}"),
            format!("$pbkdf2-sha256${long_zeros}1${SALT}${KEY}"),
            format!("$pbkdf2-sha256$600000${SALT}${KEY}$"),
            format!("$pbkdf2-sha256$600000${SALT}==${KEY}="),
            format!("$pbkdf2-sha256$600000${SALT}$"),
            format!("$pbkdf2-sha256$600000$${KEY}"),
            format!("$pbkdf2-sha256$600000${SALT}"),
            format!("$pbkdf2-sha256$600000${KEY}${KEY}"),
            format!("$pbkdf2-sha1$600000${SALT}${KEY}"),
            BCRYPT.replace("$10$", "$15$"),
            BCRYPT.replace("$10$", "$99$"),
            BCRYPT.replace("$2b$", "$2z$"),
            BCRYPT[..59].to_owned(),
            format!("$2b$04${}", "é".repeat(26)),
            upper,
            SHA256[..63].to_owned(),
            format!("{SHA256}0"),
            format!(" {}", &SHA256[1..]),
        ] {
            assert!(TokenHash::parse(&text).is_none(), "{text}");
        }
    }

    /// Guards against: refusing the token that the service generated.
    #[test]
    fn a_derived_hash_is_in_arcs_form_and_salted() {
        let first = TokenHash::derive("token").expect("random bytes");
        let second = TokenHash::derive("token").expect("random bytes");
        assert!(first.starts_with("$pbkdf2-sha256$600000$") && first.len() <= MAX_TEXT_CHARS);
        assert_ne!(first, second);
        assert!(matches(&first, "token") && !matches(&first, "tokem"));
    }
}
