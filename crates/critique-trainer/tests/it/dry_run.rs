//! What a dry run finds is what training finds.

use std::sync::Arc;

use critique_trainer::{DryRun, Silent, StageConfig};

use crate::toy::{config, go, task};

#[test]
fn a_dry_run_writes_nothing_and_tells_steps_models_and_memory() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    let mut run = config(&out);
    let found = DryRun::of(&run, "arithmetic", &*task(&run)).unwrap();
    assert!(!out.exists());
    let steps: Vec<_> = found.stages.iter().map(|s| (&*s.name, s.steps)).collect();
    assert_eq!(
        steps,
        [("actor", 60), ("critic", 60), ("one", 4), ("two", 3)]
    );
    assert!(
        found
            .stages
            .iter()
            .all(|s| s.memory_bytes > 0 && s.memory_after_bytes > 0)
    );
    let (actor, critic) = (&found.models["actor"], &found.models["critic"]);
    assert_eq!(
        (actor.trained, critic.trained),
        (actor.parameters, actor.parameters)
    );
    assert!(found.prompts.iter().all(|prompt| prompt.fit == 1.0));
    assert!(found.memory.total() > found.memory.weights);
    // Only what is trained counts as trained.
    run.stages.truncate(1);
    let found = DryRun::of(&run, "arithmetic", &*task(&run)).unwrap();
    assert_eq!(found.models["critic"].trained, 0);
}

#[test]
fn prompts_that_fit_no_model_are_refused_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = config(dir.path());
    run.stages.remove(1);
    run.stages.truncate(2);
    for stage in &mut run.stages {
        match stage {
            StageConfig::Sft(stage) => stage.steps = 1,
            StageConfig::Rl(stage) => stage.eval_as = None,
        }
    }
    let source = run.models.get_mut("actor").unwrap();
    source.new.as_mut().unwrap().context = 12;
    let task = task(&run);
    let dry = DryRun::of(&run, "arithmetic", &*task)
        .unwrap_err()
        .to_string();
    assert!(
        dry.contains("no critique prompt fits `models.critic`"),
        "{dry}"
    );
    let why = go(&run, &mut Silent, &Arc::default())
        .unwrap_err()
        .to_string();
    assert!(
        why.contains("no critique prompt fits `models.critic`"),
        "{why}"
    );
}
