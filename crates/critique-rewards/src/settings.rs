//! Choices in run files: `"grpo"`, or `{ grpo = { std_eps = 1e-6 } }` where settings differ
//! from their defaults.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// A choice between names, some of which have settings of their own.
pub(crate) trait Choice: Sized {
    /// Every name, for error messages.
    const NAMES: &'static [&'static str];

    /// The choice of this name with default settings.
    fn by_name(name: &str) -> Option<Self>;

    /// Reads `{ name = settings }`.
    fn from_table<'de, D: Deserializer<'de>>(table: D) -> Result<Self, D::Error>;
}

/// Reads a name or a table.
pub(crate) fn choice<'de, T: Choice, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(ChoiceVisitor(PhantomData))
}

struct ChoiceVisitor<T>(PhantomData<T>);

impl<'de, T: Choice> Visitor<'de> for ChoiceVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "one of {}, or a table of one of them",
            T::NAMES.join(", ")
        )
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        T::by_name(name).ok_or_else(|| E::unknown_variant(name, T::NAMES))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_table(MapAccessDeserializer::new(map))
    }
}

/// Reads and writes a [`Choice`] whose derives are for `remote = "Self"`.
macro_rules! serde_choice {
    ($choice:ty, $names:expr, $by_name:expr) => {
        impl $crate::settings::Choice for $choice {
            const NAMES: &'static [&'static str] = &$names;

            fn by_name(name: &str) -> Option<Self> {
                let by_name: fn(&str) -> Option<Self> = $by_name;
                by_name(name)
            }

            fn from_table<'de, D: serde::Deserializer<'de>>(table: D) -> Result<Self, D::Error> {
                <$choice>::deserialize(table)
            }
        }

        impl schemars::JsonSchema for $choice {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($choice).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "oneOf": [
                    { "enum": $names },
                    {
                        "type": "object",
                        "propertyNames": { "enum": $names },
                        "minProperties": 1,
                        "maxProperties": 1,
                    },
                ] })
            }
        }

        impl<'de> serde::Deserialize<'de> for $choice {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::settings::choice(deserializer)
            }
        }

        impl serde::Serialize for $choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$choice>::serialize(self, serializer)
            }
        }
    };
}

pub(crate) use serde_choice;
