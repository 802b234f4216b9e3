//! Shared access signatures, as far as they can be read.

use std::time::SystemTime;

use arc_backup_core::Result;
use azure_core::http::Url;
use azure_core::time::parse_rfc3339;

use crate::config::wrong;

/// A shared access signature.
#[derive(Clone)]
pub(crate) struct Sas {
    pairs: Vec<(String, String)>,
    /// Which setting it came from.
    pub(crate) setting: &'static str,
}

impl std::fmt::Debug for Sas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Sas").field(&self.public()).finish()
    }
}

impl Sas {
    pub(crate) fn parse(text: &str, setting: &'static str) -> Result<Self> {
        let text = text.trim().trim_start_matches('?');
        // A URL parser undoes the escapes.
        let url = Url::parse(&format!("https://sas.invalid/?{text}"))
            .map_err(|_| wrong(setting, "it is not a shared access signature"))?;
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let sas = Self { pairs, setting };
        for name in ["sig", "sv"] {
            if sas.value(name).is_none_or(str::is_empty) {
                return Err(wrong(
                    setting,
                    format!("it is not a shared access signature: it has no `{name}=`"),
                ));
            }
        }
        Ok(sas)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// All of it but the signature: enough to distinguish it from others.
    pub(crate) fn public(&self) -> String {
        let shown = self.pairs.iter().filter(|(name, _)| name != "sig");
        let mut parts: Vec<_> = shown
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        parts.sort();
        parts.join("&")
    }

    /// Adds it to `url`.
    pub(crate) fn append_to(&self, url: &mut Url) {
        url.query_pairs_mut().extend_pairs(&self.pairs);
    }

    /// Whether it grants this permission: `true` where it does not say (a stored access policy
    /// does).
    pub(crate) fn grants(&self, letter: char) -> bool {
        self.value("sp")
            .is_none_or(|letters| letters.contains(letter))
    }

    /// What is wrong with it at this moment, if its times say so.
    pub(crate) fn out_of_time(&self) -> Option<String> {
        let now = SystemTime::now();
        let setting = self.setting;
        if let Some((text, end)) = self.time("se")
            && end <= now
        {
            return Some(format!("the SAS token of `{setting}` expired on {text}"));
        }
        if let Some((text, start)) = self.time("st")
            && start > now
        {
            return Some(format!(
                "the SAS token of `{setting}` is not valid before {text}"
            ));
        }
        None
    }

    fn time(&self, name: &str) -> Option<(&str, SystemTime)> {
        let text = self.value(name)?;
        // `2026-11-20`, `2026-11-20T10:00Z` and `2026-11-20T10:00:00Z` are all allowed.
        let full = match text.len() {
            10 => format!("{text}T00:00:00Z"),
            17 => format!("{}:00Z", text.trim_end_matches('Z')),
            _ => text.to_owned(),
        };
        Some((text, parse_rfc3339(&full).ok()?.into()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sas(se: &str) -> Sas {
        let text = format!("?sv=2021-12-02&ss=b&srt=sco&sp=rl&se={se}&sig=c2VjcmV0%3D");
        Sas::parse(&text, "azure_sas_token").unwrap()
    }

    /// Azure only says "failed to authenticate": without this nobody would look at the date.
    #[test]
    fn an_expired_one_is_told_in_each_form_of_its_date() {
        for past in [
            "2020-01-01",
            "2020-01-01T10:00Z",
            "2020-01-01T10:00:00Z",
            "2020-01-01T10%3A00%3A00Z",
        ] {
            let said = sas(past).out_of_time().unwrap();
            assert!(
                said.contains("azure_sas_token` expired on 2020-01-01"),
                "{said}"
            );
        }
        assert_eq!(sas("2999-01-01").out_of_time(), None);
        assert_eq!(sas("nonsense").out_of_time(), None, "the store decides");
    }

    /// The signature is a secret, and must reach the URL as it was.
    #[test]
    fn the_signature_goes_to_the_url_and_nowhere_else() {
        let sas = sas("2999-01-01");
        assert!(!format!("{sas:?}").contains("c2VjcmV0"));
        let mut url = Url::parse("https://a.blob.core.windows.net/c").unwrap();
        sas.append_to(&mut url);
        assert!(url.query().unwrap().contains("sig=c2VjcmV0%3D"));
        assert!(sas.grants('r') && !sas.grants('w'));
    }

    /// A token that was pasted in part is refused before the first request.
    #[test]
    fn a_text_without_signature_is_refused() {
        for bad in ["garbage", "sv=2021-12-02&sp=r", "sig=abc", ""] {
            assert!(Sas::parse(bad, "azure_sas_token").is_err(), "{bad}");
        }
    }
}
