//! Properties over answers made at random.

use critique_verify::{Kind, Options, Rule, check, equivalent, extract};
use proptest::prelude::*;

/// Answers as a model might write them.
fn answer() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-999..1000_i32).prop_map(|n| n.to_string()),
        (1..100_i32, 2..100_i32).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
        (1..99_i32, 0..1000_i32).prop_map(|(a, b)| format!("{a}.{b}")),
        (2..50_i32).prop_map(|n| format!("\\sqrt{{{n}}}")),
        prop_oneof![
            Just("x"),
            Just("y"),
            Just("\\pi"),
            Just("e"),
            Just("i"),
            Just("n")
        ]
        .prop_map(str::to_owned),
    ];
    let formula = leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}+{b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
            (inner.clone(), 2..4_i32).prop_map(|(a, n)| format!("({a})^{{{n}}}")),
            inner.prop_map(|a| format!("\\sin({a})")),
        ]
    });
    prop_oneof![
        4 => formula.clone(),
        1 => (formula.clone(), formula.clone()).prop_map(|(a, b)| format!("({a}, {b})")),
        1 => (formula.clone(), formula.clone()).prop_map(|(a, b)| format!("\\{{{a}, {b}\\}}")),
        1 => (formula.clone(), formula).prop_map(|(a, b)| format!("{a} = {b}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn equality_is_symmetric(a in answer(), b in answer()) {
        let options = Options::default();
        let there = equivalent(&a, &b, &options);
        let back = equivalent(&b, &a, &options);
        prop_assert_eq!(there.equal, back.equal, "{} | {}", a, b);
    }

    #[test]
    fn an_answer_equals_itself_in_other_clothes(a in answer()) {
        let options = Options::default();
        // A pole may hide in it; then it equals nothing.
        let itself = equivalent(&a, &a, &options);
        prop_assume!(itself.rule != Rule::Undefined);
        for dressed in [format!("${a}$"), format!("\\boxed{{{a}}}"), a.replace("\\frac", "\\dfrac"), format!(" {a}. ")] {
            prop_assert!(equivalent(&a, &dressed, &options).equal, "{} | {}", a, dressed);
        }
        let text = format!("We add up. The answer is \\boxed{{{a}}}.");
        prop_assert!(check(&a, &text, Kind::Math, &options).outcome.equal, "{}", text);
    }

    #[test]
    fn one_more_is_another_number(n in -100_000..100_000_i64) {
        let options = Options::default();
        prop_assert!(!equivalent(&n.to_string(), &(n + 1).to_string(), &options).equal);
        let twice = format!("2\\cdot {n}");
        let doubled = (2 * n).to_string();
        prop_assert!(equivalent(&twice, &doubled, &options).equal);
    }

    #[test]
    fn no_text_panics(a in "\\PC{0,60}", b in "[0-9a-z\\\\{}()\\[\\]^_|+*/=<>,.$%&! -]{0,60}") {
        let options = Options::default();
        let _ = equivalent(&a, &b, &options);
        let _ = equivalent(&b, &b, &options);
        for kind in Kind::ALL {
            let _ = extract(&a, kind);
            let _ = extract(&b, kind);
        }
    }
}
