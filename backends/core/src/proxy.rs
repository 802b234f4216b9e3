//! Which proxy a request goes through: one rule for all sinks over a network.
//!
//! That of curl: `HTTPS_PROXY` for `https`, `HTTP_PROXY` for `http`, `ALL_PROXY` for both where
//! these are not set, but for the hosts in `NO_PROXY`; each also in lower case. Beyond that, what
//! can only be meant for this machine never goes through a proxy: the services that hand out
//! credentials would give them to it.

use std::fmt;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::{Error, ErrorKind, Result};

/// Link-local addresses, and the metadata services of clouds: AWS over IPv6, Azure's host.
const NEVER: &str = "169.254.0.0/16,fe80::/10,fd00:ec2::/32,168.63.129.16";

/// Stands for a proxy where only the exceptions are asked about.
const ANY: &str = "http://proxy.invalid";

/// A variable, and its value.
#[derive(Clone, PartialEq, Eq)]
struct Variable {
    name: String,
    value: String,
}

/// The proxies of an environment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Variable>,
    https: Option<Variable>,
    no: String,
}

impl Proxies {
    /// No proxy for anything.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Those of this process's environment.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// Those of these variables. An empty one counts as absent.
    #[must_use]
    pub fn from_variables(value: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| {
                let value = value(name)?.trim().to_owned();
                let value = match value.contains("://") {
                    true => value,
                    // As curl takes it.
                    false if !value.is_empty() => format!("http://{value}"),
                    false => return None,
                };
                Some(Variable {
                    name: (*name).to_owned(),
                    value,
                })
            })
        };
        // In a CGI the variable is a header of whoever asks.
        let is_cgi = value("REQUEST_METHOD").is_some();
        let http: &[_] = if is_cgi {
            &["http_proxy"]
        } else {
            &["HTTP_PROXY", "http_proxy"]
        };
        let all = first(&["ALL_PROXY", "all_proxy"]);
        let no = ["NO_PROXY", "no_proxy"]
            .iter()
            .filter_map(|name| value(name));
        let no = no.map(|no| no.trim().to_owned()).find(|no| !no.is_empty());
        let no = exceptions_of(&no.unwrap_or_default());
        if no.iter().any(|entry| entry == "*") {
            return Self::none();
        }
        Self {
            http: first(http).or_else(|| all.clone()),
            https: first(&["HTTPS_PROXY", "https_proxy"]).or(all),
            no: no.join(","),
        }
    }

    /// The URL of the proxy for a scheme, with the credentials that are in it.
    #[must_use]
    pub fn url(&self, scheme: &str) -> Option<&str> {
        let variable = match scheme {
            "http" => &self.http,
            "https" => &self.https,
            _ => return None,
        };
        variable.as_ref().map(|variable| variable.value.as_str())
    }

    /// The same without one for `http`: for what asks for credentials. Who hands these out by
    /// `http` is on this machine, or beside it.
    #[must_use]
    pub fn https_only(&self) -> Self {
        Self {
            http: None,
            ..self.clone()
        }
    }

    /// The hosts that no proxy is asked for, as `NO_PROXY` has them.
    #[must_use]
    pub fn exceptions(&self) -> String {
        if self.no.is_empty() {
            NEVER.to_owned()
        } else {
            format!("{},{NEVER}", self.no)
        }
    }

    /// The proxy that a request to `url` goes through, without the credentials that are in it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] about the variable, when it is no URL of a proxy that can be used.
    pub fn of(&self, url: &str) -> Result<Option<String>> {
        let Ok(uri) = url.parse::<Uri>() else {
            return Ok(None);
        };
        let variable = match uri.scheme_str() {
            Some("http") => &self.http,
            Some("https") => &self.https,
            _ => &None,
        };
        let exceptions = Matcher::builder().all(ANY).no(self.exceptions()).build();
        let (Some(variable), Some(_)) = (variable, exceptions.intercept(&uri)) else {
            return Ok(None);
        };
        let matcher = Matcher::builder().all(variable.value.clone()).build();
        let proxy = matcher.intercept(&uri);
        let proxy =
            proxy.filter(|proxy| matches!(proxy.uri().scheme_str(), Some("http" | "https")));
        // Its value may hold a password.
        let proxy = proxy.ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "use",
                variable.name.as_str(),
                "it is no URL of an HTTP proxy (`http://host:port`); correct it, or name this host in `NO_PROXY`",
            )
        })?;
        Ok(Some(
            proxy.uri().to_string().trim_end_matches('/').to_owned(),
        ))
    }
}

/// The entries of a `NO_PROXY` as the matcher takes them: some tools write `*.corp` for `.corp`,
/// and a port behind a name.
fn exceptions_of(text: &str) -> Vec<String> {
    let entries = text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty());
    entries
        .map(|entry| {
            let entry = match entry.strip_prefix("*.") {
                Some(domain) => domain,
                None => entry,
            };
            match entry.split_once(':') {
                Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    host.to_owned()
                }
                _ => entry.to_owned(),
            }
        })
        .collect()
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |variable: &Option<Variable>| variable.as_ref().map(|found| found.name.clone());
        f.debug_struct("Proxies")
            .field("http", &name(&self.http))
            .field("https", &name(&self.https))
            .field("no", &self.no)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Proxies {
        Proxies::from_variables(|name| {
            let found = variables.iter().find(|(of, _)| *of == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn of(variables: &[(&str, &str)], url: &str) -> Option<String> {
        with(variables).of(url).expect("a usable proxy")
    }

    /// Lost if it fails: a machine that reaches its store through its proxy alone, or, worse, past
    /// it alone.
    #[test]
    fn the_variables_are_those_of_curl() {
        let proxy = Some("http://proxy:3128".to_owned());
        for (name, http, https) in [
            ("HTTP_PROXY", true, false),
            ("http_proxy", true, false),
            ("HTTPS_PROXY", false, true),
            ("https_proxy", false, true),
            ("ALL_PROXY", true, true),
            ("all_proxy", true, true),
        ] {
            let variables = [(name, "http://proxy:3128")];
            let found = (
                of(&variables, "http://s3/b"),
                of(&variables, "https://s3/b"),
            );
            let wanted = |yes: bool| proxy.clone().filter(|_| yes);
            assert_eq!(found, (wanted(http), wanted(https)), "{name}");
        }
        let empty = [("HTTPS_PROXY", ""), ("https_proxy", "proxy:3128")];
        assert_eq!(of(&empty, "https://s3"), proxy);
        for no in ["NO_PROXY", "no_proxy"] {
            let variables = [
                ("ALL_PROXY", "http://proxy:3128"),
                (no, "minio:9000, *.corp,10.0.0.0/8"),
            ];
            for (host, passes) in [
                ("minio", false),
                ("b.minio", false),
                ("s3.corp", false),
                ("10.1.2.3", false),
                ("11.1.2.3", true),
                ("corp.example", true),
                ("s3.amazonaws.com", true),
            ] {
                let found = of(&variables, &format!("http://{host}:9000/b"));
                assert_eq!(found.is_some(), passes, "{host}");
            }
        }
        for host in ["minio", "10.1.2.3", "[::1]"] {
            let variables = [("ALL_PROXY", "http://proxy:3128"), ("NO_PROXY", "minio,*")];
            assert_eq!(of(&variables, &format!("http://{host}/")), None, "{host}");
        }
        let cgi = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://evil")];
        assert_eq!(of(&cgi, "http://s3"), None);
    }

    /// Lost if it fails: the credentials of the machine, to a proxy.
    #[test]
    fn what_is_meant_for_this_machine_never_goes_through_a_proxy() {
        let variables = [("ALL_PROXY", "http://proxy:3128"), ("NO_PROXY", "minio")];
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "168.63.129.16",
        ] {
            for scheme in ["http", "https"] {
                let url = format!("{scheme}://{host}/latest/meta-data");
                assert_eq!(of(&variables, &url), None, "{url}");
            }
        }
        assert!(of(&variables, "http://169.253.0.1/").is_some());
    }

    /// Lost if it fails: a password in what an operator shows to others; an hour's search for why
    /// nothing arrives.
    #[test]
    fn credentials_are_not_shown_and_what_is_no_proxy_is_named() {
        let variables = [("HTTPS_PROXY", "http://me:hunter2@proxy:3128")];
        let found = of(&variables, "https://s3");
        assert_eq!(found.as_deref(), Some("http://proxy:3128"));
        assert_eq!(with(&variables).url("https"), Some(variables[0].1));
        assert!(!format!("{:?}", with(&variables)).contains("hunter2"));
        for bad in [
            "socks5://me:hunter2@proxy:1080",
            "::hunter2",
            "ftp://hunter2",
        ] {
            let proxies = with(&[("all_proxy", bad), ("NO_PROXY", "minio")]);
            let error = proxies.of("https://s3").expect_err(bad).to_string();
            assert!(
                error.contains("all_proxy") && !error.contains("hunter2"),
                "{error}"
            );
            assert_eq!(
                proxies.of("http://minio:9000").expect("it is not asked"),
                None
            );
        }
    }
}
