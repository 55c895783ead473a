//! Where the models of a run come from, as their folders say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use critique_core::Problem;
use critique_core::files::sum::sha256;
use critique_run::rows::best_of;
use critique_run::{Lineage, Parent, RunDir, RunError, fingerprint, metrics_sum};

use crate::plan::{ModelPlan, Root, State, Version};

/// Where the models that a stage writes come from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origin {
    run: String,
    parents: BTreeMap<String, Parent>,
}

impl Origin {
    /// The origin of what a stage writes: the models it begins with, asks and is held to.
    pub(crate) fn of_stage(plan: &ModelPlan, stage: &str, dir: &RunDir) -> Result<Self, RunError> {
        let planned = plan.stage(stage);
        let roles = [
            ("start", Some(&planned.start)),
            ("actor", planned.actor.as_ref()),
            ("reference", planned.other_reference()),
        ];
        let mut parents = BTreeMap::new();
        for (role, version) in roles {
            let folder = version.and_then(|version| folder_of(plan, version));
            if let Some(folder) = folder {
                let sha256 = fingerprint(&below(dir, &folder))?;
                parents.insert(role.to_owned(), Parent { folder, sha256 });
            }
        }
        let run = dir
            .started()?
            .map_or_else(String::new, |started| started.run);
        Ok(Self { run, parents })
    }

    /// What the manifest of a folder says that is written now.
    pub(crate) fn lineage(&self, dir: &RunDir) -> Result<Lineage, RunError> {
        Ok(Lineage {
            run: self.run.clone(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            parents: self.parents.clone(),
            metrics: metrics_sum(&dir.metrics())?,
        })
    }
}

/// The folder of a model, below the run's where the run has made it; none where it is made of
/// nothing.
fn folder_of(plan: &ModelPlan, version: &Version) -> Option<String> {
    match &version.state {
        State::LeftBy(stage) => Some(format!("stages/{stage}")),
        State::BestOf(stage) => Some(format!("stages/{}", best_of(stage))),
        State::AsGiven => {
            let model = plan.models.get(&version.model)?;
            match (&model.copy_of, &model.root) {
                (Some(copied), _) => folder_of(plan, copied),
                (None, Root::Folder { path, adapter, .. }) => {
                    let folder = adapter.as_ref().unwrap_or(path);
                    Some(folder.display().to_string())
                }
                (None, _) => None,
            }
        }
    }
}

fn below(dir: &RunDir, folder: &str) -> PathBuf {
    if folder.starts_with("stages/") {
        dir.root().join(folder)
    } else {
        Path::new(folder).to_owned()
    }
}

/// The sum of problems, by which a run knows them again.
pub(crate) fn sum_of(problems: &[Problem]) -> String {
    let mut all = String::new();
    for problem in problems {
        for part in [&problem.id, &problem.question, &problem.answer] {
            // Writing to a string cannot fail.
            let _ = writeln!(all, "{}:{part}", part.len());
        }
    }
    sha256(&all)
}
