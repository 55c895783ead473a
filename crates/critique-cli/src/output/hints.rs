//! What to try next: commands that run as they stand when they are pasted into a shell.

use std::fmt::Write as _;
use std::path::Path;

use crate::output::examples::Shown;

/// A command, and what it is for.
pub(crate) struct Hint {
    command: String,
    what: String,
}

/// What follows a quickstart in this folder. `shown` are the problems that its output shows;
/// the trained critic of `stage` is tried on one of them.
pub(crate) fn after_quickstart(dir: &Path, stage: &str, quick: bool, shown: &[Shown]) -> Vec<Hint> {
    let program = program();
    let run = quoted(&dir.display().to_string());
    let config = quoted(&dir.join("config.resolved.toml").display().to_string());
    let hint = |command: String, what: &str| Hint {
        command,
        what: what.to_owned(),
    };
    let mut hints = Vec::new();
    if quick {
        let what = "the whole run, which learns and gives real figures";
        hints.push(hint(format!("{program} quickstart"), what));
    }
    let what = "all rows: also those of critics that are no models";
    hints.push(hint(format!("{program} eval {run}"), what));
    if let Some(index) = to_try(shown) {
        let it = &shown[index];
        // A model that has learnt nothing says what is longer, read back, than what fits.
        let (refine, makes) = if it.is_refined && !quick {
            (" --refine", ", and what\n      the actor makes of it")
        } else {
            ("", "")
        };
        let command = format!(
            "{} | {program} critique --run {run} --stage {stage}{refine} {}",
            printed(&it.response),
            quoted(&it.question)
        );
        let number = index + 1;
        let what = format!(
            "what the trained critic says of the response to problem {number}{makes}; any other\n      \
             question and response will do"
        );
        hints.push(hint(command, &what));
    }
    let what = "every setting of this run; copy it, change it, and give it to `train`";
    hints.push(hint(format!("{program} config show {config}"), what));
    hints.push(hint(format!("{program} tasks list"), "other tasks"));
    let what = "starts a task of your own, in a folder `task-my-task`";
    hints.push(hint(format!("{program} tasks new my-task"), what));
    hints
}

/// The list as it is printed.
pub(crate) fn text(hints: &[Hint]) -> String {
    let mut text = "What to try next:".to_owned();
    for Hint { command, what } in hints {
        let _ = write!(text, "\n  {command}\n      {what}");
    }
    text
}

/// The first problem with a response that is wrong and was refined, or the next best; a response
/// without words could not be piped.
fn to_try(shown: &[Shown]) -> Option<usize> {
    let said = |it: &Shown| !it.response.trim().is_empty();
    let worth = |it: &Shown| (it.is_refined, !it.is_right);
    let rank = |index: &usize| (worth(&shown[*index]), std::cmp::Reverse(*index));
    let all = 0..shown.len();
    all.filter(|&index| said(&shown[index])).max_by_key(rank)
}

/// This program as it was started, so that the same words start it again: a name that the shell
/// finds, or where cargo built it a path.
fn program() -> String {
    let started = std::env::args_os().next().unwrap_or_default();
    let started = Path::new(&started);
    // A path below this folder reads better without the folder.
    let below = std::env::current_dir()
        .ok()
        .and_then(|here| started.strip_prefix(here).ok())
        .filter(|rest| rest.components().count() > 1);
    let name = below.unwrap_or(started).display().to_string();
    if name.is_empty() {
        return "critique-rl".to_owned();
    }
    quoted(&name)
}

/// A word as the shells of Unix read it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command that prints a text of several lines, in one line.
fn printed(text: &str) -> String {
    let mut format = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => format.push_str("\\n"),
            '\\' => format.push_str("\\\\"),
            '%' => format.push_str("%%"),
            '\'' => format.push_str(r"'\''"),
            c => format.push(c),
        }
    }
    // What begins with a dash would be an option of `printf`.
    let ends = if format.starts_with('-') { "-- " } else { "" };
    format!("printf {ends}'{format}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_read_them_otherwise() {
        assert_eq!(quoted("runs/quickstart-1"), "runs/quickstart-1");
        assert_eq!(quoted("a run"), "'a run'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("~/x"), "'~/x'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_text_is_printed_in_one_line() {
        assert_eq!(printed("+3=97\n+4=01\n"), r"printf '+3=97\n+4=01\n'");
        assert_eq!(printed("50% of 'it' \\"), r"printf '50%% of '\''it'\'' \\'");
        assert_eq!(printed("-7=84"), "printf -- '-7=84'");
    }

    #[test]
    fn a_wrong_response_with_words_that_was_refined_is_tried() {
        let shown = |response: &str, is_right, is_refined| Shown {
            question: "1+1".into(),
            response: response.into(),
            is_right,
            is_refined,
        };
        let all = [
            shown(" \n", false, true),
            shown("-1=00\n", false, false),
            shown("+1=02\n", true, true),
            shown("+1=03\n", false, true),
            shown("+1=04\n", false, true),
        ];
        assert_eq!(to_try(&all), Some(3));
        assert_eq!(to_try(&all[..3]), Some(2));
        assert_eq!(to_try(&all[..2]), Some(1));
        assert_eq!(to_try(&all[..1]), None);
    }
}
