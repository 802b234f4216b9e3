//! One request, for messages.

/// What was tried, on what, and the permission that it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) subject: &'a str,
    pub(crate) permission: &'static str,
}
