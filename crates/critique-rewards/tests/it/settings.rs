//! Settings as run files write them.

use critique_rewards::{
    Advantage, Aggregation, BaselineState, DisValues, Estimator, EstimatorPlugin, LossSettings,
    Mode, Options, RewardMix, Whiten,
};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Run {
    #[serde(default)]
    rewards: RewardMix,
    advantage: Option<Advantage>,
    loss: Option<LossSettings>,
    whiten: Option<Whiten>,
}

fn run(text: &str) -> Run {
    toml::from_str(text).unwrap()
}

fn refusal(text: &str) -> String {
    toml::from_str::<Run>(text)
        .unwrap_err()
        .message()
        .to_owned()
}

#[test]
fn a_mix_names_only_what_it_pays() {
    let mix = run("rewards = { refinement = 1.0, discriminability = 0.2 }").rewards;
    assert_eq!(mix.mode, Mode::Additive);
    assert_eq!(
        (mix.refinement, mix.discriminability, mix.keep_correct),
        (1.0, 0.2, 0.2)
    );
    assert_eq!(run("").rewards, RewardMix::default());
    assert!(!RewardMix::default().needs_refinement());
}

#[test]
fn a_choice_is_a_name_or_a_table() {
    let mode = |text: &str| run(&format!("rewards = {{ mode = {text} }}")).rewards.mode;
    assert_eq!(mode("\"gated\""), Mode::Gated { wrong: -1.0 });
    assert_eq!(mode("{ gated = {} }"), Mode::Gated { wrong: -1.0 });
    assert_eq!(
        mode("{ gated = { wrong = -0.5 } }"),
        Mode::Gated { wrong: -0.5 }
    );
    let advantage = |text: &str| run(&format!("advantage = {text}")).advantage.unwrap();
    assert_eq!(advantage("\"rloo\""), Advantage::default());
    let shown = |text: &str| format!("{:?}", &*advantage(text));
    assert_eq!(shown("\"grpo\""), "Grpo { std_eps: 0.0001, scale: Group }");
    assert_eq!(
        shown("{ grpo = { scale = \"batch\" } }"),
        "Grpo { std_eps: 0.0001, scale: Batch }"
    );
    assert_eq!(
        shown("{ reinforce = { baseline = \"running_mean\" } }"),
        "Reinforce { baseline: RunningMean { decay: 0.95 } }"
    );
    assert_eq!(
        run("rewards = { dis_values = \"plus_minus_one\" }")
            .rewards
            .dis_values,
        DisValues::PlusMinusOne
    );
    let whiten = |text: &str| run(&format!("whiten = {text}")).whiten.unwrap();
    assert_eq!(
        [whiten("true"), whiten("false"), whiten("\"std\"")],
        [Whiten::Yes, Whiten::No, Whiten::Std]
    );
    let loss = run("loss = { aggregation = { constant_length = 512 } }")
        .loss
        .unwrap();
    assert_eq!(loss.aggregation, Aggregation::ConstantLength(512));
}

#[test]
fn every_choice_survives_being_written() {
    for (read, written) in [
        ("\"rloo\"", "\"rloo\""),
        ("{\"dr_grpo\":{}}", "\"dr_grpo\""),
        (
            "\"grpo\"",
            "{\"grpo\":{\"std_eps\":0.0001,\"scale\":\"group\"}}",
        ),
        (
            "{\"reinforce\":{\"baseline\":{\"running_mean\":{}}}}",
            "{\"reinforce\":{\"baseline\":{\"running_mean\":{\"decay\":0.95}}}}",
        ),
        ("{\"above\":{\"least\":0.5}}", "{\"above\":{\"least\":0.5}}"),
    ] {
        let advantage: Advantage = serde_json::from_str(read).unwrap();
        assert_eq!(serde_json::to_string(&advantage).unwrap(), written);
        let again: Advantage = serde_json::from_str(written).unwrap();
        assert_eq!(again, advantage, "{written}");
        let table = std::collections::BTreeMap::from([("advantage", &advantage)]);
        let text = toml::to_string(&table).unwrap();
        assert_eq!(run(&text).advantage, Some(advantage), "{text}");
    }
    for whiten in [Whiten::Yes, Whiten::No, Whiten::Std] {
        let text = serde_json::to_string(&whiten).unwrap();
        assert_eq!(serde_json::from_str::<Whiten>(&text).unwrap(), whiten);
    }
    let mix = RewardMix {
        mode: Mode::Gated { wrong: -2.0 },
        ..RewardMix::default()
    };
    let text = toml::to_string(&mix).unwrap();
    assert_eq!(toml::from_str::<RewardMix>(&text).unwrap(), mix, "{text}");
}

#[test]
fn what_is_unknown_is_refused_by_name() {
    assert!(
        refusal("rewards = { discriminabilty = 1.0 }").contains("unknown field `discriminabilty`")
    );
    assert!(refusal("rewards = { mode = { gated = { wrongg = 1.0 } } }").contains("wrongg"));
    assert_eq!(
        refusal("advantage = \"ppo\""),
        "unknown advantage `ppo`; registered are `above`, `dr_grpo`, `grpo`, `reinforce`, \
         `reinforce_plus_plus`, `reinforce_plus_plus_baseline`, `rloo`, `twice`"
    );
    assert!(refusal("advantage = { grpo = { eps = 1 } }").contains("`grpo`: unknown field `eps`"));
    assert!(refusal("advantage = { rloo = { eps = 1 } }").contains("`rloo`: unknown field `eps`"));
    assert!(refusal("advantage = {}").contains("expected one of above, dr_grpo"));
    assert!(refusal("advantage = { rloo = {}, grpo = {} }").contains("length 2"));
    assert!(refusal("whiten = \"mean\"").contains("expected `true`, `false` or `\"std\"`"));
    assert!(refusal("advantage = 3").contains("one of above, dr_grpo, grpo"));
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let check = |mix: RewardMix| mix.check(false).unwrap_err().to_string();
    let mix = RewardMix {
        refinement: f32::NAN,
        ..RewardMix::default()
    };
    assert_eq!(
        check(mix),
        "`refinement` is NaN; it must be a finite number"
    );
    let mix = RewardMix {
        dis_delta: Some(0.0),
        ..RewardMix::default()
    };
    assert_eq!(check(mix), "`dis_delta` is 0; it must be above 0");
    let scores = RewardMix {
        discriminability: 1.0,
        ..RewardMix::default()
    };
    assert!(scores.check(false).is_ok());
    assert!(
        scores
            .check(true)
            .unwrap_err()
            .to_string()
            .starts_with("`dis_delta` is missing")
    );
    let loss = LossSettings {
        dual_clip: Some(1.1),
        ..LossSettings::default()
    };
    assert_eq!(
        loss.check().unwrap_err().to_string(),
        "`dual_clip` is 1.1; it must be above 1 + clip_high"
    );
    assert!(LossSettings::default().check().is_ok());
}

/// 1 for rewards of at least this, 0 for others.
#[derive(Debug)]
struct Above(f32);

impl Estimator for Above {
    fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
        let of = |reward: &f32| f32::from(u8::from(*reward >= self.0));
        let group = |group: &Vec<f32>| group.iter().map(of).collect();
        groups.iter().map(group).collect()
    }
}

fn above(options: &Options) -> Result<Box<dyn Estimator>, String> {
    let least = options.get("least").and_then(serde_json::Value::as_f64);
    let least = least.ok_or("`least` is missing; expected a number")?;
    Ok(Box::new(Above(least as f32)))
}

critique_rewards::submit! { EstimatorPlugin { name: "above", build: above } }
critique_rewards::submit! { EstimatorPlugin { name: "twice", build: above } }
critique_rewards::submit! { EstimatorPlugin { name: "twice", build: above } }

#[test]
fn an_estimator_of_another_crate_is_named_like_those_here() {
    let advantage = run("advantage = { above = { least = 0.5 } }").advantage;
    let advantage = advantage.unwrap();
    let got = advantage.of_groups(&[vec![0.4, 0.6], vec![1.0]], &mut BaselineState::default());
    assert_eq!(got.values, [vec![0.0, 1.0], vec![1.0]]);
    assert_eq!((advantage.name(), got.stats.groups), ("above", 2));
    assert_eq!(
        refusal("advantage = \"above\""),
        "`above`: `least` is missing; expected a number"
    );
    assert!(refusal("advantage = \"twice\"").contains("two linked crates register"));
}

#[test]
#[should_panic(expected = "gave advantages to groups of [1] for rewards in groups of [2]")]
fn an_estimator_gives_as_many_advantages_as_rewards() {
    #[derive(Debug)]
    struct First;
    impl Estimator for First {
        fn estimate(&self, groups: &[Vec<f32>], _: &mut BaselineState) -> Vec<Vec<f32>> {
            groups.iter().map(|group| group[..1].to_vec()).collect()
        }
    }
    First.of_groups(&[vec![1.0, 0.0]], &mut BaselineState::default());
}
