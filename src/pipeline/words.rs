//! Choices that are one word each, the same on the command line and in every file.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$why:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$why])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            pub const WORDS: &[&str] = &[$($word),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("`{text}` is unknown, wanted {}", Self::WORDS.join(" or "))),
                }
            }
        }
    };
}

pub(crate) use words;
