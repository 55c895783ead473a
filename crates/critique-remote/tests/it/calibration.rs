//! Calibration against a server with a model of its own and one habit at a time.

use critique_remote::tinker::{Tinker, TinkerSettings};

use crate::bigram::{Bigram, Habit, VOCAB};
use crate::patience;

fn calibrate(
    habit: Habit,
    worker: bool,
    temperature: f32,
) -> Result<critique_remote::tinker::Calibration, String> {
    let (server, state) = Bigram::new(habit, worker).serve();
    let mut settings = TinkerSettings::new(&server.url());
    settings.patience = patience();
    let tinker = Tinker::connect(&settings).unwrap();
    let found = tinker.calibrate(4, VOCAB, temperature);
    assert!(
        state.lock().unwrap().models.is_empty(),
        "the scratch model is unloaded"
    );
    found.map_err(|error| error.chain())
}

#[test]
fn a_server_that_does_as_asked_passes_with_ones() {
    for temperature in [1.0, 0.7] {
        let found = calibrate(Habit::None, true, temperature).unwrap();
        assert!(found.grad_norm > 0.1);
        for exact in [found.sequences, found.tokens, found.linear] {
            assert!((exact - 1.0).abs() < 1e-4, "{found:?}");
        }
        for first_order in [found.scale, found.clipping] {
            assert!((first_order - 1.0).abs() < 0.2, "{found:?}");
        }
    }
}

#[test]
fn a_server_that_departs_is_refused_and_how_is_named() {
    for (habit, want) in [
        (Habit::MeanOverTokens, "a mean over tokens"),
        (Habit::MeanOverSequences, "a mean over sequences"),
        (Habit::WhitensAdvantages, "whiten or clip"),
        (Habit::IgnoresClipping, "does not clip gradients as asked"),
        (Habit::ClipsAtOne, "clip by a norm of its own"),
        (Habit::IgnoresEps, "ignore the settings of a step"),
        (Habit::ReportsTwiceTheNorm, "scale gradients"),
        (
            Habit::IgnoresTemperature,
            "log-probs at temperature 1 where 0.7 is asked",
        ),
        (Habit::TellsNoNorm, "does not report the norm"),
    ] {
        let error = calibrate(habit, true, 0.7).expect_err(&format!("{habit:?} passed"));
        assert!(error.contains(want), "{habit:?}: {error}");
    }
}

#[test]
fn a_server_without_temperature_is_not_even_asked() {
    let error = calibrate(Habit::None, false, 0.7).unwrap_err();
    assert!(
        error.contains("gives log-probs at temperature 1 alone; the run asks for 0.7"),
        "{error}"
    );
    calibrate(Habit::None, false, 1.0).unwrap();
}
