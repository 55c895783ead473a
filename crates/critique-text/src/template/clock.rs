//! The date that a template asks for: a value of the codec, so that a run has one date however
//! long it takes, and has it again when it is repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

/// What `strftime_now` gives, in seconds since 1970-01-01 UTC. Copies are one clock.
#[derive(Clone)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    /// One that stands at the moment of this call.
    pub(super) fn now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self(Arc::new(AtomicU64::new(now.map_or(0, |it| it.as_secs()))))
    }

    pub(super) fn secs(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, secs: u64) {
        self.0.store(secs, Ordering::Relaxed);
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

/// A date and time, in UTC, by the codes of C's `strftime` that templates use.
pub(super) fn strftime(secs: u64, format: &str) -> Result<String, Error> {
    let (days, time) = (secs / 86_400, secs % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    let (month_name, day_name) = (MONTHS[month as usize - 1], DAYS[(days % 7) as usize]);
    let mut out = String::new();
    let mut codes = format.chars();
    while let Some(letter) = codes.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let mut code = codes.next();
        let padded = code != Some('-');
        if !padded {
            code = codes.next();
        }
        let two = |number: u64| {
            if padded {
                format!("{number:02}")
            } else {
                number.to_string()
            }
        };
        let text = match code {
            Some('Y') => year.to_string(),
            Some('y') => two(year % 100),
            Some('m') => two(month),
            Some('d') => two(day),
            Some('e') => format!("{day:2}"),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name[..3].to_owned(),
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('H') => two(hour),
            Some('I') => two((hour + 11) % 12 + 1),
            Some('p') => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            Some('M') => two(minute),
            Some('S') => two(second),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_owned(),
            other => {
                let code = other.map(String::from).unwrap_or_default();
                let message = format!("strftime_now does not know the code `%{code}`");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        };
        out += &text;
    }
    Ok(out)
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant, "chrono-compatible low-level
/// date algorithms", for days that are not before that).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_strftime() {
        // 2024-02-29 13:05:09 UTC, a Thursday.
        let date = |format| strftime(1_709_211_909, format).unwrap();
        assert_eq!(date("%d %b %Y"), "29 Feb 2024");
        assert_eq!(
            date("%A, %B %-d, %y at %I:%M %p"),
            "Thursday, February 29, 24 at 01:05 PM"
        );
        assert_eq!(date("%F %T 100%%"), "2024-02-29 13:05:09 100%");
        assert_eq!(strftime(0, "%a %e %b").unwrap(), "Thu  1 Jan");
        let error = strftime(0, "%Q").unwrap_err().to_string();
        assert!(error.contains("`%Q`"), "{error}");
        // The last day of a leap century and the first after it.
        assert_eq!(strftime(951_782_400, "%F").unwrap(), "2000-02-29");
        assert_eq!(strftime(4_107_542_400, "%F").unwrap(), "2100-03-01");
    }
}
