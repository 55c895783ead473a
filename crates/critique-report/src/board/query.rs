//! What a request asks for: `key=value` pairs behind the `?` of an address.

use crate::board::filter::{Filters, Order};

/// The pairs of a query, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part of an address behind its `?`.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
        Self(pairs.collect())
    }

    /// The first value of this name that is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let value = values.find(|(_, value)| !value.is_empty())?;
        Some(&value.1)
    }

    /// The runs that are looked at.
    pub(super) fn runs(&self) -> Vec<String> {
        let runs = self.0.iter().filter(|(key, _)| key == "run");
        let mut names: Vec<String> = Vec::new();
        for (_, name) in runs {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let number = text.parse().map(Some);
        number.map_err(|_| format!("`{name}={text}` is no number"))
    }

    /// A place in a list, and how much of it.
    pub(super) fn part(&self, most: usize) -> Result<(usize, usize), String> {
        let from = self.number("from")?.unwrap_or(0);
        let count = self.number("count")?.unwrap_or(most);
        Ok((from, count.min(most)))
    }

    /// What rollouts are asked for, and in which order.
    pub(super) fn filters(&self) -> Result<Filters, String> {
        let text = |name: &str| self.get(name).map(str::to_owned);
        Ok(Filters {
            run: self.number("only")?,
            place: text("place"),
            problem: text("problem"),
            response: text("response"),
            judgment: text("judgment"),
            judged: text("judged"),
            transition: text("transition"),
            step: [self.number("stepFrom")?, self.number("stepTo")?],
            reward: [self.number("rewardFrom")?, self.number("rewardTo")?],
            text: text("text").map(|text| text.to_lowercase()),
            order: match self.get("sort") {
                None | Some("order") => Order::OfTheRun,
                Some("up") => Order::LowestReward,
                Some("down") => Order::HighestReward,
                Some("advantage") => Order::LargestAdvantage,
                Some(other) => {
                    return Err(format!(
                        "`sort={other}` is no order; expected order, up, down or advantage"
                    ));
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_numbers_checked() {
        let query = Query::parse("run=a%2Fb&run=c&run=c&text=x%20Y&stepFrom=3&sort=up");
        assert_eq!(query.runs(), ["a/b", "c"]);
        let filters = query.filters().unwrap();
        assert_eq!(filters.text.as_deref(), Some("x y"));
        assert_eq!(filters.step, [Some(3), None]);
        assert_eq!(filters.order, Order::LowestReward);
        let bad = Query::parse("rewardFrom=much").filters().unwrap_err();
        assert_eq!(bad, "`rewardFrom=much` is no number");
        assert!(Query::parse("sort=x").filters().is_err());
        assert_eq!(Query::parse("from=5&count=900").part(50), Ok((5, 50)));
    }
}
