//! What a sentence takes back: `not 36 but 27`, `27, not 36`, `5? No, it is 6.`

/// Words before a value that deny it, in lower case.
const DENIALS: [&str; 40] = [
    "not",
    "n't",
    "n\u{2019}t",
    "never",
    "cannot",
    "neither",
    "nor",
    "rather than",
    "instead of",
    "eliminate",
    "eliminated",
    "eliminating",
    "rule out",
    "ruled out",
    "ruling out",
    "exclude",
    "excluded",
    "excluding",
    "anything but",
    "everything but",
    "except",
    "except for",
    "apart from",
    "aside from",
    "other than",
    "false that it is",
    "not the case that it is",
    "不等于",
    "答案大于",
    "答案小于",
    "除了",
    "并非",
    "不是",
    "不选",
    "不能选",
    "不应选",
    "别选",
    "不会是",
    "而非",
    "排除",
];

/// Words that may stand between a denial and the value that it denies.
const BETWEEN: [&str; 24] = [
    "be", "equal", "equals", "to", "the", "option", "options", "choice", "choices", "answer",
    "letter", "either", "both", "选项", "choose", "choosing", "pick", "select", "found", "get",
    "got", "reach", "reached", "selected",
];

/// Marks around a value that say nothing.
const MARKS: [char; 12] = [
    ' ', '$', '*', '(', '[', '"', '\'', '\u{201c}', '\u{2018}', '\u{ff08}', '`', '_',
];

/// How far back a denial is looked for, in bytes.
const REACH: usize = 60;

/// Whether the text before a value denies it.
pub(super) fn denies(before: &str) -> bool {
    let mut from = before.len().saturating_sub(REACH);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let tail = before[from..].to_ascii_lowercase();
    let mut tail = tail.as_str();
    for _ in 0..4 {
        tail = tail.trim_end_matches(|c| MARKS.contains(&c) || c == '\\');
        if DENIALS.iter().any(|word| ends_with_word(tail, word)) {
            return true;
        }
        match BETWEEN.iter().find(|word| ends_with_word(tail, word)) {
            Some(word) => tail = &tail[..tail.len() - word.len()],
            None => return false,
        }
    }
    false
}

/// What a value is said to be that is not the answer, behind "is" or "was".
const FAULTS: [&str; 14] = [
    "wrong",
    "incorrect",
    "not right",
    "not correct",
    "not the answer",
    "not the correct answer",
    "not it",
    "not possible",
    "invalid",
    "impossible",
    "too small",
    "too large",
    "too big",
    "too low",
];

/// Whether the text behind a value finds fault with it: "18 is not right", "36? No.", "12不对".
///
/// Other predicates say something about the value and nothing against it ("18 is not a prime").
pub(super) fn finds_fault(after: &str) -> bool {
    let from_marks = after.trim_start_matches([')', ']', '\'', '"', '*', '$', ' ', '\u{201d}']);
    let lower: String = from_marks
        .chars()
        .take(40)
        .collect::<String>()
        .to_ascii_lowercase();
    if ["不对", "不正确", "是错", "错误"]
        .iter()
        .any(|word| lower.starts_with(word))
    {
        return true;
    }
    if let Some(reply) = lower.strip_prefix('?') {
        let reply = reply.trim_start_matches([' ', '"', '*']);
        return ["no.", "no,", "no!", "no ", "nope", "wait"]
            .iter()
            .any(|no| reply.starts_with(no) || reply == "no");
    }
    ["is ", "was ", "would be "].iter().any(|verb| {
        lower
            .strip_prefix(verb)
            .is_some_and(|predicate| FAULTS.iter().any(|fault| ends_at_word(predicate, fault)))
    })
}

/// Whether a text starts with words, and no longer word.
fn ends_at_word(text: &str, words: &str) -> bool {
    text.strip_prefix(words)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
}

/// Words that make a bound of the value behind them.
const BOUNDS: [&str; 17] = [
    "at least ",
    "at most ",
    "less than ",
    "more than ",
    "greater than ",
    "fewer than ",
    "larger than ",
    "smaller than ",
    "bigger than ",
    "higher than ",
    "lower than ",
    "no more than ",
    "no less than ",
    "over ",
    "under ",
    "above ",
    "below ",
];

/// Whether a claim gives a bound and no value: "at least 36", "over 50", "大于27".
pub(super) fn is_bound(claim: &str) -> bool {
    let claim = claim.trim_start_matches(MARKS);
    ["大于", "小于", "至少", "至多", "不少于", "不超过", "超过"]
        .iter()
        .any(|word| claim.starts_with(word))
        || BOUNDS.iter().any(|words| {
            claim
                .get(..words.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(words))
        })
}

/// A text without the words that deny a value or find fault with it.
pub(super) fn affirmed(text: &str) -> String {
    const FAULTS: [&str; 6] = ["wrong", "incorrect", "false", "impossible", "invalid", "no"];
    let lower = text.to_ascii_lowercase();
    let mut out = text.as_bytes().to_vec();
    for word in DENIALS.iter().chain(&FAULTS) {
        for (at, _) in lower.match_indices(word) {
            let free = lower[at + word.len()..]
                .chars()
                .next()
                .is_none_or(|c| !c.is_ascii_alphanumeric() || !word.is_ascii());
            if free && ends_with_word(&lower[..at + word.len()], word) {
                out[at..at + word.len()].fill(b' ');
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether a text ends with a word; `n't` and Chinese words begin anywhere.
pub(super) fn ends_with_word(text: &str, word: &str) -> bool {
    text.strip_suffix(word).is_some_and(|head| {
        word.starts_with("n'")
            || word.starts_with("n\u{2019}")
            || !word.is_ascii()
            || !head.ends_with(|c: char| c.is_ascii_alphanumeric())
    })
}

/// Where the claim starts in what follows a phrase such as "the answer is": behind what was taken
/// back. `None` where all of it is denied.
pub(super) fn claim(line: &str) -> Option<usize> {
    let start = corrected(line);
    let rest = &line[start..];
    let Some(length) = denial_length(rest) else {
        return Some(start);
    };
    let turned = turn(&rest[length..])?;
    Some(start + length + turned)
}

/// `5? No, it is 6.`: what follows the last such correction counts.
fn corrected(line: &str) -> usize {
    let mut start = 0;
    for (at, _) in line.match_indices('?') {
        // What is asked about has to be the value itself.
        if line[start..at].contains(". ") {
            break;
        }
        let rest = &line[at + 1..];
        let word = rest.trim_start_matches([' ', '$', '*', '"', '\u{201d}']);
        let skipped = at + 1 + rest.len() - word.len();
        let lower: String = word
            .chars()
            .take(5)
            .collect::<String>()
            .to_ascii_lowercase();
        if let Some(no) = ["no", "wait", "nope"].iter().find(|no| {
            lower
                .strip_prefix(**no)
                .is_some_and(|after| !after.starts_with(|c: char| c.is_ascii_alphanumeric()))
        }) {
            let after = skipped + no.len();
            if line[after..].contains(|c: char| c.is_ascii_alphanumeric()) {
                start = after + filler_length(&line[after..]);
            }
        }
    }
    start
}

/// The length of a denial that a claim starts with, if a value follows it.
fn denial_length(rest: &str) -> Option<usize> {
    let lower = rest.to_ascii_lowercase();
    let trimmed = lower.trim_start_matches([' ', ':']);
    let lead = lower.len() - trimmed.len();
    let openers = [
        "n't be ",
        "n't ",
        "n\u{2019}t ",
        "not equal to ",
        "not ",
        "never ",
        "neither ",
        "cannot be ",
        "不是",
    ];
    let opener = openers.iter().find(|word| trimmed.starts_with(**word))?;
    let end = lead + opener.len();
    is_value(&rest[end..]).then_some(end)
}

/// Whether a text starts with a value: a number, a formula, an option letter, a truth value.
pub(super) fn is_value(text: &str) -> bool {
    let plain = text.trim_start_matches(MARKS);
    let digits = plain.trim_start_matches(['-', '.', '\u{2212}', '\\']);
    let word = plain
        .split(|c: char| !c.is_ascii_alphabetic())
        .next()
        .unwrap_or("");
    digits.starts_with(|c: char| c.is_ascii_digit())
        || plain.starts_with('\\')
        || word.len() == 1 && !matches!(word, "a" | "I")
        || text.trim_start().starts_with('$')
        || matches!(
            word.to_ascii_lowercase().as_str(),
            "yes" | "no" | "true" | "false" | "option"
        )
}

/// Where a sentence that denied something turns to what it affirms.
fn turn(rest: &str) -> Option<usize> {
    let lower = rest.to_ascii_lowercase();
    [
        " but ",
        "; ",
        ", it",
        ", rather",
        ", instead",
        ", so ",
        ", the ",
        ". it",
        "而是",
        "\u{ff0c}是",
        "\u{ff1b}",
    ]
    .iter()
    .filter_map(|mark| Some((lower.find(mark)?, mark)))
    .min()
    .map(|(at, _)| at + filler_length(&rest[at..]))
}

/// The length of words that lead to a value: "but it is", "it must be".
fn filler_length(text: &str) -> usize {
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start_matches(FILLER_MARKS);
        if let Some(behind) = behind_filler(trimmed) {
            rest = behind;
            continue;
        }
        // A minus belongs to the value.
        let signed = rest.trim_start_matches(' ');
        let value = if signed.starts_with('-') {
            signed
        } else {
            trimmed
        };
        return text.len() - value.len();
    }
}

/// Marks between such words.
const FILLER_MARKS: [char; 11] = [
    ' ', ',', ';', ':', '.', '!', '\u{ff0c}', '\u{ff1b}', '\u{3001}', '-', '\u{2014}',
];

/// A text without the word that leads to a value, if it starts with one.
fn behind_filler(text: &str) -> Option<&str> {
    const FILLER: [&str; 18] = [
        "but",
        "rather",
        "instead",
        "it",
        "it's",
        "its",
        "is",
        "are",
        "must",
        "should",
        "be",
        "so",
        "therefore",
        "actually",
        "in",
        "fact",
        "that",
        "would",
    ];
    let chinese = ["而是", "应该是", "应是", "是"]
        .iter()
        .find_map(|word| text.strip_prefix(word));
    chinese.or_else(|| {
        let length = text
            .find(|c: char| !c.is_ascii_alphabetic() && c != '\'')
            .unwrap_or(text.len());
        let word = text[..length].to_ascii_lowercase();
        FILLER.contains(&word.as_str()).then_some(&text[length..])
    })
}

/// Where a claim ends because something else is denied behind it: `27, not 36`.
pub(super) fn end_of_claim(line: &str) -> usize {
    let lower = line.to_ascii_lowercase();
    let mut end = line.len();
    for mark in [
        ", not ",
        " rather than ",
        " instead of ",
        "\u{ff0c}不是",
        "\u{ff0c}而不是",
        "而不是",
        "\u{ff0c}而非",
    ] {
        end = end.min(lower.find(mark).unwrap_or(line.len()));
    }
    // "27 and not 36": a bare "not" may also belong to words.
    for mark in [" and not ", " not "] {
        let denied = lower.match_indices(mark).find(|(at, _)| {
            line[..*at].ends_with(|c: char| c.is_ascii_digit() || matches!(c, '$' | '}' | ')'))
                && is_value(&line[at + mark.len()..])
        });
        end = end.min(denied.map_or(line.len(), |(at, _)| at));
    }
    end
}
