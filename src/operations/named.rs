//! Enums whose values have names, for JSON, the history and messages.

/// Defines an enum each of whose values has one name.
macro_rules! named {
    (
        $(#[$doc:meta])*
        $vis:vis enum $name:ident {
            $( $(#[$value_doc:meta])* $value:ident = $text:literal, )+
        }
    ) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        $vis enum $name {
            $( $(#[$value_doc])* #[serde(rename = $text)] $value, )+
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$( Self::$value ),+];

            /// Returns the name, as in JSON.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $( Self::$value => $text, )+
                }
            }

            /// Returns the value with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == name)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use named;
