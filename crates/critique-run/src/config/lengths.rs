//! How long the texts of evaluations may become.

use std::fmt;

use critique_core::Sampling;
use critique_eval::EvalSettings;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::{RolloutConfig, RunConfig};

/// Longest texts of each role, in tokens: `max_new_tokens` of `eval`. One number is that of all
/// roles; a role without one has the `max_new_tokens` that `rollout` gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EvalLengths {
    /// Of a response.
    pub response: Option<usize>,
    /// Of a critique.
    pub critique: Option<usize>,
    /// Of a refinement.
    pub refinement: Option<usize>,
}

/// Longest texts of each role, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Of a response.
    pub response: usize,
    /// Of a critique.
    pub critique: usize,
    /// Of a refinement.
    pub refinement: usize,
}

impl EvalLengths {
    /// The same for all roles.
    pub fn all(tokens: usize) -> Self {
        Self {
            response: Some(tokens),
            critique: Some(tokens),
            refinement: Some(tokens),
        }
    }

    /// With the lengths of training where a role has none of its own.
    pub(super) fn or(self, rollout: &RolloutConfig) -> Lengths {
        let or = |own: Option<usize>, sampling: &Sampling| own.unwrap_or(sampling.max_new_tokens);
        Lengths {
            response: or(self.response, &rollout.response),
            critique: or(self.critique, &rollout.critique),
            refinement: or(self.refinement, &rollout.refinement),
        }
    }

    /// The first role whose texts may have no token, as messages name its setting.
    pub(super) fn empty(self) -> Option<&'static str> {
        if self == Self::all(0) {
            return Some("eval.max_new_tokens");
        }
        let roles = [
            ("eval.max_new_tokens.response", self.response),
            ("eval.max_new_tokens.critique", self.critique),
            ("eval.max_new_tokens.refinement", self.refinement),
        ];
        let empty = roles.into_iter().find(|(_, tokens)| *tokens == Some(0))?;
        Some(empty.0)
    }
}

impl From<Lengths> for EvalLengths {
    fn from(lengths: Lengths) -> Self {
        Self {
            response: Some(lengths.response),
            critique: Some(lengths.critique),
            refinement: Some(lengths.refinement),
        }
    }
}

impl Lengths {
    /// One response, critique and refinement a problem, each at this temperature and as long as
    /// it may become.
    pub fn settings(self, row: &str, seed: u64, temperature: f32) -> EvalSettings {
        let mut settings = EvalSettings::sampled(row, seed, temperature, self.response);
        settings.critique.max_new_tokens = self.critique;
        settings.refinement.max_new_tokens = self.refinement;
        settings
    }
}

impl RunConfig {
    /// Longest texts of evaluations, validations and gates.
    pub fn eval_lengths(&self) -> Lengths {
        self.eval.max_new_tokens.or(&self.rollout)
    }
}

impl Serialize for EvalLengths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(tokens) = self.response
            && *self == Self::all(tokens)
        {
            return serializer.serialize_u64(tokens as u64);
        }
        let mut map = serializer.serialize_map(None)?;
        for (role, tokens) in [
            ("response", self.response),
            ("critique", self.critique),
            ("refinement", self.refinement),
        ] {
            if let Some(tokens) = tokens {
                map.serialize_entry(role, &tokens)?;
            }
        }
        map.end()
    }
}

impl JsonSchema for EvalLengths {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EvalLengths".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let tokens = schemars::json_schema!({ "type": "integer", "minimum": 1 });
        schemars::json_schema!({ "oneOf": [tokens, {
            "type": "object",
            "properties": { "response": tokens, "critique": tokens, "refinement": tokens },
            "additionalProperties": false,
        }] })
    }
}

impl<'de> Deserialize<'de> for EvalLengths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LengthsVisitor)
    }
}

struct LengthsVisitor;

impl<'de> Visitor<'de> for LengthsVisitor {
    type Value = EvalLengths;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or a table of `response`, `critique` and `refinement`")
    }

    fn visit_u64<E: Error>(self, tokens: u64) -> Result<EvalLengths, E> {
        let wrong = |_| E::invalid_value(serde::de::Unexpected::Unsigned(tokens), &self);
        Ok(EvalLengths::all(tokens.try_into().map_err(wrong)?))
    }

    fn visit_i64<E: Error>(self, tokens: i64) -> Result<EvalLengths, E> {
        match u64::try_from(tokens) {
            Ok(tokens) => self.visit_u64(tokens),
            Err(_) => Err(E::invalid_value(
                serde::de::Unexpected::Signed(tokens),
                &self,
            )),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EvalLengths, A::Error> {
        /// The table.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Roles {
            response: Option<usize>,
            critique: Option<usize>,
            refinement: Option<usize>,
        }
        let roles = Roles::deserialize(MapAccessDeserializer::new(map))?;
        Ok(EvalLengths {
            response: roles.response,
            critique: roles.critique,
            refinement: roles.refinement,
        })
    }
}
