//! The plan's choices of two words each, the same on the command line and in plan.json.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$why:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$why])* $variant),+ }

        impl $name {
            pub const WORDS: &[&str] = &[$($word),+];
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$variant => $word),+ })
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(format!("`{text}` is unknown, wanted {}", Self::WORDS.join(" or "))),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

words! {
    Mode {
        /// The frames made stand between the clips.
        Insert = "insert",
        /// They take the place of as many of the clips' own.
        Replace = "replace",
    }
}

words! {
    Align {
        /// Rounded so that no latent is half known.
        Latent = "latent",
        /// As asked, but for the 0 to 3 frames that the gap is shortened by.
        Exact = "exact",
    }
}

words! {
    /// When a latent is kept.
    MaskRule {
        /// When all its frames are known.
        Exact = "exact",
        /// When the one frame that nearest sampling along time picks is known, as the reference does.
        Reference = "reference",
    }
}

words! {
    /// What becomes of a latent.
    Mask { Keep = "keep", Generate = "generate" }
}
