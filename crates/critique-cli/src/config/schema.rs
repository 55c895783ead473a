//! The JSON Schema of run files (draft 2020-12), for editors and for checks elsewhere.
//!
//! Names, kinds and words stand in the tables below; a test holds their keys against those that
//! reading a run file accepts. Defaults are those of the types themselves.

use critique_core::Sampling;
use critique_model::AdamW;
use critique_rewards::RewardMix;
use critique_trainer::{EvalConfig, RlStage, RolloutConfig, SaveConfig, Schedule};
use serde::Serialize;
use serde_json::{Map, Value, json};

use Kind::{
    Any, Bool, BoolOr, Choice, Count, CountOr, Each, Entries, List, Number, Of, Text, Words,
};

/// A table of a run file.
pub(super) struct Table {
    /// Its name in the schema.
    pub(super) name: &'static str,
    about: &'static str,
    required: &'static [&'static str],
    pub(super) keys: &'static [(&'static str, Kind, &'static str)],
}

/// What a key holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Bool,
    /// `true`, `false` or one of the words.
    BoolOr(&'static [&'static str]),
    /// A whole number, at least this.
    Count(u64),
    /// A whole number above 0, or the table of this name.
    CountOr(&'static str),
    Number,
    Words(&'static [&'static str]),
    /// A word, or a table under one of the words.
    Choice(&'static [&'static str]),
    /// The table of this name.
    Of(&'static str),
    /// Tables of this name under names of one's own.
    Entries(&'static str),
    /// Tables of this name in a list.
    Each(&'static str),
    List(&'static str),
    /// Whatever another part of the program reads.
    Any,
}

pub(super) const TABLES: [Table; 16] = [
    Table {
        name: "run",
        about: "A run file: what is trained, on what, in which stages.",
        required: &["seed", "out", "task", "models", "stages"],
        keys: &[
            ("seed", Count(0), "Draws everything that is random."),
            (
                "device",
                Text,
                "Where models run: cpu, flex, wgpu, vulkan, metal, cuda; the last four with `:N`.",
            ),
            (
                "threads",
                Count(0),
                "Threads of the CPU engine; 0 takes as many as the machine has.",
            ),
            (
                "recompute",
                Bool,
                "Computes activations again in the backward pass instead of keeping them.",
            ),
            ("out", Text, "The run folder."),
            ("task", Any, "The task: `name` or `file`, and its options."),
            (
                "models",
                Entries("model"),
                "Models by name; RL and evaluation use `actor` and `critic`.",
            ),
            (
                "rollout",
                Of("rollout"),
                "How rollouts are made while training.",
            ),
            ("stages", Each("stage"), "Run in this order."),
            (
                "eval",
                Of("eval"),
                "Evaluation after stages that ask for it.",
            ),
            ("save", Of("save"), "Checkpoints and records."),
        ],
    },
    Table {
        name: "model",
        about: "Where a model comes from: one of `path`, `from` and `new`.",
        required: &[],
        keys: &[
            ("path", Text, "A folder in Hugging Face layout."),
            ("adapter", Text, "A PEFT adapter on the model at `path`."),
            (
                "from",
                Text,
                "Another model of this run, as it is when this one is first needed.",
            ),
            ("new", Of("new_model"), "A new model with random weights."),
            (
                "lora",
                Of("lora"),
                "Trains an adapter of this kind; without it all weights are trained.",
            ),
            (
                "dtype",
                Words(&["f32", "bf16"]),
                "The type of the weights at `path`, which are then not trained.",
            ),
        ],
    },
    Table {
        name: "new_model",
        about: "The shape of a new model. Its tokens are those of the task.",
        required: &["d_model", "layers", "heads", "d_ff", "context"],
        keys: &[
            ("d_model", Count(1), "Width of the residual stream."),
            ("layers", Count(1), "Blocks."),
            ("heads", Count(1), "Query heads, and key-value heads."),
            ("d_ff", Count(1), "Width of the feed-forward layer."),
            ("context", Count(1), "Longest sequence, in tokens."),
            (
                "gain",
                Number,
                "Deviation of a weight times the square root of its fan-in.",
            ),
        ],
    },
    Table {
        name: "lora",
        about: "A low-rank adapter, with PEFT's meaning of each key.",
        required: &["r", "alpha"],
        keys: &[
            ("r", Count(1), "Rank."),
            (
                "alpha",
                Number,
                "The adapter's output is scaled by `alpha / r`.",
            ),
            (
                "target_modules",
                List("string"),
                "Last part of the names of the adapted layers; all seven if absent.",
            ),
        ],
    },
    Table {
        name: "rollout",
        about: "How rollouts are made while training.",
        required: &[],
        keys: &[
            ("problems", Count(1), "Problems in a step."),
            ("responses", Count(1), "Responses to each problem."),
            (
                "group_size",
                Count(1),
                "Critiques of each response: the group.",
            ),
            (
                "refinements",
                Count(1),
                "Refinements by each critique; their rewards are averaged.",
            ),
            (
                "balanced",
                Bool,
                "Keeps one right and one wrong response of each problem.",
            ),
            (
                "responses_file",
                Text,
                "Reads the actor's responses, `responses` a problem, from this file of JSON lines.",
            ),
            (
                "response",
                Of("sampling"),
                "How the actor answers: `temperature` 0.7, `max_new_tokens` 1024.",
            ),
            (
                "critique",
                Of("sampling"),
                "How the critic writes: `temperature` 0.7, `max_new_tokens` 1536.",
            ),
            (
                "refinement",
                Of("sampling"),
                "How the actor refines: `temperature` 0, `max_new_tokens` 1024.",
            ),
        ],
    },
    Table {
        name: "sampling",
        about: "How the next token is chosen.",
        required: &[],
        keys: &[
            (
                "temperature",
                Number,
                "Divides the logits; 0 takes the most likely token.",
            ),
            (
                "top_p",
                Number,
                "Keeps the smallest set of tokens with this much probability; 1 keeps all.",
            ),
            (
                "top_k",
                Count(0),
                "Keeps this many most likely tokens; 0 keeps all.",
            ),
            (
                "min_p",
                Number,
                "Keeps tokens at least this fraction as likely as the most likely one.",
            ),
            ("max_new_tokens", Count(1), "Longest completion, in tokens."),
            ("stop", List("string"), "Texts that end a completion."),
            (
                "stop_token_ids",
                List("integer"),
                "Tokens that end a completion beside the model's own.",
            ),
            (
                "ignore_eos",
                Bool,
                "Goes on through end-of-text tokens; for benchmarks.",
            ),
        ],
    },
    Table {
        name: "sft",
        about: "Supervised fine-tuning.",
        required: &["kind", "name", "model", "steps", "data", "lr"],
        keys: &[
            ("kind", Words(&["sft"]), "Supervised fine-tuning."),
            ("name", Text, "Unique in the run."),
            ("model", Text, "The model that is trained."),
            (
                "start",
                Text,
                "What the model begins as: an earlier stage, or that with `-best`.",
            ),
            ("steps", Count(1), "Optimizer steps."),
            ("data", Each("sft_data"), "Examples of every step."),
            ("lr", Number, "Learning rate at its peak."),
            ("schedule", Of("schedule"), "How it rises and falls."),
            ("optimizer", Of("optimizer"), "AdamW and gradient clipping."),
            (
                "eval_as",
                Text,
                "Evaluates the critic afterwards, under this name.",
            ),
            ("gates", Each("gate"), "What must hold afterwards."),
            (
                "gates_every",
                Count(0),
                "Measures the gates every this many steps, and ends the stage once all are met.",
            ),
        ],
    },
    Table {
        name: "sft_data",
        about: "A source of supervised examples: one of `kind`, `critiques` and `messages`.",
        required: &["rows"],
        keys: &[
            (
                "kind",
                Text,
                "Demonstrations of this kind, made by the task.",
            ),
            (
                "critiques",
                Text,
                "JSON lines with `question`, `response` and `critique`.",
            ),
            (
                "messages",
                Text,
                "JSON lines with `messages`; the last turn is learnt.",
            ),
            ("rows", Count(0), "Examples in a step."),
            (
                "pool",
                Count(0),
                "Draws from the first this many demonstrations; 0 makes new ones for every step.",
            ),
            ("every", Count(1), "Takes part in every n-th step only."),
            (
                "weight",
                Number,
                "Weight of its tokens in the loss, against those of the other sources.",
            ),
        ],
    },
    Table {
        name: "rl",
        about: "Reinforcement learning of the critic.",
        required: &["kind", "name", "steps", "rewards", "kl_coef", "lr"],
        keys: &[
            ("kind", Words(&["rl"]), "Reinforcement learning."),
            ("name", Text, "Unique in the run."),
            ("model", Text, "The model that is trained."),
            (
                "start",
                Text,
                "What the model begins as: an earlier stage, or that with `-best`.",
            ),
            ("steps", Count(1), "Batches of rollouts."),
            ("rewards", Of("rewards"), "What is paid."),
            (
                "advantage",
                Choice(&[
                    "rloo",
                    "grpo",
                    "dr_grpo",
                    "reinforce_plus_plus",
                    "reinforce_plus_plus_baseline",
                    "reinforce",
                ]),
                "How rewards become advantages.",
            ),
            (
                "whiten",
                BoolOr(&["std"]),
                "Whitens advantages over all tokens of a batch; absent, as `advantage` has it.",
            ),
            (
                "flat_groups",
                Words(&["keep", "apart", "drop"]),
                "What becomes of groups whose rewards are all equal.",
            ),
            (
                "mask_truncated",
                Bool,
                "Leaves critiques that were cut off out of the update.",
            ),
            (
                "kl_coef",
                Number,
                "Weight of the KL to the reference policy, per nat.",
            ),
            (
                "kl_estimator",
                Words(&["k1", "k2", "k3"]),
                "Estimator of the KL; absent, as `advantage` has it.",
            ),
            (
                "kl_in",
                Words(&["reward", "loss"]),
                "Where the KL acts; absent, as `advantage` has it.",
            ),
            (
                "kl_importance_weighted",
                Bool,
                "Whether the KL in the loss counts by the ratio of new to old probability.",
            ),
            (
                "reference",
                Text,
                "What the KL is measured against: `start`, an earlier stage, that with `-best`, or `none`.",
            ),
            ("lr", Number, "Learning rate at its peak."),
            (
                "schedule",
                Of("schedule"),
                "How it rises and falls, over optimizer steps.",
            ),
            ("optimizer", Of("optimizer"), "AdamW and gradient clipping."),
            (
                "inner_epochs",
                Count(1),
                "Passes over each batch of rollouts.",
            ),
            (
                "minibatch",
                Count(0),
                "Critiques in an optimizer step; 0 takes the whole batch.",
            ),
            (
                "clip_low",
                Number,
                "The ratio earns nothing below 1 less this.",
            ),
            (
                "clip_high",
                Number,
                "The ratio earns nothing above 1 plus this.",
            ),
            (
                "dual_clip",
                Number,
                "Caps the loss of tokens with negative advantage at this times the advantage.",
            ),
            (
                "aggregation",
                Choice(&["per_sequence_mean", "token_mean", "constant_length"]),
                "How the losses of tokens are averaged; absent, as `advantage` has it.",
            ),
            (
                "validate_every",
                Count(0),
                "Evaluates on the validation split every this many steps; 0 never does.",
            ),
            (
                "eval_as",
                Text,
                "Evaluates the critic afterwards, under this name.",
            ),
            ("gates", Each("gate"), "What must hold afterwards."),
            (
                "gates_every",
                Count(0),
                "Measures the gates every this many steps, and ends the stage once all are met.",
            ),
        ],
    },
    Table {
        name: "rewards",
        about: "Which rewards a stage pays, and how much of each.",
        required: &[],
        keys: &[
            (
                "discriminability",
                Number,
                "Weight of r_dis: the critique's verdict is right.",
            ),
            (
                "refinement",
                Number,
                "Weight of r_refine: the refinement is right.",
            ),
            (
                "delta",
                Number,
                "Weight of the refinement's score less the response's.",
            ),
            (
                "correction",
                Number,
                "Weight of r_correction: a wrong response made right.",
            ),
            (
                "keep_correct",
                Number,
                "What r_correction pays for a right response kept right.",
            ),
            (
                "mode",
                Choice(&["additive", "gated"]),
                "What a wrong verdict does to the other rewards.",
            ),
            (
                "dis_values",
                Words(&["zero_one", "plus_minus_one"]),
                "The values of r_dis.",
            ),
            (
                "dis_delta",
                Number,
                "Width of r_dis for critiques that give a score, in units of the scorer.",
            ),
            (
                "dis_weight_correct",
                Number,
                "Multiplies r_dis where the response is right.",
            ),
            (
                "dis_weight_wrong",
                Number,
                "Multiplies r_dis where the response is wrong.",
            ),
            (
                "format_penalty",
                Number,
                "Taken off the reward of a critique without exactly one verdict.",
            ),
        ],
    },
    Table {
        name: "schedule",
        about: "The learning rate over a stage: a linear rise, then a shape.",
        required: &[],
        keys: &[
            ("warmup", Count(0), "Steps of the rise."),
            ("shape", Words(&["constant", "cosine"]), "What follows."),
            (
                "floor",
                Number,
                "The end of a fall, as a share of the peak.",
            ),
            (
                "steps",
                Count(0),
                "The step at which the fall ends; 0 for the stage's last.",
            ),
        ],
    },
    Table {
        name: "optimizer",
        about: "AdamW with decoupled weight decay.",
        required: &[],
        keys: &[
            ("beta1", Number, "Decay of the first moment."),
            ("beta2", Number, "Decay of the second moment."),
            ("eps", Number, "Added to the root of the second moment."),
            (
                "weight_decay",
                Number,
                "Decoupled weight decay, applied to matrices only.",
            ),
            (
                "max_grad_norm",
                Number,
                "Largest global norm of the gradients; 0 never clips.",
            ),
        ],
    },
    Table {
        name: "gate",
        about: "A figure on the validation split that must be reached, or the run stops.",
        required: &["measure", "at_least"],
        keys: &[
            (
                "measure",
                Words(&["accuracy", "discriminability", "perfect_refinement"]),
                "What is measured.",
            ),
            (
                "model",
                Text,
                "The model that is measured; the stage's own if absent.",
            ),
            (
                "at_least",
                Number,
                "The least that will do, between 0 and 1.",
            ),
            ("problems", Count(1), "Problems of the validation split."),
        ],
    },
    Table {
        name: "eval",
        about: "Evaluation of the critic with the actor.",
        required: &[],
        keys: &[
            (
                "split",
                Words(&["train", "validation", "test"]),
                "Which problems.",
            ),
            ("problems", Count(0), "The first this many; 0 takes all."),
            (
                "temperatures",
                List("number"),
                "Temperatures of all three roles; 0 is greedy.",
            ),
            (
                "max_new_tokens",
                CountOr("eval_lengths"),
                "Longest response, critique and refinement, in tokens; absent, as `rollout` has it.",
            ),
            (
                "controls",
                Bool,
                "Also evaluates critics that are no models: the floors and the ceiling.",
            ),
            (
                "validation_problems",
                Count(0),
                "Problems of the validation split; 0 takes all.",
            ),
        ],
    },
    Table {
        name: "eval_lengths",
        about: "Longest texts of evaluations by role, in tokens; those of `rollout` if absent.",
        required: &[],
        keys: &[
            ("response", Count(1), "Longest response."),
            ("critique", Count(1), "Longest critique."),
            ("refinement", Count(1), "Longest refinement."),
        ],
    },
    Table {
        name: "save",
        about: "What is kept on disk.",
        required: &[],
        keys: &[
            (
                "every",
                Count(0),
                "A checkpoint every this many steps of a stage; 0 saves at the ends of stages only.",
            ),
            ("keep", Count(1), "Checkpoints kept within a stage."),
            (
                "rollouts_every",
                Count(0),
                "Rollouts are recorded every this many RL steps; 0 records none.",
            ),
        ],
    },
];

/// The whole schema.
pub(super) fn schema() -> Value {
    let mut tables: Map<String, Value> = TABLES
        .iter()
        .map(|table| (table.name.to_owned(), object(table)))
        .collect();
    tables.insert("stage".into(), json!({ "oneOf": [of("sft"), of("rl")] }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "critique-rl run file",
        "$ref": "#/$defs/run",
        "$defs": tables,
    })
}

fn object(table: &Table) -> Value {
    let defaults = defaults(table.name);
    let one = |&(key, kind, about): &(&str, Kind, &str)| {
        let mut value = property(kind);
        value["description"] = json!(about);
        // Next to a reference a default would say too little: the table has its own.
        if let Some(default) = defaults.get(key).filter(|default| !default.is_object()) {
            value["default"] = default.clone();
        }
        (key.to_owned(), value)
    };
    let keys: Map<String, Value> = table.keys.iter().map(one).collect();
    json!({
        "type": "object",
        "description": table.about,
        "properties": keys,
        "required": table.required,
        "additionalProperties": false,
    })
}

fn property(kind: Kind) -> Value {
    match kind {
        Text => json!({ "type": "string" }),
        Bool => json!({ "type": "boolean" }),
        BoolOr(words) => json!({ "oneOf": [{ "type": "boolean" }, { "enum": words }] }),
        CountOr(table) => json!({ "oneOf": [{ "type": "integer", "minimum": 1 }, of(table)] }),
        Count(least) => json!({ "type": "integer", "minimum": least }),
        Number => json!({ "type": "number" }),
        Words(words) => json!({ "enum": words }),
        Choice(words) => json!({ "oneOf": [
            { "enum": words },
            { "type": "object", "propertyNames": { "enum": words }, "minProperties": 1, "maxProperties": 1 },
        ] }),
        Of(table) => of(table),
        Entries(table) => json!({ "type": "object", "additionalProperties": of(table) }),
        Each(table) => json!({ "type": "array", "items": of(table) }),
        List(of) => json!({ "type": "array", "items": { "type": of } }),
        Any => json!({ "type": "object" }),
    }
}

fn of(table: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{table}") })
}

/// What keys of a table are where they are not given, as the types have it.
fn defaults(table: &str) -> Map<String, Value> {
    let value = match table {
        "rollout" => plain(&RolloutConfig::default()),
        "sampling" => plain(&Sampling::default()),
        "schedule" => plain(&Schedule::default()),
        "optimizer" => plain(&AdamW::default()),
        "eval" => plain(&EvalConfig::default()),
        "save" => plain(&SaveConfig::default()),
        "rewards" => plain(&RewardMix::default()),
        "rl" => least_rl().map_or(Value::Null, |stage| plain(&stage)),
        "run" => json!({ "device": "cpu", "threads": 0, "recompute": false }),
        _ => Value::Null,
    };
    let mut keys = value.as_object().cloned().unwrap_or_default();
    if table == "rl" {
        for given in ["name", "steps", "rewards", "kl_coef", "lr"] {
            keys.remove(given);
        }
    }
    if table == "sampling" {
        // Each role has its own; they stand in its description.
        for of_role in ["temperature", "max_new_tokens"] {
            keys.remove(of_role);
        }
    }
    keys
}

/// Numbers as a person writes them: 0.9, not the nearest `f32` in 16 digits.
fn plain(value: &impl Serialize) -> Value {
    serde_json::to_string(value)
        .ok()
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}

fn least_rl() -> Option<RlStage> {
    toml::from_str("name = \"x\"\nsteps = 1\nrewards = {}\nkl_coef = 0.0\nlr = 0.0\n").ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use critique_model::LoraConfig;
    use critique_trainer::{
        EvalLengths, Gate, ModelSource, NewModel, RunConfig, SftData, SftStage,
    };
    use serde::de::DeserializeOwned;

    use super::*;

    /// The keys that a type reads: serde names them all when it meets another.
    fn keys<T: DeserializeOwned>() -> BTreeSet<String> {
        let Err(error) = toml::from_str::<T>("\"no such key\" = 1") else {
            panic!("an unknown key was accepted")
        };
        let message = error.message().to_owned();
        let known = message.split('`').skip(1).step_by(2).skip(1);
        known.map(str::to_owned).collect()
    }

    #[test]
    fn the_schema_has_the_keys_that_run_files_may_have() {
        let read = |name: &str| match name {
            "run" => keys::<RunConfig>(),
            "model" => keys::<ModelSource>(),
            "new_model" => keys::<NewModel>(),
            "lora" => keys::<LoraConfig>(),
            "rollout" => keys::<RolloutConfig>(),
            "sampling" => keys::<Sampling>(),
            "sft" => keys::<SftStage>(),
            "sft_data" => keys::<SftData>(),
            "rl" => keys::<RlStage>(),
            "rewards" => keys::<RewardMix>(),
            "schedule" => keys::<Schedule>(),
            "optimizer" => keys::<AdamW>(),
            "gate" => keys::<Gate>(),
            "eval" => keys::<EvalConfig>(),
            "eval_lengths" => keys::<EvalLengths>(),
            "save" => keys::<SaveConfig>(),
            other => panic!("{other} has no type"),
        };
        for table in &TABLES {
            let mut written: BTreeSet<String> = table
                .keys
                .iter()
                .map(|(key, ..)| (*key).to_owned())
                .collect();
            if ["sft", "rl"].contains(&table.name) {
                assert!(written.remove("kind"), "the tag of a stage");
            }
            assert_eq!(written, read(table.name), "{}", table.name);
        }
    }

    #[test]
    fn every_reference_leads_to_a_table() {
        let schema = schema();
        let text = schema.to_string();
        for part in text.split("#/$defs/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(schema["$defs"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_types() {
        let schema = schema();
        assert_eq!(
            schema["$defs"]["rl"]["properties"]["clip_high"]["default"],
            json!(0.2)
        );
        assert_eq!(
            schema["$defs"]["optimizer"]["properties"]["beta2"]["default"],
            json!(0.95)
        );
        assert!(
            schema["$defs"]["rl"]["properties"]["lr"]
                .get("default")
                .is_none()
        );
    }
}
