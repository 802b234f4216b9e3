//! The one error of sinks and sources.

use std::error::Error as StdError;
use std::fmt;

/// What sinks and sources answer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The system has too many open files: the same number on every Unix.
const ENFILE: i32 = 23;
/// This process has too many open files.
const EMFILE: i32 = 24;

/// What kind of fault it is: what a caller decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing is there under that key.
    NotFound,
    /// The credentials or the file's mode do not allow it.
    PermissionDenied,
    /// Something is there already, and must not be overwritten.
    AlreadyExists,
    /// The object is not the one it was (`if_match`).
    Changed,
    /// The bytes are not what they should be.
    Corrupt,
    /// The object is there, and lies in an archive tier: nothing is read from it before it was
    /// restored to another tier in the store itself, which takes hours.
    Archived,
    /// The place is full, or a quota is reached.
    NoSpace,
    /// Somebody else holds what is needed.
    Busy,
    /// The sink or source cannot do this at all.
    Unsupported,
    /// The request makes no sense: a bad key, a file where a folder must be.
    Invalid,
    /// The place can't be reached, or does not answer; or this process lacks what it needs to ask:
    /// open files, memory.
    Unavailable,
    /// The place asks to slow down.
    Throttled,
    /// The caller cancelled it.
    Cancelled,
    /// Anything else.
    Other,
}

/// A fault of a sink or source: kind, what was tried, on what, and why it failed.
///
/// Its text names the thing: ``cannot read `cpu/2026/a.parquet`: permission denied``.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    operation: &'static str,
    subject: String,
    detail: String,
    retryable: bool,
    of_one_place: bool,
    max_attempts: Option<u32>,
    remedy: Option<String>,
    place: Option<String>,
    setting: Option<&'static str>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A fault of `kind`, met while trying to `operation` (a verb: "read") the `subject` (a key or
    /// a path).
    #[must_use]
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        subject: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                operation,
                subject: subject.into(),
                detail: detail.into(),
                retryable: false,
                of_one_place: false,
                max_attempts: None,
                remedy: None,
                place: None,
                setting: None,
                source: None,
            }),
        }
    }

    /// The fault that the operating system gave for `subject`.
    #[must_use]
    pub fn from_io(
        operation: &'static str,
        subject: impl Into<String>,
        error: std::io::Error,
    ) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::NoSpace,
            Io::NotADirectory | Io::IsADirectory | Io::InvalidInput | Io::InvalidFilename => {
                ErrorKind::Invalid
            }
            Io::Unsupported => ErrorKind::Unsupported,
            Io::OutOfMemory => ErrorKind::Unavailable,
            // No fault of the file that happened to be opened.
            _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        let text = error.to_string();
        // "(os error 13)" says nothing to an operator.
        let detail = text
            .split(" (os error")
            .next()
            .unwrap_or(&text)
            .to_lowercase();
        Self::new(kind, operation, subject, detail).with_source(error)
    }

    /// A fault of no particular kind, by its cause: for what a library's own error says.
    #[must_use]
    pub fn other(
        operation: &'static str,
        subject: impl Into<String>,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let cause = cause.into();
        Self::new(ErrorKind::Other, operation, subject, cause.to_string()).with_source(cause)
    }

    /// The same fault, with its cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same fault, marked as one that may heal when tried again.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.inner.retryable = true;
        self
    }

    /// The same fault, marked as one that may heal when tried again at once, and that is not worth
    /// more than so many attempts.
    #[must_use]
    pub fn retryable_at_most(mut self, attempts: u32) -> Self {
        self.inner.retryable = true;
        self.inner.max_attempts = Some(attempts);
        self
    }

    /// The same fault, with what an operator can do about it: a sentence without a full stop,
    /// settings in backticks.
    #[must_use]
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.inner.remedy = Some(remedy.into());
        self
    }

    /// The same fault, with the setting that decides about it, by its name in the backend's table
    /// of the configuration: `s3_bucket`.
    #[must_use]
    pub fn with_setting(mut self, setting: &'static str) -> Self {
        self.inner.setting = Some(setting);
        self
    }

    /// The same fault, with the place that it is of for people: `target "offsite"`. Its text begins
    /// with that.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.inner.place = Some(place.into());
        self
    }

    /// The same fault, marked as one of a single place in a listing, which goes on behind it.
    #[must_use]
    pub fn of_one_place(mut self) -> Self {
        self.inner.of_one_place = true;
        self
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The verb.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.inner.operation
    }

    /// The key or path it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.inner.subject
    }

    /// The reason alone.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.inner.detail
    }

    /// Whether it is of a single place in a listing, which has everything else:
    /// [`subject`](Self::subject) is that place, a folder with a `/` at its end.
    #[must_use]
    pub fn is_of_one_place(&self) -> bool {
        self.inner.of_one_place
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.inner.retryable
    }

    /// How many attempts it is worth in all, where that is known of the fault.
    #[must_use]
    pub fn max_attempts(&self) -> Option<u32> {
        self.inner.max_attempts
    }

    /// What an operator can do about it, where the sink or source knows.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        match &self.inner.remedy {
            Some(remedy) => Some(remedy),
            None => self.last_attempt().and_then(Self::remedy),
        }
    }

    /// The setting to look at, by its name in the backend's table of the configuration, where the
    /// sink or source knows: `s3_bucket`.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        (self.inner.setting).or_else(|| self.last_attempt().and_then(Self::setting))
    }

    /// The error of the last attempt, where this is one after several.
    fn last_attempt(&self) -> Option<&Self> {
        self.inner.source.as_deref()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            operation,
            subject,
            detail,
            place,
            ..
        } = &*self.inner;
        match place {
            Some(place) => write!(f, "{place}: {detail} (cannot {operation} `{subject}`)"),
            None => write!(f, "cannot {operation} `{subject}`: {detail}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.inner.kind)
            .field("operation", &self.inner.operation)
            .field("subject", &self.inner.subject)
            .field("detail", &self.inner.detail)
            .field("retryable", &self.inner.retryable)
            .field("of_one_place", &self.inner.of_one_place)
            .field("max_attempts", &self.inner.max_attempts)
            .field("remedy", &self.inner.remedy)
            .field("place", &self.inner.place)
            .field("setting", &self.inner.setting)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner
            .source
            .as_deref()
            .map(|e| e as &(dyn StdError + 'static))
    }
}
