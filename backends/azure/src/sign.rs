//! Shared Key: signing requests with the account's key, which the SDK leaves to others.
//!
//! The rules are Microsoft's "Authorize with Shared Key", for versions from 2015-02-21 on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::base64;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Signs each try of a request.
pub(crate) struct SharedKey {
    account: String,
    mac: Hmac<Sha256>,
}

impl fmt::Debug for SharedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SharedKey({})", self.account)
    }
}

impl SharedKey {
    pub(crate) fn new(account: String, key: &[u8]) -> Self {
        Self {
            account,
            mac: Hmac::new_from_slice(key).expect("HMAC takes a key of any length"),
        }
    }

    /// What is signed.
    fn text(&self, request: &Request) -> String {
        let headers = request.headers();
        let header = |name: &'static str| text_of(headers, name);
        // The transport adds the length later where the request has none: commit of a block list.
        let length = match header("content-length") {
            "" => request.body().len().unwrap_or(0).to_string(),
            length => length.to_owned(),
        };
        let length = if length == "0" { "" } else { &length };
        let mut text = [
            request.method().as_ref(),
            header("content-encoding"),
            header("content-language"),
            length,
            header("content-md5"),
            header("content-type"),
            // The date is in x-ms-date.
            "",
            header("if-modified-since"),
            header("if-match"),
            header("if-none-match"),
            header("if-unmodified-since"),
            header("range"),
        ]
        .join("\n");
        text.push('\n');
        let own: BTreeMap<_, _> = headers
            .iter()
            .map(|(name, value)| (name.as_str().to_ascii_lowercase(), value.as_str().trim()))
            .filter(|(name, _)| name.starts_with("x-ms-"))
            .collect();
        for (name, value) in own {
            text.extend([&name, ":", value, "\n"]);
        }
        text.extend(["/", &self.account, request.url().path()]);
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in request.url().query_pairs() {
            query
                .entry(name.to_lowercase())
                .or_default()
                .push(value.into_owned());
        }
        for (name, mut values) in query {
            values.sort();
            text.extend(["\n", &name, ":", &values.join(",")]);
        }
        text
    }

    fn signature(&self, text: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(text.as_bytes());
        base64::encode(mac.finalize().into_bytes())
    }
}

fn text_of<'a>(headers: &'a Headers, name: &'static str) -> &'a str {
    headers
        .get_optional_str(&HeaderName::from_static(name))
        .unwrap_or_default()
}

// The trait elides the lifetime, and an implementation has to do the same.
#[allow(elided_lifetimes_in_paths)]
#[async_trait]
impl Policy for SharedKey {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        let signature = self.signature(&self.text(request));
        request.insert_header(
            "authorization",
            format!("SharedKey {}:{signature}", self.account),
        );
        next[0].send(ctx, request, &next[1..]).await
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use azure_core::http::{Method, Url};

    use super::*;

    /// The store checks exactly these bytes: a line too many and nothing works.
    #[test]
    fn the_signed_text_is_as_documented() {
        let key = SharedKey::new("myaccount".to_owned(), b"key");
        let url = "https://myaccount.blob.core.windows.net/c/a%2Fb?restype=container&comp=list&Include=x&include=a%20b";
        let mut request = Request::new(Url::parse(url).unwrap(), Method::Put);
        request.insert_header("x-ms-version", "2015-02-21");
        request.insert_header("x-ms-date", " Fri, 26 Jun 2015 23:39:12 GMT ");
        request.insert_header("content-type", "text/plain");
        request.set_body("hello");
        assert_eq!(
            key.text(&request),
            "PUT\n\n\n5\n\ntext/plain\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/c/a%2Fb\ncomp:list\ninclude:a b,x\nrestype:container"
        );
    }

    #[test]
    fn debug_shows_no_key() {
        let shown = format!("{:?}", SharedKey::new("a".to_owned(), b"hunter2"));
        assert_eq!(shown, "SharedKey(a)");
    }
}
