//! How rollouts are made while training.

use std::path::PathBuf;

use critique_core::Sampling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How rollouts are made while training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutConfig {
    /// Problems in a step: an endless walk through the training split, in a new order every time
    /// round.
    #[schemars(range(min = 1))]
    pub problems: usize,
    /// Responses to each problem. A problem that a step has twice gets as many again.
    #[schemars(range(min = 1))]
    pub responses: usize,
    /// Critiques of each response, the group: at least 2 for advantages that compare siblings.
    #[schemars(range(min = 1))]
    pub group_size: usize,
    /// Refinements by each critique; their rewards are averaged.
    #[schemars(range(min = 1))]
    pub refinements: usize,
    /// Keeps one right and one wrong response of each problem and drops problems without both;
    /// wants several `responses`.
    pub balanced: bool,
    /// Reads the actor's responses from this file of JSON lines instead of sampling them:
    /// `responses` of each problem, drawn anew for every step where it has more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses_file: Option<PathBuf>,
    /// How the actor answers.
    #[serde(deserialize_with = "over_response")]
    pub response: Sampling,
    /// How the critic writes; log-probs are taken at this temperature.
    #[serde(deserialize_with = "over_critique")]
    pub critique: Sampling,
    /// How the actor refines.
    #[serde(deserialize_with = "over_refinement")]
    pub refinement: Sampling,
}

/// What a table says, over the defaults of its role.
fn over<'de, D: serde::Deserializer<'de>>(
    given: D,
    default: &Sampling,
) -> Result<Sampling, D::Error> {
    let wrong = <D::Error as serde::de::Error>::custom::<toml::ser::Error>;
    let mut table = toml::Table::try_from(default).map_err(wrong)?;
    table.extend(toml::Table::deserialize(given)?);
    table
        .try_into()
        .map_err(|e: toml::de::Error| serde::de::Error::custom(e.message()))
}

fn over_response<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Sampling, D::Error> {
    over(given, &RolloutConfig::default().response)
}

fn over_critique<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Sampling, D::Error> {
    over(given, &RolloutConfig::default().critique)
}

fn over_refinement<'de, D: serde::Deserializer<'de>>(given: D) -> Result<Sampling, D::Error> {
    over(given, &RolloutConfig::default().refinement)
}

impl Default for RolloutConfig {
    fn default() -> Self {
        let at = |temperature, max_new_tokens| Sampling {
            temperature,
            max_new_tokens,
            ..Sampling::default()
        };
        Self {
            problems: 64,
            responses: 1,
            group_size: 4,
            refinements: 1,
            balanced: false,
            responses_file: None,
            response: at(0.7, 1024),
            critique: at(0.7, 1536),
            refinement: at(0.0, 1024),
        }
    }
}
