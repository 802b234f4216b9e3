//! The Arc that runs beside this program.

use ureq::http::Uri;

use super::values::Values;
use super::warning::Warning;
use crate::secret::Secret;
use crate::{Error, Result};

/// The Arc that is flushed before a backup, and asked whether it compacts.
#[derive(Debug, Clone)]
pub struct ArcServer {
    /// `backup.arc_url`, without a slash at its end.
    pub url: String,
    /// `backup.arc_token`; without one the token of the request is used.
    pub token: Option<Secret>,
}

/// `backup.arc_url` and `backup.arc_token`. No message shows either: a URL may hold credentials.
pub(super) fn arc_server(
    values: &Values,
    warnings: &mut Vec<Warning>,
) -> Result<Option<ArcServer>> {
    let (url_key, token_key) = (values.own("arc_url"), values.own("arc_token"));
    let token = (values.text(&token_key)?).filter(|token| !token.is_empty());
    if token
        .as_ref()
        .is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic() || b == b' '))
    {
        return Err(Error::Config(format!(
            "`{token_key}` must be printable ASCII: it is sent in a header"
        )));
    }
    let Some(url) = values.text(&url_key)? else {
        if token.is_some() {
            let text = format!("`{token_key}` is not used: `backup.arc_url` is not set");
            warnings.push(Warning::new(token_key, text));
        }
        return Ok(None);
    };
    let wrong = |what: &str| {
        Error::Config(format!(
            "`{url_key}` {what}: it must be the URL of Arc, such as http://localhost:8000"
        ))
    };
    if url.contains('@') {
        return Err(wrong(
            "must not contain credentials (set `backup.arc_token`)",
        ));
    }
    if url.contains(['?', '#']) {
        return Err(wrong("must not have a query or a fragment"));
    }
    let parsed: Uri = (url.trim().parse()).map_err(|_| wrong("is not a URL"))?;
    if !matches!(parsed.scheme_str(), Some("http" | "https")) {
        return Err(wrong("must begin with http:// or https://"));
    }
    if parsed.host().is_none_or(str::is_empty) {
        return Err(wrong("names no host"));
    }
    Ok(Some(ArcServer {
        url: url.trim().trim_end_matches('/').to_owned(),
        token: token.map(Secret::new),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Option<ArcServer>, Vec<Warning>)> {
        let values = Values::parse(&format!("[backup]\n{text}\n"), "arc.toml", [])?;
        let mut warnings = Vec::new();
        Ok((arc_server(&values, &mut warnings)?, warnings))
    }

    /// Guards against a flush that is silently lost to a wrong URL, and a secret in a message.
    #[test]
    fn a_url_is_http_without_credentials() {
        let (server, _) = read("arc_url = \"https://arc:8000/behind/\"").expect("valid");
        assert_eq!(server.expect("set").url, "https://arc:8000/behind");
        assert!(read("").expect("valid").0.is_none());
        let (server, warnings) = read("arc_token = \"hush\"").expect("valid");
        assert!(server.is_none() && warnings[0].text.contains("backup.arc_url"));
        for wrong in [
            "arc_url = \"\"",
            "arc_url = \"localhost:8000\"",
            "arc_url = \"ftp://arc\"",
            "arc_url = \"http://\"",
            "arc_url = \"http://user:hush@arc\"",
            "arc_url = \"http://arc/?p=hush\"",
            "arc_url = \"http://a b\"",
            "arc_url = 8000",
            "arc_url = \"http://arc\"\narc_token = \"hush\\u0007\"",
            "arc_url = \"http://arc\"\narc_token = 5",
        ] {
            let error = read(wrong).expect_err(wrong);
            assert!(matches!(error, Error::Config(_)), "{wrong}");
            let text = error.to_string();
            assert!(
                text.contains("backup.arc_") && !text.contains("hush"),
                "{text}"
            );
        }
    }
}
