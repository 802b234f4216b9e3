//! What a deletion does with the last good backup of a target.

/// What a deletion does where it would leave a target without a good backup of all databases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LastGood {
    /// It is refused.
    #[default]
    Keep,
    /// It is done all the same.
    Delete,
}
