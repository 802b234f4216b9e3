//! Names of hosts that are not found.

/// How often a request is attempted whose host is not found. A resolver may be away for a moment; a
/// name that is spelled wrong is wrong for ever, and its author waits for the answer.
pub const LOOKUP_MAX_ATTEMPTS: u32 = 3;

/// Whether a request failed because the name of its host was not found, by the causes of the fault,
/// in one line. They have no type that says so: the standard library gives the resolver's words
/// only.
#[must_use]
pub fn is_failed_lookup(causes: &str) -> bool {
    let causes = causes.to_ascii_lowercase();
    ["dns error", "failed to lookup address"]
        .iter()
        .any(|words| causes.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a minute lost otherwise, and a message that names a host which is there.
    #[test]
    fn a_name_that_is_not_found_is_not_a_host_that_is_not_there() {
        let error = std::net::ToSocketAddrs::to_socket_addrs(&("absent.invalid", 1));
        let error = error.expect_err("no such host").to_string();
        assert!(is_failed_lookup(&error), "{error}");
        let refused = std::net::TcpStream::connect(("127.0.0.1", 1));
        let refused = refused.expect_err("nobody listens").to_string();
        assert!(!is_failed_lookup(&refused), "{refused}");
    }
}
