//! Sequences against each other: lists, sets, tuples and intervals.

use super::realset::RealSet;
use super::shapes::Comparer;
use super::{Verdict, relation, scalar};
use crate::algebra::Pool;
use crate::algebra::identity::infinite;
use crate::parse::value::{Bracket, Rel, Separator, Value};

/// Longest lists whose items are all compared with each other.
const MAX_PAIRED: usize = 40;

impl Comparer<'_> {
    #[expect(clippy::too_many_lines, reason = "one decision, case by case")]
    pub(super) fn sequences(&mut self, gold: &Value, prediction: &Value) -> Verdict {
        let (
            Value::Seq {
                items: a,
                open: open_a,
                close: close_a,
                ..
            },
            Value::Seq {
                items: b,
                open: open_b,
                close: close_b,
                ..
            },
        ) = (gold, prediction)
        else {
            return Verdict::Different("shape");
        };
        if let Some((gold, prediction)) = super::forms::without_domains(gold, prediction) {
            return self.values(&gold, &prediction);
        }
        if let Some(verdict) = relation::assignments(self, gold, prediction) {
            return verdict;
        }
        let conditions = |items: &[Value]| {
            items.iter().any(|item| matches!(item, Value::Relation { rest, .. } if rest.iter().any(|(rel, _)| rel.is_order() || *rel == Rel::NotEqual)))
        };
        if conditions(a) || conditions(b) {
            let direct = self.multiset(a, b);
            return direct.or_else(|| {
                match (
                    RealSet::of(self.pool, gold),
                    RealSet::of(self.pool, prediction),
                ) {
                    (Some(x), Some(y)) if relation::same_variable(self.pool, gold, prediction) => {
                        x.same(self, &y)
                    }
                    _ => Verdict::Different("conditions"),
                }
            });
        }
        let bracketed_a = *open_a != Bracket::None;
        let bracketed_b = *open_b != Bracket::None;
        let certain =
            |items: &[Value], open, close| is_certain_interval(self.pool, items, open, close);
        if !bracketed_a && certain(b, *open_b, *close_b) && bracketed_b
            || !bracketed_b && certain(a, *open_a, *close_a) && bracketed_a
        {
            return Verdict::Different("interval");
        }
        if bracketed_a
            && bracketed_b
            && (certain(a, *open_a, *close_a) || certain(b, *open_b, *close_b))
        {
            if a.len() != 2 || b.len() != 2 || open_a != open_b || close_a != close_b {
                return Verdict::Different("interval");
            }
            return self.ordered(a, b, "interval");
        }
        let unordered = |open: Bracket| matches!(open, Bracket::None | Bracket::Brace);
        if self.options.ordered_lists && !(*open_a == Bracket::Brace && *open_b == Bracket::Brace) {
            return self.ordered(a, b, "list");
        }
        match (unordered(*open_a), unordered(*open_b)) {
            // `p \land q` is not `p \lor q`; of numbers both words make a list.
            (true, true) if opposed(self.pool, gold, prediction) => {
                Verdict::Different("connective")
            }
            // A set of sets has no numbers for members.
            (true, true) if nested(a) != nested(b) => Verdict::Different("set"),
            (true, true) => {
                let both_sets = *open_a == Bracket::Brace && *open_b == Bracket::Brace;
                let direct = self.multiset(a, b);
                if both_sets && a.len() != b.len() {
                    direct.or_else(|| self.as_sets(a, b))
                } else {
                    direct
                }
            }
            (false, false) => {
                let round = |open| matches!(open, Bracket::Round | Bracket::Angle);
                let alike = open_a == open_b || round(*open_a) && round(*open_b);
                if a.len() == 2 && !alike && self.ascending(a) {
                    return Verdict::Different("brackets");
                }
                self.ordered(a, b, "tuple")
            }
            _ => {
                let square = *open_a == Bracket::Square || *open_b == Bracket::Square;
                let brace = *open_a == Bracket::Brace || *open_b == Bracket::Brace;
                if brace && square {
                    // Two ascending numbers in square brackets are an interval.
                    let listed = if *open_a == Bracket::Square { a } else { b };
                    if listed.len() == 2 && self.ascending(listed) {
                        return Verdict::Different("brackets");
                    }
                    self.multiset(a, b)
                } else if brace {
                    // `\{1, 2\}` is not the interval `(1, 2)`; three numbers are no interval.
                    let tuple = if *open_a == Bracket::Brace { b } else { a };
                    if tuple.len() == 2 && self.ascending(tuple) {
                        return Verdict::Different("brackets");
                    }
                    if *open_a == Bracket::Brace {
                        self.multiset(a, b)
                    } else {
                        self.ordered(a, b, "tuple")
                    }
                } else {
                    self.ordered(a, b, "tuple")
                }
            }
        }
    }

    /// Whether two endpoints could be an interval's.
    fn ascending(&self, items: &[Value]) -> bool {
        match (items[0].as_scalar(), items[1].as_scalar()) {
            (Some(low), Some(high)) => scalar::order(self.pool, low, high)
                .is_none_or(|order| order == std::cmp::Ordering::Less),
            _ => false,
        }
    }

    fn ordered(&mut self, a: &[Value], b: &[Value], rule: &'static str) -> Verdict {
        if a.len() != b.len() {
            return Verdict::Different(rule);
        }
        let mut doubt = false;
        for (x, y) in a.iter().zip(b) {
            match self.compare(x, y) {
                Verdict::Equal(_) => {}
                Verdict::Different(_) => return Verdict::Different(rule),
                Verdict::Undecided => doubt = true,
            }
        }
        if doubt {
            Verdict::Undecided
        } else {
            Verdict::Equal(rule)
        }
    }

    /// Each item of one side has its own equal on the other.
    pub(super) fn multiset(&mut self, a: &[Value], b: &[Value]) -> Verdict {
        if a.len() != b.len() {
            return Verdict::Different("list");
        }
        let mut left: Vec<&Value> = Vec::new();
        let mut right: Vec<&Value> = b.iter().collect();
        for item in a {
            match right.iter().position(|other| *other == item) {
                Some(at) => {
                    right.swap_remove(at);
                }
                None => left.push(item),
            }
        }
        if left.len() > MAX_PAIRED {
            return self.many(&left, &right);
        }
        let mut doubt = false;
        for item in left {
            let mut found = None;
            for (at, other) in right.iter().enumerate() {
                match self.compare(item, other) {
                    Verdict::Equal(_) => {
                        found = Some(at);
                        break;
                    }
                    Verdict::Undecided => doubt = true,
                    Verdict::Different(_) => {}
                }
            }
            match found {
                Some(at) => {
                    right.remove(at);
                }
                None if doubt => return Verdict::Undecided,
                None => return Verdict::Different("list"),
            }
        }
        Verdict::Equal("list")
    }

    /// Long lists: numbers are told apart by value, the rest is left open.
    fn many(&mut self, left: &[&Value], right: &[&Value]) -> Verdict {
        let numbers = |pool: &Pool, items: &[&Value]| {
            items.iter().all(|item| {
                item.as_scalar()
                    .is_some_and(|id| pool.as_number(id).is_some())
            })
        };
        if numbers(self.pool, left) && numbers(self.pool, right) {
            return Verdict::Different("list");
        }
        self.pool.budget.exhaust();
        Verdict::Undecided
    }

    /// Sets written out, where an element may stand twice.
    fn as_sets(&mut self, a: &[Value], b: &[Value]) -> Verdict {
        if a.len() > MAX_PAIRED || b.len() > MAX_PAIRED {
            return Verdict::Different("set");
        }
        for (these, those) in [(a, b), (b, a)] {
            for item in these {
                if !those
                    .iter()
                    .any(|other| self.compare(item, other).is_equal())
                {
                    return Verdict::Different("set");
                }
            }
        }
        Verdict::Equal("set")
    }
}

fn nested(items: &[Value]) -> bool {
    items.iter().any(|item| {
        let set = matches!(
            item,
            Value::Seq {
                open: Bracket::Brace,
                ..
            }
        );
        set || *item == Value::Empty
    })
}

/// "And" between names on one side, "or" on the other.
fn opposed(pool: &Pool, a: &Value, b: &Value) -> bool {
    let joined = |value: &Value| match value {
        Value::Seq {
            items, separator, ..
        } => items
            .iter()
            .all(|item| item.as_symbol(pool).is_some())
            .then_some(*separator),
        _ => None,
    };
    matches!(
        (joined(a), joined(b)),
        (Some(Separator::And), Some(Separator::Or)) | (Some(Separator::Or), Some(Separator::And))
    )
}

/// Mixed brackets, or an infinite end: no tuple.
fn is_certain_interval(pool: &Pool, items: &[Value], open: Bracket, close: Bracket) -> bool {
    items.len() == 2
        && (open != close
            || items
                .iter()
                .any(|item| item.as_scalar().is_some_and(|id| infinite(pool, id))))
}
