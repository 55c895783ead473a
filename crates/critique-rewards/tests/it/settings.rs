//! Settings as run files write them.

use critique_rewards::{
    Advantage, Aggregation, Baseline, DisValues, LossSettings, Mode, RewardMix, Scale, Whiten,
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
    assert_eq!(advantage("\"rloo\""), Advantage::Rloo);
    let grpo = Advantage::Grpo {
        std_eps: 1e-4,
        scale: Scale::Group,
    };
    assert_eq!(advantage("\"grpo\""), grpo);
    let batch = Advantage::Grpo {
        std_eps: 1e-4,
        scale: Scale::Batch,
    };
    assert_eq!(advantage("{ grpo = { scale = \"batch\" } }"), batch);
    let running = Advantage::Reinforce {
        baseline: Baseline::RunningMean { decay: 0.95 },
    };
    assert_eq!(
        advantage("{ reinforce = { baseline = \"running_mean\" } }"),
        running
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
    for advantage in [
        Advantage::Rloo,
        Advantage::DrGrpo,
        Advantage::ReinforcePlusPlusBaseline,
        Advantage::Grpo {
            std_eps: 0.5,
            scale: Scale::Batch,
        },
        Advantage::Reinforce {
            baseline: Baseline::None,
        },
    ] {
        let text = serde_json::to_string(&advantage).unwrap();
        assert_eq!(
            serde_json::from_str::<Advantage>(&text).unwrap(),
            advantage,
            "{text}"
        );
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
    assert!(
        refusal("advantage = \"ppo\"")
            .contains("unknown variant `ppo`, expected one of `rloo`, `grpo`")
    );
    assert!(refusal("whiten = \"mean\"").contains("expected `true`, `false` or `\"std\"`"));
    assert!(refusal("advantage = 3").contains("one of rloo, grpo"));
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
