//! Which model of a run comes from where, and as of which stage: from the run file alone.
//!
//! A model that is a copy of another is as that one is when the copy is first needed, so what a
//! run file says depends on the order in which stages need models. Here that order is walked
//! through once. Running, resuming, replaying and the dry run all read what it gives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use critique_core::Servers;
use critique_model::Dtype;
use critique_run::rows::stage_and_best;
use critique_run::{Gate, ModelSource, NewModel, RunConfig, StageConfig};

/// The models of a run and of each of its stages.
///
/// ```
/// use critique_trainer::{ModelPlan, RunConfig, State};
///
/// let config: RunConfig = toml::from_str(
///     r#"
///     seed = 1
///     out = "runs/first"
///     task = { name = "arithmetic" }
///     models.actor.path = "models/small"
///     models.critic.from = "actor"
///     stages = [
///       { kind = "sft", name = "solve", model = "actor", steps = 9, data = [], lr = 1e-3 },
///       { kind = "sft", name = "judge", model = "critic", steps = 9, data = [], lr = 1e-3 },
///     ]
///     "#,
/// )?;
/// let plan = ModelPlan::of(&config);
/// // The critic begins as what the stage before it made of the actor.
/// let copied = plan.models["critic"].copy_of.as_ref().unwrap();
/// assert_eq!((&*copied.model, &copied.state), ("actor", &State::LeftBy("solve".into())));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ModelPlan {
    /// Models by name.
    pub models: BTreeMap<String, PlannedModel>,
    /// Stages in their order.
    pub stages: Vec<StageModels>,
}

/// A model of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedModel {
    /// What its weights come from in the first place: its own source, or that at the end of a
    /// chain of copies.
    pub root: Root,
    /// The model of this run that it is a copy of; none where it is the root itself.
    pub copy_of: Option<Version>,
    /// When it is first needed; none where no stage needs it.
    pub needed: Option<Moment>,
}

/// What gives a model its first weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Root {
    /// A folder, its weights kept in a type.
    Folder {
        /// The model's folder.
        path: PathBuf,
        /// An adapter on it.
        adapter: Option<PathBuf>,
        /// The type of the frozen weights in memory.
        dtype: Dtype,
    },
    /// Servers that sample for it. No stage trains it, and none of its weights are in this process.
    Servers {
        /// The folder with its tokenizer, chat template and shape.
        path: PathBuf,
        /// Where they are.
        servers: Servers,
    },
    /// Random weights.
    New(NewModel),
    /// Nothing: the run file is wrong in a way that its check refuses.
    Nothing,
}

/// A model as it is at some time of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The model's name.
    pub model: String,
    /// As of when.
    pub state: State,
}

/// As of when a model is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// As its source gives it: no stage has trained it yet.
    AsGiven,
    /// As the stage of this name left it.
    LeftBy(String),
    /// As it was at the best step of the stage of this name.
    BestOf(String),
}

impl State {
    /// The name of a stage, or `NAME-best`.
    fn named(name: &str) -> Self {
        match stage_and_best(name) {
            (stage, true) => Self::BestOf(stage.to_owned()),
            (stage, false) => Self::LeftBy(stage.to_owned()),
        }
    }
}

/// A time at which models are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// When the stage of this index begins.
    Before(usize),
    /// In the gates and the evaluation after it.
    After(usize),
}

/// The models of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageModels {
    /// The stage's name.
    pub stage: String,
    /// What training begins with; its model is the one that the stage trains.
    pub start: Version,
    /// The actor that answers and refines while the stage trains, where it needs one.
    pub actor: Option<Version>,
    /// The policy that KL is measured against, in RL, where there is one.
    pub reference: Option<Version>,
    /// Names of the actor and of the model that each gate measures. Both are the same where the
    /// run has no actor: the model is measured by itself.
    pub gates: Vec<(String, String)>,
    /// Models that are looked at once the stage has ended.
    pub after: Vec<String>,
}

impl StageModels {
    /// The model that the stage trains.
    pub fn trains(&self) -> &str {
        &self.start.model
    }

    /// The reference policy where it is another one than the stage begins with.
    pub fn other_reference(&self) -> Option<&Version> {
        self.reference.as_ref().filter(|&it| *it != self.start)
    }
}

impl ModelPlan {
    /// The plan of a run file. It is right for those that [`RunConfig::check`] passes.
    pub fn of(config: &RunConfig) -> Self {
        let mut walk = Walk {
            sources: &config.models,
            current: BTreeMap::new(),
            copies: BTreeMap::new(),
        };
        let stages = config.stages.iter().enumerate();
        let stages = stages.map(|(at, stage)| walk.stage(at, stage)).collect();
        // What no stage needs is as the run leaves it.
        let never = None;
        for name in config.models.keys() {
            walk.need(name, never);
        }
        let models = config.models.iter().map(|(name, source)| {
            let (needed, copy_of) = walk.copies.remove(name).unwrap_or_default();
            let root = Root::of(config, config.origin(source));
            let planned = PlannedModel {
                root,
                copy_of,
                needed,
            };
            (name.clone(), planned)
        });
        Self {
            models: models.collect(),
            stages,
        }
    }

    /// The models of the stage of this name.
    ///
    /// # Panics
    ///
    /// When the run has no such stage.
    pub fn stage(&self, name: &str) -> &StageModels {
        let found = self.stages.iter().find(|stage| stage.stage == name);
        found.unwrap_or_else(|| panic!("the run has no stage `{name}`"))
    }

    /// Models that have the weights of a folder, without an adapter, in memory together with this
    /// one, itself among them; none for a model of another kind.
    pub fn sharing(&self, name: &str) -> impl Iterator<Item = &str> {
        let of = self.models.get(name).filter(|model| model.is_plain());
        let same = move |model: &PlannedModel| {
            of.is_some_and(|of| model.is_plain() && model.root == of.root)
        };
        let all = self.models.iter();
        all.filter(move |(_, model)| same(model))
            .map(|(name, _)| name.as_str())
    }
}

impl PlannedModel {
    /// Whether it is what a folder holds, without an adapter.
    fn is_plain(&self) -> bool {
        self.copy_of.is_none() && matches!(self.root, Root::Folder { adapter: None, .. })
    }
}

impl Root {
    fn of(config: &RunConfig, source: &ModelSource) -> Self {
        if let (Some(path), Some(servers)) = (&source.path, source.servers())
            && !config.trains(source)
        {
            let path = path.clone();
            return Self::Servers { path, servers };
        }
        match (&source.path, &source.new) {
            (Some(path), _) => Self::Folder {
                path: path.clone(),
                adapter: source.adapter.clone(),
                dtype: source.dtype,
            },
            (None, Some(new)) => Self::New(new.clone()),
            (None, None) => Self::Nothing,
        }
    }
}

/// A run on its way through its stages.
struct Walk<'a> {
    sources: &'a BTreeMap<String, ModelSource>,
    /// Models as they are by now, of those that stages trained.
    current: BTreeMap<String, State>,
    /// When each model was first needed, and what it was copied from then.
    copies: BTreeMap<String, (Option<Moment>, Option<Version>)>,
}

impl Walk<'_> {
    fn stage(&mut self, at: usize, stage: &StageConfig) -> StageModels {
        let trains = stage.model();
        let before = Some(Moment::Before(at));
        // The trained model is needed as it was, before it begins as something else: models that
        // share its folder are loaded with it.
        self.need(trains, before);
        if let Some(start) = stage.start() {
            self.current.insert(trains.to_owned(), State::named(start));
        }
        let start = self.version(trains);
        // A critic in SFT is measured with the actor, any other model by itself.
        let measured = trains == "critic" && stage.gates_every() > 0;
        let acts = stage.makes_rollouts() || measured;
        let actor = acts.then(|| {
            self.need("actor", before);
            self.version("actor")
        });
        let reference = match stage.settings().reference() {
            None | Some("none") => None,
            Some("start") => Some(start.clone()),
            Some(named) => Some(Version {
                model: trains.to_owned(),
                state: State::named(named),
            }),
        };
        let left = State::LeftBy(stage.name().to_owned());
        self.current.insert(trains.to_owned(), left);
        let gates: Vec<_> = (stage.gates().iter())
            .map(|gate| self.of_gate(gate, trains))
            .collect();
        let after = self.after(at, stage, &gates);
        StageModels {
            stage: stage.name().to_owned(),
            start,
            actor,
            reference,
            gates,
            after,
        }
    }

    /// What the gates and the evaluation after a stage look at, each once.
    fn after(&mut self, at: usize, stage: &StageConfig, gates: &[(String, String)]) -> Vec<String> {
        let mut names = Vec::new();
        let mut look = |name: &str| {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        };
        for (actor, model) in gates {
            look(actor);
            look(model);
        }
        if stage.eval_as().is_some() {
            look("actor");
            look(stage.model());
        }
        for name in &names {
            self.need(name, Some(Moment::After(at)));
        }
        names
    }

    fn of_gate(&self, gate: &Gate, trained: &str) -> (String, String) {
        let model = gate.model.as_deref().unwrap_or(trained);
        let actor = if self.sources.contains_key("actor") {
            "actor"
        } else {
            model
        };
        (actor.to_owned(), model.to_owned())
    }

    /// A model that is needed for the first time is a copy of what its source is by now.
    fn need(&mut self, name: &str, moment: Option<Moment>) {
        let Some(source) = self.sources.get(name) else {
            return;
        };
        if self.copies.contains_key(name) {
            return;
        }
        self.copies.insert(name.to_owned(), (moment, None));
        if let Some(from) = &source.from {
            self.need(from, moment);
            let copied = self.version(from);
            self.copies.insert(name.to_owned(), (moment, Some(copied)));
        }
    }

    fn version(&self, name: &str) -> Version {
        Version {
            model: name.to_owned(),
            state: self.current.get(name).cloned().unwrap_or(State::AsGiven),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: &str = r#"
        seed = 1
        out = "unused"
        task = { name = "arithmetic" }
        [models]
        base.new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 64 }
        actor.from = "base"
        critic.from = "actor"
        late.from = "critic"
        spare.from = "late"
        [[stages]]
        kind = "sft"
        name = "solve"
        model = "actor"
        steps = 1
        data = []
        lr = 1.0
        [[stages]]
        kind = "sft"
        name = "judge"
        model = "critic"
        steps = 1
        data = []
        lr = 1.0
        gates_every = 1
        gates = [{ measure = "accuracy", model = "late", at_least = 0.5, problems = 5 }]
        [[stages]]
        kind = "rl"
        name = "one"
        steps = 2
        rewards = {}
        kl_coef = 0.1
        lr = 1.0
        validate_every = 1
        [[stages]]
        kind = "rl"
        name = "two"
        steps = 1
        rewards = {}
        start = "one-best"
        reference = "judge"
        kl_coef = 0.1
        lr = 1.0
        eval_as = "row"
    "#;

    fn plan() -> ModelPlan {
        ModelPlan::of(&toml::from_str(STAGES).unwrap())
    }

    fn version(model: &str, state: State) -> Version {
        Version {
            model: model.to_owned(),
            state,
        }
    }

    #[test]
    fn a_copy_is_as_of_when_it_is_first_needed() {
        let plan = plan();
        let of = |name: &str| {
            let model = &plan.models[name];
            assert!(matches!(model.root, Root::New(_)), "{name}");
            (model.needed, model.copy_of.clone())
        };
        assert_eq!(of("base"), (Some(Moment::Before(0)), None));
        let base = Some(version("base", State::AsGiven));
        assert_eq!(of("actor"), (Some(Moment::Before(0)), base));
        let actor = Some(version("actor", State::LeftBy("solve".into())));
        assert_eq!(of("critic"), (Some(Moment::Before(1)), actor));
        // Needed by a gate after the critic was trained.
        let critic = Some(version("critic", State::LeftBy("judge".into())));
        assert_eq!(of("late"), (Some(Moment::After(1)), critic));
        let late = Some(version("late", State::AsGiven));
        assert_eq!(of("spare"), (None, late));
    }

    #[test]
    fn a_stage_says_what_it_begins_as_and_looks_at() {
        let plan = plan();
        let actor = || Some(version("actor", State::LeftBy("solve".into())));
        let [solve, judge, one, two] = &plan.stages[..] else {
            panic!("{plan:?}")
        };
        assert_eq!(solve.start, version("actor", State::AsGiven));
        assert_eq!((&solve.actor, &solve.reference), (&None, &None));
        assert_eq!(judge.start, version("critic", State::AsGiven));
        assert_eq!(judge.actor, actor(), "it is measured with the actor");
        assert_eq!(judge.gates, [("actor".to_owned(), "late".to_owned())]);
        assert_eq!(judge.after, ["actor", "late"]);
        let judged = version("critic", State::LeftBy("judge".into()));
        assert_eq!((&one.start, &one.actor), (&judged, &actor()));
        assert_eq!(one.reference, Some(judged.clone()));
        assert_eq!(one.other_reference(), None);
        assert_eq!(two.start, version("critic", State::BestOf("one".into())));
        assert_eq!(two.other_reference(), Some(&judged));
        assert_eq!(two.after, ["actor", "critic"]);
    }

    #[test]
    fn models_from_one_folder_share_it_unless_one_has_an_adapter_or_another_type() {
        let text = STAGES.replace(
            "spare.from = \"late\"",
            r#"
            a.path = "m"
            b = { path = "m", lora = { r = 2, alpha = 4.0 } }
            c = { path = "m", adapter = "n" }
            d = { path = "m", dtype = "bf16" }
            e.from = "a"
            "#,
        );
        let plan = ModelPlan::of(&toml::from_str(&text).unwrap());
        let sharing = |name: &str| plan.sharing(name).collect::<Vec<_>>();
        assert_eq!(
            (sharing("a"), sharing("b")),
            (vec!["a", "b"], vec!["a", "b"])
        );
        assert_eq!((sharing("d"), sharing("c")), (vec!["d"], vec![]));
        assert!(sharing("e").is_empty() && sharing("actor").is_empty());
    }
}
