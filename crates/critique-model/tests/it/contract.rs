//! Every engine of this crate holds the contract.

use critique_model::testing::{Tolerance, assert_engine_contract};
use critique_model::{CpuEngine, Engine};

use crate::burn_support::{bounds, engine, tf32};

#[test]
fn the_cpu_engine_holds_the_contract() {
    for threads in [1, 3] {
        assert_engine_contract(Tolerance::EXACT, |config, weights| {
            let engine = CpuEngine::new(config, weights, threads).unwrap();
            assert!(engine.is_exact());
            Box::new(engine)
        });
    }
}

#[test]
fn the_burn_engine_holds_the_contract() {
    if tf32() {
        // Finite differences drown in the rounding of TF32.
        return;
    }
    let tolerance = Tolerance {
        log_probs: bounds().log_probs,
        ..Tolerance::CLOSE
    };
    assert_engine_contract(tolerance, |config, weights| {
        Box::new(engine(config, weights, None, false))
    });
}
