//! Inputs made to break a checker: towers, nesting, long texts, odd bytes.

use std::time::Instant;

use critique_verify::{Kind, Options, check, equivalent, extract};

/// Generous for a debug build on a busy machine; release is far below.
const LIMIT_SECS: f64 = 5.0;

fn nested(open: &str, middle: &str, close: &str, times: usize) -> String {
    format!("{}{middle}{}", open.repeat(times), close.repeat(times))
}

#[test]
fn towers_and_giants_are_refused_in_time() {
    let pairs = [
        ("9^{9^{9^{9}}}".to_owned(), "9^{9^{9^{9}}}+1".to_owned()),
        (".\\overline{".repeat(40), "1".to_owned()),
        ("0.\\dot{".repeat(40), "1".to_owned()),
        ("10^{10^{10}}".to_owned(), "10^{10^{10}}+1".to_owned()),
        (
            "2^{2^{2^{2^{2^2}}}}".to_owned(),
            "2^{2^{2^{2^{2^3}}}}".to_owned(),
        ),
        ("(9^9)^{9^9}".to_owned(), "(9^9)^{9^9}-1".to_owned()),
        ("100000!".to_owned(), "100001!".to_owned()),
        ("((100!)!)!".to_owned(), "1".to_owned()),
        ("\\binom{10^9}{5\\cdot 10^8}".to_owned(), "1".to_owned()),
        ("\\sum_{k=1}^{1000000000} k".to_owned(), "1".to_owned()),
        (
            "\\sum_{i=1}^{100}\\sum_{j=1}^{100}\\sum_{k=1}^{100}\\sin(ijk)".to_owned(),
            "1".to_owned(),
        ),
        ("\\prod_{k=1}^{10^9} k".to_owned(), "1".to_owned()),
        ("9".repeat(1_000_000), format!("{}8", "9".repeat(999_999))),
        ("\\ln(\\ln(\\ln(10^{10^{10}})))".to_owned(), "1".to_owned()),
        (
            "\\frac{1}{9^{9^9}}".to_owned(),
            "\\frac{1}{9^{9^8}}".to_owned(),
        ),
        ("10^{-1000000}".to_owned(), "10^{-1000001}".to_owned()),
        ("1e999999999".to_owned(), "1e999999998".to_owned()),
        ("(((x+1)^{100}+1)^{100}+1)^{100}".to_owned(), "x".to_owned()),
        (
            "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{1000000}".to_owned(),
            "1".to_owned(),
        ),
        ("\\sqrt{2},".repeat(200), "\\sqrt{3},".repeat(200)),
        (
            "x^{x^{x^{x^{x^{x}}}}}".to_owned(),
            "x^{x^{x^{x^{x^{x}}}}}+x".to_owned(),
        ),
    ];
    for (gold, prediction) in pairs {
        refused(&gold, &prediction);
        refused(&prediction, &gold);
    }
}

fn refused(gold: &str, prediction: &str) {
    let start = Instant::now();
    let outcome = equivalent(gold, prediction, &Options::default());
    let seconds = start.elapsed().as_secs_f64();
    assert!(
        !outcome.equal,
        "{gold:.60} against {prediction:.60}: {}",
        outcome.rule
    );
    assert!(seconds < LIMIT_SECS, "{gold:.60}: {seconds} s");
}

#[test]
fn deep_nesting_overflows_no_stack() {
    let forms = [
        ("(", "2", ")"),
        ("{", "2", "}"),
        ("\\frac{1}{", "2", "}"),
        ("\\sqrt{", "2", "}"),
        ("\\left(", "2", "\\right)"),
        ("\\text{", "a", "}"),
        ("|", "2", "|"),
        ("[", "2", "]"),
        ("\\{", "2", "\\}"),
        ("-", "2", ""),
        ("2^", "2", ""),
        ("\\sin", "x", ""),
        ("\\log_{2}", "8", ""),
        ("", "3", "!"),
        ("", "x", "'"),
        ("\\pm", "1", ""),
        ("\\boxed{", "3", "}"),
    ];
    for (open, middle, close) in forms {
        for times in [60, 400, 100_000] {
            let text = nested(open, middle, close, times);
            refused(&text, "777");
            let _ = extract(&text, Kind::Math);
        }
    }
}

#[test]
fn nothing_equals_nothing() {
    for text in [
        "",
        "   ",
        "$ $",
        "\0",
        "0/0",
        "1/0",
        "\\frac{1}{0}",
        "0^{-1}",
        "\\ln 0",
    ] {
        let outcome = equivalent(text, text, &Options::default());
        assert!(!outcome.equal, "{text:?}: {}", outcome.rule);
    }
    for (gold, prediction) in [
        ("\\frac{", "\\frac{1"),
        ("\\begin{pmatrix}", "\\begin{array}"),
        ("}{", "{}{"),
        ("\\left(", "\\right)"),
    ] {
        assert!(
            !equivalent(gold, prediction, &Options::default()).equal,
            "{gold} against {prediction}"
        );
    }
}

#[test]
fn long_texts_are_read_in_time() {
    let texts = [
        "\\boxed{".repeat(100_000),
        "\\boxed{1}".repeat(50_000),
        "$".repeat(500_001),
        "\\(".repeat(200_000),
        "\\[".repeat(200_000),
        "$5 ".repeat(200_000),
        "the answer is ".repeat(60_000),
        "answer: \n".repeat(100_000),
        "#### ".repeat(100_000),
        "<answer>".repeat(50_000),
        "<think>".repeat(100_000),
        "(A) ".repeat(200_000),
        "1 ".repeat(500_000),
        "1,".repeat(500_000),
        "9^".repeat(500_000) + "9",
        "9 or ".repeat(200_000) + "9",
        "\\sqrt{9".repeat(140_000),
        "9{}".repeat(300_000) + "9",
        "9".to_owned() + &"\u{221a}".repeat(340_000),
        "((((9".repeat(200_000),
        "\\boxed{9} or ".repeat(80_000),
        "2e".repeat(500_000) + "-5",
        "-".repeat(1_000_000),
        "\\".repeat(1_000_000),
        "\u{e9}".repeat(600_000),
    ];
    for text in &texts {
        for kind in Kind::ALL {
            let start = Instant::now();
            let _ = check("5", text, kind, &Options::default());
            let seconds = start.elapsed().as_secs_f64();
            assert!(seconds < LIMIT_SECS, "{kind}: {text:.20}: {seconds} s");
        }
    }
}

#[test]
fn a_spent_budget_is_told() {
    let options = Options {
        max_steps: 40,
        ..Options::default()
    };
    let outcome = equivalent("\\sin(x)^2+\\cos(x)^2", "1", &options);
    assert!(!outcome.equal && outcome.undecided);
    assert_eq!(outcome.rule, critique_verify::Rule::Budget);
    assert!(outcome.steps <= 40);
}

#[test]
fn a_box_without_braces_before_a_wide_sign_is_no_panic() {
    let text = "\\[ \\boxed\u{f7}{4^77{}} \\]'";
    for kind in Kind::ALL {
        let _ = extract(text, kind);
    }
    assert!(!equivalent(text, "4", &Options::default()).equal);
}
