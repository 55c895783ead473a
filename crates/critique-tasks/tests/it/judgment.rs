//! Verdicts and ways to cheat for them: one row a critique.

use critique_tasks::{CritiqueForm, Judgment};

const C: Judgment = Judgment::Correct;
const W: Judgment = Judgment::Wrong;
const U: Judgment = Judgment::Unparsed;

/// The words of a verdict line.
const V: &str = "Correctness of the final answer";

/// Verdict and text; `{V}` stands for the words of a verdict line.
const ROWS: &[(Judgment, &str)] = &[
    // The form of docs/method.md, "Prompts", and what models make of it.
    (C, "{V}: Correct"),
    (W, "{V}: Wrong"),
    (C, "{V}: [Correct]"),
    (W, "{V}: [Wrong]."),
    (C, "{V}: Correct."),
    (W, "{V}:Wrong"),
    (C, "  {V} :  Correct  "),
    (W, "\t{V}: Wrong\t"),
    (W, "{V}: Wrong\r\nExplanation: no"),
    (C, "**{V}:** Correct"),
    (C, "**{V}**: Correct"),
    (W, "**{V}: Wrong**"),
    (W, "**{V}: [Wrong].**"),
    (C, "__{V}__: *Correct*"),
    (W, "### {V}: Wrong"),
    (C, "{V}: [**Correct**]"),
    (C, "correctness of the FINAL answer: correct"),
    (W, "{V}: WRONG"),
    (
        W,
        "Step sentence: 1 + 1 = 3\nCorrectness of the step: Wrong\nExplanation: it is 2\n\n{V}: Wrong\nExplanation: see above",
    ),
    (C, "{V}: Correct\nExplanation: all steps are right"),
    // No verdict.
    (U, ""),
    (U, "The answer is right."),
    (U, "Correctness of the step: Correct"),
    (U, "{V}:"),
    (U, "{V}: "),
    (U, "{V}\nCorrect"),
    (U, "{V}:\nCorrect"),
    (U, "{V} Correct"),
    (U, "{V} is Correct"),
    (U, "{V}; Correct"),
    (U, "{V}: []"),
    (U, "{V}: Right"),
    (U, "{V}: yes"),
    (U, "{V}: 1"),
    (U, "Correctness of final answer: Correct"),
    (U, "Correctness of the answer: Wrong"),
    (U, "Correctness  of  the final answer: Wrong"),
    (U, "The correctness of the final answer: Wrong"),
    // Two verdicts (defect D1), equal ones too.
    (U, "{V}: Correct\n{V}: Wrong"),
    (U, "{V}: Wrong\n{V}: Correct"),
    (U, "{V}: Correct\n{V}: Correct"),
    (U, "{V}: Correct\nor\n**{V}: Wrong**"),
    (U, "{V}: Correct {V}: Wrong"),
    (U, "{V}: Correct, {V}: Wrong"),
    (U, "{V}: Correct\r{V}: Wrong"),
    (U, "{V}: Correct\u{2028}{V}: Wrong"),
    (U, "{V}: Correct\n{V}: maybe"),
    (U, "{V}:\n{V}: Wrong"),
    (
        U,
        "{V}: Wrong\nExplanation: no\ncorrectness of the final answer: correct",
    ),
    // Both in one value, hedged, negated, or part of another word.
    (U, "{V}: [Correct/Wrong]"),
    (U, "{V}: Correct/Wrong"),
    (U, "{V}: Correct or Wrong"),
    (U, "{V}: Correct Wrong"),
    (U, "{V}: Correct? Wrong?"),
    (U, "{V}: not Correct"),
    (U, "{V}: Not wrong"),
    (U, "{V}: Incorrect"),
    (U, "{V}: Correctable"),
    (U, "{V}: Correctly"),
    (U, "{V}: CorrectWrong"),
    (U, "{V}: Correct, but the steps are Wrong"),
    (U, "{V}: Partially Correct"),
    (U, "{V}: probably Wrong"),
    (U, "{V}: Correct (5)"),
    (U, "{V}: [Correct"),
    (U, "{V}: Correct]"),
    (U, "{V}: [[Correct]]"),
    (U, "{V}: \"Correct\""),
    (U, "{V}: 'Wrong'"),
    (U, "{V}: Correct.."),
    (U, "{V}: Correct!"),
    (U, "{V}: ~~Correct~~ Wrong"),
    // Quotations do not count, whatever they say.
    (
        W,
        "{V}: Wrong\nExplanation: to say \"{V}: Correct\" would be a lie",
    ),
    (C, "Step sentence: {V}: Wrong\n{V}: Correct"),
    (U, "Step sentence: {V}: Wrong"),
    (U, "> {V}: Correct"),
    (U, "The format asks for `{V}: Correct`."),
    (U, "`{V}: Correct`"),
    (U, "Question: say \"{V}: Correct\""),
    (U, "// {V}: Correct"),
    (U, "- {V}: Correct"),
    (U, "1. {V}: Correct"),
    (U, "<b>{V}: Correct</b>"),
    // A solution that carries a verdict line of its own makes two when it is repeated.
    (
        U,
        "Step sentence: so it is 5.\n{V}: Correct\nCorrectness of the step: Wrong\n{V}: Wrong",
    ),
    // Letters that only look like these (Cyrillic С and о, full-width colon, and no-width,
    // soft and no-break blanks).
    (U, "{V}: \u{0421}orrect"),
    (U, "{V}: C\u{043E}rrect"),
    (U, "\u{0421}orrectness of the final answer: Wrong"),
    (U, "{V}\u{FF1A} Correct"),
    (U, "{V}: Correct\u{200B}"),
    (U, "{V}: Cor\u{00AD}rect"),
    (U, "{V}:\u{00A0}Correct"),
    (U, "\u{FEFF}{V}: Correct"),
    (U, "{V}: \u{2713}"),
    // The actor reads it as an opposite verdict.
    (
        U,
        "\u{0421}orrectness of the final answer: Correct\n{V}: Wrong",
    ),
];

#[test]
fn a_verdict_is_one_line_of_one_form() {
    assert!(ROWS.len() > 50);
    for (want, template) in ROWS {
        let text = template.replace("{V}", V);
        assert_eq!(CritiqueForm::Verdict.judgment(&text), *want, "{text:?}");
    }
}

#[test]
fn length_does_not_matter() {
    let bomb = format!(
        "{}\n{V}: Wrong\n{}",
        "Correct ".repeat(50_000),
        "Wrong ".repeat(50_000)
    );
    assert_eq!(CritiqueForm::Verdict.judgment(&bomb), W);
    let all_lines = format!("{V}: Correct\n").repeat(10_000);
    assert_eq!(CritiqueForm::Verdict.judgment(&all_lines), U);
}

#[test]
fn a_score_is_one_line_from_1_to_10() {
    for (text, want) in [
        ("Score: 7", Some(7.0)),
        ("Good.\n**Score:** 7.5\nShorten it.", Some(7.5)),
        ("score: [10]", Some(10.0)),
        ("Score: 3/10", Some(3.0)),
        ("Score: 3 / 10", None),
        ("Score: 0", None),
        ("Score: 11", None),
        ("Score: 10.5", None),
        ("Score: -3", None),
        ("Score: nan", None),
        ("Score: inf", None),
        ("Score: 1e1", None),
        ("Score: seven", None),
        ("Score: 7 or 8", None),
        ("Score: 7\nScore: 7", None),
        ("Clarity score: 7", None),
        ("Scores: 7", None),
        ("", None),
    ] {
        let want = want.map_or(U, Judgment::Score);
        assert_eq!(CritiqueForm::Score.judgment(text), want, "{text:?}");
    }
}

#[test]
fn the_actor_reads_from_the_first_step_on() {
    let critique = "Let me see.\nStep sentence: 1 + 1 = 2\nStep sentence: so 2";
    assert_eq!(
        CritiqueForm::for_actor(critique),
        &critique["Let me see.\n".len()..]
    );
    assert_eq!(CritiqueForm::for_actor("all is well"), "all is well");
}
