//! What a run file says of its stages of RL, and what is said of them.

use crate::support::{Ran, run_in};

const RUN: &str = r#"seed = 3
out = "out"
task = { name = "arithmetic", train = 20, validation = 10, test = 10 }

[models]
actor = { new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 128 } }
critic = { from = "actor" }

[rollout]
problems = 2
critique = { max_new_tokens = 48 }

[[stages]]
kind = "rl"
name = "stage1"
steps = 2
rewards = { discriminability = 1.0 }
advantage = "dr_grpo"
kl_coef = 0.01
lr = 1e-3
"#;

fn with(change: (&str, &str), args: &[&str]) -> Ran {
    assert!(RUN.contains(change.0), "{change:?} changes nothing");
    let folder = tempfile::tempdir().unwrap();
    let text = RUN.replacen(change.0, change.1, 1);
    std::fs::write(folder.path().join("run.toml"), text).unwrap();
    run_in(folder.path(), args)
}

#[test]
fn config_show_says_what_the_name_of_an_advantage_sets() {
    let show = ["config", "show", "run.toml"];
    let shown = with(("", ""), &show).ok();
    assert_eq!(
        shown.lines().next(),
        Some(
            "# stage `stage1`: advantage \"dr_grpo\" sets whiten = false, kl_in = \"loss\", \
             kl_estimator = \"k3\", aggregation = { constant_length = 48 }"
        )
    );
    for line in ["whiten = false", "kl_in = \"loss\"", "constant_length = 48"] {
        assert!(shown.lines().any(|l| l == line), "{line} in {shown}");
    }
    // What was shown is a run file with the same settings, all of which it gives itself.
    let again = with((RUN, &shown), &show).ok();
    assert!(!again.starts_with('#'), "{again}");
    assert!(shown.ends_with(&again), "{again}");
    let overruled = with(("kl_coef", "whiten = true\nkl_coef"), &show).ok();
    assert!(overruled.starts_with("# stage `stage1`: advantage \"dr_grpo\" sets kl_in = "));
}

#[test]
fn a_kl_that_pulls_nowhere_is_shown_with_what_would_do() {
    let args = ["train", "run.toml", "--dry-run"];
    let stderr = with(("kl_coef", "kl_estimator = \"k1\"\nkl_coef"), &args).fails(2);
    assert!(
        stderr.contains("`kl_estimator` is `k1` with the KL in the"),
        "{stderr}"
    );
    assert!(stderr.contains("kl_importance_weighted"), "{stderr}");
}

#[test]
fn a_dry_run_says_that_delta_within_groups_is_refinement() {
    let args = ["train", "run.toml", "--dry-run"];
    let stdout = with(("discriminability", "delta"), &args).ok();
    assert!(
        stdout.contains("note: stage `stage1`: `rewards.delta` teaches what `rewards.refinement`"),
        "{stdout}"
    );
    assert!(!with(("", ""), &args).ok().contains("note: stage"));
}
