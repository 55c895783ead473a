//! Which layers an adapter is on, as PEFT finds them (`check_target_module_exists` of 0.21).

use std::collections::BTreeSet;

use critique_core::LoraConfig;
use fancy_regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::config::{Fields, ModelConfig};
use crate::files::shown;

/// Most bytes of an expression; those of PEFT's users have some hundreds.
const LONGEST: usize = 1 << 16;
/// Most steps back that matching one name may take.
const STEPS: usize = 10_000;

/// The fields that choose layers.
pub(super) struct Targets {
    chosen: Rule,
    excluded: Option<Rule>,
    /// Numbers of the blocks, where not all are meant.
    blocks: Option<BTreeSet<u64>>,
    /// How the list of blocks is called; by any name where there are none.
    lists: Vec<Expression>,
}

/// How modules are named.
enum Rule {
    /// By their whole names or the ends of these.
    Names(BTreeSet<String>),
    /// By an expression for whole names.
    Whole(Expression),
    /// Every linear layer but the output layer.
    AllLinear,
}

impl Targets {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, String> {
        let wanted = "a list of layer names, an expression for them or `all-linear` is wanted";
        let Some(targets) = Rule::read(fields, "target_modules")? else {
            return Err(format!("field `target_modules` is missing; {wanted}"));
        };
        if matches!(&targets, Rule::Names(names) if names.is_empty()) {
            return Err(format!("field `target_modules` is empty; {wanted}"));
        }
        let blocks = blocks(fields)?;
        if blocks.is_some() && !matches!(targets, Rule::Names(_)) {
            let message = "field `layers_to_transform` is set beside an expression in \
                           `target_modules`; a list of layer names is wanted there";
            return Err(message.to_owned());
        }
        Ok(Self {
            chosen: targets,
            excluded: Rule::read(fields, "exclude_modules")?,
            blocks,
            lists: lists(fields)?,
        })
    }

    /// Names of the linear layers of the model's blocks that are meant, in the model's order.
    pub(super) fn layers(&self, model: &ModelConfig) -> Result<Vec<String>, String> {
        for other in ["lm_head", "model.embed_tokens"] {
            if self.means(other)? {
                return Err(format!(
                    "field `target_modules` adapts `{other}`; supported are `{}`",
                    LoraConfig::all_linear().join("`, `")
                ));
            }
        }
        let mut layers = Vec::new();
        for linear in (0..model.layers).flat_map(|layer| model.linears(layer)) {
            if self.means(&linear.name)? {
                layers.push(linear.name);
            }
        }
        if !layers.is_empty() {
            return Ok(layers);
        }
        Err(format!(
            "fields `target_modules`, `exclude_modules` and `layers_to_transform` together name \
             no layer of the model; layers are called `model.layers.N.self_attn.q_proj` and the \
             like, with `{}` at their ends",
            LoraConfig::all_linear().join("`, `")
        ))
    }

    /// The layers in the fewest words: by the last parts of their names where these say it all.
    /// A list that does keeps its order.
    pub(super) fn short(layers: &[String], model: &ModelConfig) -> Vec<String> {
        let last = |name: &String| name.rsplit('.').next().map(str::to_owned);
        let lasts: BTreeSet<_> = layers.iter().filter_map(last).collect();
        if layers.len() != lasts.len() * model.layers {
            return layers.to_vec();
        }
        let in_order = LoraConfig::all_linear().into_iter();
        in_order.filter(|it| lasts.contains(it)).collect()
    }

    fn means(&self, module: &str) -> Result<bool, String> {
        if let Some(excluded) = &self.excluded
            && excluded.means(module)?
        {
            return Ok(false);
        }
        Ok(self.chosen.means(module)? && self.is_in_blocks(module)?)
    }

    fn is_in_blocks(&self, module: &str) -> Result<bool, String> {
        let (Some(blocks), Rule::Names(names)) = (&self.blocks, &self.chosen) else {
            return Ok(true);
        };
        // A layer that is named in full is meant whatever its block.
        if names.contains(module) {
            return Ok(true);
        }
        let Some((list, rest)) = module.split_once("layers.") else {
            return Ok(false);
        };
        let mut called = self.lists.is_empty();
        for name in &self.lists {
            called |= name.fits(&format!("{list}layers"))?;
        }
        let number = rest.split('.').next().and_then(|it| it.parse().ok());
        Ok(called && number.is_some_and(|it| blocks.contains(&it)))
    }
}

impl Rule {
    fn read(fields: &Fields<'_>, field: &'static str) -> Result<Option<Self>, String> {
        let text = |name: &Value| name.as_str().map(str::to_owned);
        match fields.present(field) {
            None => Ok(None),
            Some(Value::String(all)) if all.eq_ignore_ascii_case("all-linear") => {
                Ok(Some(Self::AllLinear))
            }
            Some(Value::String(expression)) => {
                Expression::new(field, expression).map(|it| Some(Self::Whole(it)))
            }
            Some(Value::Array(names)) => {
                let names = names.iter().map(text).collect::<Option<_>>();
                let names = names.ok_or_else(|| format!("field `{field}` holds no names"))?;
                Ok(Some(Self::Names(names)))
            }
            Some(other) => Err(format!(
                "field `{field}` is {}; a list of layer names or an expression for them is wanted",
                shown(&other.to_string())
            )),
        }
    }

    fn means(&self, module: &str) -> Result<bool, String> {
        match self {
            Self::Names(names) => {
                let ends = module.match_indices('.').map(|(dot, _)| &module[dot + 1..]);
                let mut ends = std::iter::once(module).chain(ends);
                Ok(ends.any(|end| names.contains(end)))
            }
            Self::Whole(expression) => expression.fits(module),
            Self::AllLinear => Ok(module.starts_with("model.layers.")),
        }
    }
}

/// Numbers of the blocks that are adapted; nothing where all are.
fn blocks(fields: &Fields<'_>) -> Result<Option<BTreeSet<u64>>, String> {
    let field = "layers_to_transform";
    let blocks = match fields.present(field) {
        None => return Ok(None),
        Some(Value::Array(blocks)) if blocks.is_empty() => return Ok(None),
        Some(Value::Array(blocks)) => blocks.iter().map(Value::as_u64).collect(),
        Some(block) => block.as_u64().map(|it| BTreeSet::from([it])),
    };
    blocks.map(Some).ok_or_else(|| {
        let found = shown(&fields.0[field].to_string());
        format!("field `{field}` is {found}; a number of a layer or a list of them is wanted")
    })
}

fn lists(fields: &Fields<'_>) -> Result<Vec<Expression>, String> {
    let field = "layers_pattern";
    let texts = match fields.present(field) {
        None => return Ok(Vec::new()),
        Some(Value::String(one)) if one.is_empty() => return Ok(Vec::new()),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(some)) => {
            let texts = some.iter().map(Value::as_str).collect::<Option<_>>();
            texts.ok_or_else(|| format!("field `{field}` holds no names"))?
        }
        Some(other) => {
            let other = shown(&other.to_string());
            return Err(format!("field `{field}` is {other}; a name is wanted"));
        }
    };
    let texts = texts.into_iter();
    texts.map(|it| Expression::of_end(field, it)).collect()
}

/// A regular expression as Python knows them.
pub(super) struct Expression {
    field: &'static str,
    text: String,
    compiled: Regex,
}

impl Expression {
    /// One for whole names.
    fn new(field: &'static str, text: &str) -> Result<Self, String> {
        Self::compile(field, text, &format!(r"\A(?:{text})\z"))
    }

    /// One for whole names, or for what stands behind a dot in them.
    pub(super) fn of_end(field: &'static str, text: &str) -> Result<Self, String> {
        Self::compile(field, text, &format!(r"\A(?:.*\.)?(?:{text})\z"))
    }

    fn compile(field: &'static str, text: &str, whole: &str) -> Result<Self, String> {
        let unread = |why: String| {
            let text = shown(text);
            format!("field `{field}` holds `{text}`, which cannot be read as an expression: {why}")
        };
        if text.len() > LONGEST {
            return Err(unread(format!("it has more than {LONGEST} bytes")));
        }
        let compiled = RegexBuilder::new(whole).backtrack_limit(STEPS).build();
        Ok(Self {
            field,
            text: text.to_owned(),
            compiled: compiled.map_err(|error| unread(shown(&error.to_string())))?,
        })
    }

    /// Whether a name fits.
    pub(super) fn fits(&self, name: &str) -> Result<bool, String> {
        self.compiled.is_match(name).map_err(|error| {
            let (field, text) = (self.field, shown(&self.text));
            format!("field `{field}` holds `{text}`, which takes too long to match: {error}")
        })
    }
}
