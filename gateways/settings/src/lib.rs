//! Settings as typed definitions: one place for the key, its type, range, default and manual. And
//! what makes a gateway known to the daemon: its [`Registration`] with its own settings.
//!
//! The [`settings!`](crate::settings!) macro turns a struct into a table of the configuration file:
//! every field is a key, its doc comment the manual. From the same definition come reading with all
//! errors at once ([`read_document`]), the annotated default file and the reference ([`document`]).
//!
//! Deliberately missing: a derive macro and a reader through `serde`, which ends at the first error
//! and knows neither ranges nor the nearest key.
#![deny(missing_docs)]

pub mod document;

mod complaint;
mod decode;
mod limits;
mod listener_limits;
mod nearest;
mod network;
mod octets;
mod read;
mod registration;
mod tables;
mod transport;
mod values;

use std::fmt::Debug;
use std::ops::RangeInclusive;

pub use complaint::{Complaint, Complaints};
pub use decode::{decode_all, decode_frames};
pub use limits::{Handshakes, Limits, Links, Overflow, OwnLimits, Shared, Strategy};
pub use listener_limits::{ListenerLimits, to_usize};
pub use nearest::nearest;
pub use network::{Address, Bind, FileMode, Net, Rate, RateLimit};
pub use octets::Octets;
pub use read::{Place, TableReader, quoted, read_document};
pub use registration::{
    DecodedFrame, DecodedFrames, Decoder, Files, GatewaySettings, Registration, find_conflict,
};
pub use tables::{Content, Listed, Named, Optional};
pub use transport::Transport;
pub use values::{ByName, FilePath, Lapse, List, Never, OneOrMore, Required, Size, Unset};

/// One table of the configuration file.
pub trait Settings: Debug + Send + Sync {
    /// What the table is about.
    fn about(&self) -> &'static str;

    /// Its keys, in the order of the manual.
    fn fields(&mut self) -> Vec<Field<'_>>;

    /// Keys that are planned: they are refused as not available yet.
    fn later(&self) -> &'static [&'static str] {
        &[]
    }
}

/// One key of a table.
pub struct Field<'s> {
    /// Its name.
    pub key: &'static str,
    /// Its manual.
    pub doc: &'static str,
    /// The smallest and the greatest number allowed, in the unit of the type.
    pub range: RangeInclusive<u64>,
    /// Where its value is.
    pub slot: Slot<'s>,
}

/// What a key holds.
pub enum Slot<'s> {
    /// A single value.
    Value(&'s mut dyn Value),
    /// A table with keys of its own.
    Table(&'s mut dyn Settings),
    /// A table that the file may leave out, which means something else than empty.
    Optional(&'s mut dyn OptionalTable),
    /// A table whose keys the operator chooses.
    Map(&'s mut dyn Map),
    /// Any number of tables.
    Tables(&'s mut dyn Tables),
}

/// Types that a field of a table may have.
pub trait HasSlot {
    /// This value as the content of a key.
    fn slot(&mut self) -> Slot<'_>;
}

impl<T: Value> HasSlot for T {
    fn slot(&mut self) -> Slot<'_> {
        Slot::Value(self)
    }
}

/// A value as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'f> {
    /// A string.
    Text(&'f str),
    /// An integer.
    Integer(i64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(&'f [Found<'f>]),
    /// Anything else: no setting takes it.
    Other,
}

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not of the type, or out of range.
    NotAllowed,
    /// It is known, but this version does not have it.
    NotAvailable,
    /// The reason in words.
    Because(String),
}

/// A single value of the configuration file.
pub trait Value: Debug + Send + Sync {
    /// Takes what the file says. The value is unchanged if it is refused.
    ///
    /// # Errors
    /// The file's value is not of this type or outside `range`.
    fn read(&mut self, found: Found<'_>, range: &RangeInclusive<u64>) -> Result<(), Refusal>;

    /// What may stand in the file, in words.
    fn allowed(&self, range: &RangeInclusive<u64>) -> String;

    /// The value as it stands in the file; `None` if it is unset.
    fn toml(&self) -> Option<String>;

    /// For a value that may be unset: what it could be set to, as it stands in the file.
    fn example(&self) -> String {
        String::new()
    }

    /// Whether the file has to set it and has not.
    fn is_missing(&self) -> bool {
        false
    }

    /// For a choice among words: these.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }
}

/// A table of the configuration file whose keys the operator chooses.
pub trait Map: Debug + Send + Sync {
    /// Takes what the file says behind a new key.
    ///
    /// # Errors
    /// The value is refused.
    fn read(&mut self, key: &str, found: Found<'_>) -> Result<(), Refusal>;

    /// What may stand behind a key, in words.
    fn allowed(&self) -> String;

    /// For choices among words: these.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// An entry for the manual.
    fn example(&self) -> &'static str;
}

/// A table that the file may leave out, which means something else than an empty one.
pub trait OptionalTable: Debug + Send + Sync {
    /// The table, which is there from now on.
    fn open(&mut self) -> &mut dyn Settings;

    /// The table with its defaults, for the manual.
    fn example(&self) -> Box<dyn Settings>;
}

/// Any number of tables: in a list, `[[key]]`, or with names that the operator chooses, `[key.NAME]`.
pub trait Tables: Debug + Send + Sync {
    /// Whether they are a list.
    fn is_list(&self) -> bool;

    /// Words of the key `type`, if that key decides which other keys a table has.
    fn kinds(&self) -> &'static [&'static str];

    /// Adds a table of that name (in a list: any) and kind (without kinds: any).
    fn add(&mut self, name: &str, kind: &str) -> &mut dyn Settings;

    /// A table of that kind with its defaults, for the manual.
    fn example(&self, kind: &str) -> Box<dyn Settings>;
}

/// Defines a table of the configuration file.
///
/// ```
/// gateway_settings::settings! {
///     /// A kettle.
///     pub struct Kettle {
///         /// Temperature at which it stops, in degrees.
///         stop_at: u16 = 96, 20..=100;
///         /// Whether it whistles.
///         whistles: bool = true;
///     }
///     later ["remote"]
/// }
/// ```
///
/// Each line is a key with its type, its default, and for numbers (durations in milliseconds, sizes
/// in bytes) the range. `later` lists keys that are planned: they are refused as not available yet.
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $key:ident: $type:ty = $default:expr $(, $min:literal..=$max:literal)?;
            )*
        }
        $(later [$($later:literal),* $(,)?])?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $($(#[doc = $doc])* pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $default,)* }
            }
        }

        impl $crate::Settings for $name {
            fn about(&self) -> &'static str {
                concat!($($about, "\n"),*)
            }

            fn fields(&mut self) -> Vec<$crate::Field<'_>> {
                vec![$($crate::Field {
                    key: stringify!($key),
                    doc: concat!($($doc, "\n"),*),
                    range: $crate::settings!(@range $($min, $max)?),
                    slot: $crate::HasSlot::slot(&mut self.$key),
                }),*]
            }

            $(fn later(&self) -> &'static [&'static str] {
                &[$($later),*]
            })?
        }

        impl $crate::HasSlot for $name {
            fn slot(&mut self) -> $crate::Slot<'_> {
                $crate::Slot::Table(self)
            }
        }

        impl $crate::Content for $name {
            fn of_kind(_: &str) -> Self {
                Self::default()
            }
        }
    };
    (@range) => { 0..=u64::MAX };
    (@range $min:literal, $max:literal) => { $min..=$max };
}

/// Defines a table of the configuration file whose key `type` decides which other keys it has: one
/// [`settings!`](crate::settings!) struct for each word.
#[macro_export]
macro_rules! kinds {
    (
        $(#[doc = $about:literal])*
        $vis:vis enum $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident($table:ty) = $word:literal,)+
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq)]
        $vis enum $name {
            $($(#[doc = $doc])* $variant($table),)+
        }

        impl $crate::Settings for $name {
            fn about(&self) -> &'static str {
                match self {
                    $(Self::$variant(table) => table.about(),)+
                }
            }

            fn fields(&mut self) -> Vec<$crate::Field<'_>> {
                match self {
                    $(Self::$variant(table) => table.fields(),)+
                }
            }

            fn later(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant(table) => table.later(),)+
                }
            }
        }

        impl $crate::Content for $name {
            const KINDS: &'static [&'static str] = &[$($word),+];

            fn of_kind(kind: &str) -> Self {
                match kind {
                    $($word => Self::$variant(Default::default()),)+
                    _ => unreachable!("`kind` is one of KINDS"),
                }
            }
        }
    };
}

/// Defines a choice among words as a type for a setting.
///
/// ```
/// gateway_settings::choice! {
///     /// How hot.
///     pub enum Heat {
///         /// Not at all.
///         Off = "off",
///         /// Very.
///         High = "high",
///     }
///     later ["higher"]
/// }
/// ```
///
/// The first word is the type's default. `later` lists words that are planned: they are refused as
/// not available yet.
#[macro_export]
macro_rules! choice {
    (
        $(#[doc = $about:literal])*
        $vis:vis enum $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $word:literal,)+
        }
        $(later [$($later:literal),* $(,)?])?
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[doc = $doc])* $variant,)+
        }

        impl Default for $name {
            fn default() -> Self {
                [$(Self::$variant),+][0]
            }
        }

        impl $name {
            /// The word in the configuration file.
            $vis fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::Value for $name {
            fn read(
                &mut self,
                found: $crate::Found<'_>,
                _: &std::ops::RangeInclusive<u64>,
            ) -> Result<(), $crate::Refusal> {
                let later: &[&str] = &[$($($later),*)?];
                *self = match found {
                    $($crate::Found::Text($word) => Self::$variant,)+
                    $crate::Found::Text(word) if later.contains(&word) => {
                        return Err($crate::Refusal::NotAvailable);
                    }
                    _ => return Err($crate::Refusal::NotAllowed),
                };
                Ok(())
            }

            fn allowed(&self, _: &std::ops::RangeInclusive<u64>) -> String {
                [$(concat!("\"", $word, "\"")),+].join(", ")
            }

            fn toml(&self) -> Option<String> {
                Some(format!("\"{}\"", self.word()))
            }

            fn words(&self) -> &'static [&'static str] {
                &[$($word),+]
            }

            fn example(&self) -> String {
                format!("\"{}\"", self.word())
            }
        }
    };
}
