//! The estimator that a run file names: `"grpo"`, or `{ grpo = { std_eps = 1e-6 } }`.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{Estimator, EstimatorPlugin};
use crate::reward::Options;

/// How a reward becomes an advantage: an [`Estimator`] by its name, with its settings.
///
/// ```
/// use critique_rewards::{Advantage, BaselineState};
///
/// let groups = [vec![1.0, 0.0, 0.0], vec![1.0, 1.0]];
/// let rloo = Advantage::named("rloo")?;
/// let got = rloo.of_groups(&groups, &mut BaselineState::default());
/// assert_eq!(got.values, [vec![1.0, -0.5, -0.5], vec![0.0, 0.0]]);
/// assert_eq!(got.stats.zero_variance, 1);
/// # Ok::<(), String>(())
/// ```
#[derive(Debug, Clone)]
pub struct Advantage(Arc<Chosen>);

#[derive(Debug)]
struct Chosen {
    name: &'static str,
    /// All of them, those that the run file leaves out, too.
    settings: Options,
    estimator: Box<dyn Estimator>,
}

impl Advantage {
    /// The estimator of this name, with its default settings.
    ///
    /// # Errors
    ///
    /// As [`Advantage::with`].
    pub fn named(name: &str) -> Result<Self, String> {
        Self::with(name, &Options::new())
    }

    /// The estimator of this name, with settings.
    ///
    /// # Errors
    ///
    /// When no linked crate registers the name, or two do, or the estimator refuses its settings.
    pub fn with(name: &str, options: &Options) -> Result<Self, String> {
        let all = plugins();
        let mut found = all.iter().filter(|plugin| plugin.name == name);
        let plugin = found.next().ok_or_else(|| {
            let mut known: Vec<_> = all.iter().map(|plugin| plugin.name).collect();
            known.dedup();
            let known = known.join("`, `");
            format!("unknown advantage `{name}`; registered are `{known}`")
        })?;
        if found.next().is_some() {
            return Err(format!(
                "two linked crates register the advantage `{name}`; expected names that differ"
            ));
        }
        let estimator = (plugin.build)(options).map_err(|why| format!("`{name}`: {why}"))?;
        let mut settings = options.clone();
        settings.extend(estimator.settings());
        let chosen = Chosen {
            name: plugin.name,
            settings,
            estimator,
        };
        Ok(Self(Arc::new(chosen)))
    }

    /// The word in run files.
    pub fn name(&self) -> &'static str {
        self.0.name
    }
}

/// All that are linked into this binary, by name.
fn plugins() -> Vec<&'static EstimatorPlugin> {
    let mut all: Vec<_> = inventory::iter::<EstimatorPlugin>.into_iter().collect();
    all.sort_by_key(|plugin| plugin.name);
    all
}

/// RLOO, the paper's choice.
impl Default for Advantage {
    fn default() -> Self {
        let chosen = Chosen {
            name: "rloo",
            settings: Options::new(),
            estimator: Box::new(super::Rloo),
        };
        Self(Arc::new(chosen))
    }
}

impl Deref for Advantage {
    type Target = dyn Estimator;

    fn deref(&self) -> &Self::Target {
        &*self.0.estimator
    }
}

impl PartialEq for Advantage {
    fn eq(&self, other: &Self) -> bool {
        (self.0.name, &self.0.settings) == (other.0.name, &other.0.settings)
    }
}

impl Serialize for Advantage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Chosen { name, settings, .. } = &*self.0;
        if settings.is_empty() {
            serializer.serialize_str(name)
        } else {
            serializer.collect_map([(name, settings)])
        }
    }
}

impl<'de> Deserialize<'de> for Advantage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AdvantageVisitor)
    }
}

struct AdvantageVisitor;

impl<'de> Visitor<'de> for AdvantageVisitor {
    type Value = Advantage;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = plugins().iter().map(|plugin| plugin.name).collect();
        write!(f, "one of {}, or a table of one of them", names.join(", "))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Advantage, E> {
        Advantage::named(name).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Advantage, A::Error> {
        let Some((name, options)) = map.next_entry::<String, Options>()? else {
            return Err(A::Error::invalid_length(0, &self));
        };
        if map.next_key::<String>()?.is_some() {
            return Err(A::Error::invalid_length(2, &self));
        }
        Advantage::with(&name, &options).map_err(A::Error::custom)
    }
}

impl JsonSchema for Advantage {
    fn schema_name() -> Cow<'static, str> {
        "Advantage".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = plugins().iter().map(|plugin| plugin.name).collect();
        json_schema!({ "oneOf": [
            { "enum": names },
            {
                "type": "object",
                "propertyNames": { "enum": names },
                "minProperties": 1,
                "maxProperties": 1,
            },
        ] })
    }
}
