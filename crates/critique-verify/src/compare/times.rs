//! Times of day.

use crate::rule::Rule;
use crate::verdict::Verdict;

/// Times of day against each other, and against what they are not.
pub(super) fn compare(a: &str, b: &str) -> Option<Verdict> {
    if let (Some(x), Some(y)) = (time(a), time(b)) {
        // A ratio would have been reduced: `3:45` is a time.
        let marked = x.1 || y.1 || x.2 || y.2 || !reduced(a);
        let afternoon = |time: (u32, bool, bool)| !time.1 && time.0 >= 13 * 3_600;
        // `22:30` says which half of the day it is in.
        let differ = if x.1 == y.1 || afternoon(x) || afternoon(y) {
            x.0 == y.0
        } else {
            x.0 % 43_200 == y.0 % 43_200
        };
        if marked || x.0 == y.0 {
            return Some(if differ {
                Verdict::Equal(Rule::Time)
            } else {
                Verdict::Different(Rule::Time)
            });
        }
    }
    // `3:30 PM` is no ratio, and so no fraction.
    let of_day = |text: &str| text.contains(':') && time(text).is_some_and(|found| found.1);
    if of_day(a) && time(b).is_none() || of_day(b) && time(a).is_none() {
        return Some(Verdict::Different(Rule::Time));
    }
    // `2:05` is a time, and no ratio with two digits for five.
    let padded = |text: &str| {
        time(text).is_some_and(|found| found.2)
            && text
                .rsplit(':')
                .next()
                .is_some_and(|part| part.starts_with('0'))
    };
    if a.contains(':')
        && b.contains(':')
        && (padded(a) && time(b).is_none() || padded(b) && time(a).is_none())
    {
        return Some(Verdict::Different(Rule::Time));
    }
    // `25:00` is no time, and `5:00` no ratio.
    let clock = |text: &str| {
        let (hours, minutes) = text.split_once(':').unwrap_or_default();
        let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
        !hours.is_empty() && minutes.len() == 2 && digits(hours) && digits(minutes)
    };
    if clock(a) && clock(b) && a != b {
        for (text, found, other) in [(a, time(a), time(b)), (b, time(b), time(a))] {
            if found.is_some_and(|found| found.2 || !reduced(text)) && other.is_none() {
                return Some(Verdict::Different(Rule::Time));
            }
        }
    }
    None
}

/// Whether the parts of `a:b` have no common factor.
fn reduced(text: &str) -> bool {
    let parts: Vec<u32> = text
        .split(':')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    let [mut a, mut b] = parts[..] else {
        return false;
    };
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

/// Seconds since midnight, whether am or pm was said, and whether it can only
/// be a time.
fn time(text: &str) -> Option<(u32, bool, bool)> {
    let lower = text.to_ascii_lowercase();
    let plain: String = lower
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '.')
        .collect();
    let (body, half) = if let Some(body) = plain.strip_suffix("am") {
        (body, Some(0))
    } else if let Some(body) = plain.strip_suffix("pm") {
        (body, Some(12))
    } else {
        (plain.as_str(), None)
    };
    let parts: Vec<&str> = body.split(':').collect();
    let min_parts = if half.is_some() { 1 } else { 2 };
    if parts.len() < min_parts || parts.len() > 3 {
        return None;
    }
    let mut numbers = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let width = if at == 0 { 1..=2 } else { 2..=2 };
        if !width.contains(&part.len()) || !part.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        numbers.push(part.parse::<u32>().ok()?);
    }
    let (mut hour, minute, second) = (
        numbers[0],
        numbers.get(1).copied().unwrap_or(0),
        numbers.get(2).copied().unwrap_or(0),
    );
    if hour > 24 || minute > 59 || second > 59 {
        return None;
    }
    if let Some(shift) = half {
        if hour > 12 || hour == 0 {
            return None;
        }
        hour = hour % 12 + shift;
    }
    // A leading zero in hours or minutes says that this is no ratio.
    let clock = parts
        .iter()
        .any(|part| part.len() == 2 && part.starts_with('0'))
        || parts.len() == 3;
    Some((hour * 3600 + minute * 60 + second, half.is_some(), clock))
}
