//! Sequences against each other: lists, sets, tuples and intervals.

use super::realset::RealSet;
use super::shapes::Comparer;
use super::{relation, scalar};
use crate::algebra::Pool;
use crate::algebra::identity::infinite;
use crate::parse::value::{Bracket, Rel, Separator, Value};
use crate::rule::Rule;
use crate::verdict::Verdict;

/// Longest lists whose items are all compared with each other.
const MAX_PAIRED: usize = 40;

/// A rule for two sequences; `None` leaves them to the next.
type ListRule = fn(&mut Comparer<'_>, &Value, &Value) -> Option<Verdict>;

/// The rules in the order of trial: what is named or conditioned before what is counted, and
/// brackets that can only be an interval's before those that may be anything.
const PRECEDENCE: [ListRule; 5] = [
    relation::assignments,
    conditions,
    certain_intervals,
    lists_in_order,
    by_brackets,
];

/// A sequence's items and brackets.
struct Members<'v> {
    items: &'v [Value],
    open: Bracket,
    close: Bracket,
}

impl<'v> Members<'v> {
    fn of(value: &'v Value) -> Option<Self> {
        match value {
            Value::Seq {
                items, open, close, ..
            } => Some(Self {
                items,
                open: *open,
                close: *close,
            }),
            _ => None,
        }
    }

    fn is_unordered(&self) -> bool {
        matches!(self.open, Bracket::None | Bracket::Brace)
    }

    fn is_set(&self) -> bool {
        self.open == Bracket::Brace
    }

    /// Mixed brackets, or an infinite end: no tuple.
    fn is_certain_interval(&self, pool: &Pool) -> bool {
        let endless = |item: &Value| item.as_scalar().is_some_and(|id| infinite(pool, id));
        self.open != Bracket::None
            && self.items.len() == 2
            && (self.open != self.close || self.items.iter().any(endless))
    }

    /// Whether the items could be an interval's ends.
    fn could_be_ends(&self, pool: &Pool) -> bool {
        let [low, high] = self.items else {
            return false;
        };
        match (low.as_scalar(), high.as_scalar()) {
            (Some(low), Some(high)) => {
                scalar::order(pool, low, high).is_none_or(|order| order == std::cmp::Ordering::Less)
            }
            _ => false,
        }
    }
}

impl Comparer<'_> {
    pub(super) fn sequences(&mut self, a: &Value, b: &Value) -> Verdict {
        PRECEDENCE
            .iter()
            .find_map(|rule| rule(self, a, b))
            .unwrap_or(Verdict::Different(Rule::Shape))
    }

    fn ordered(&mut self, a: &[Value], b: &[Value], rule: Rule) -> Verdict {
        if a.len() != b.len() {
            return Verdict::Different(rule);
        }
        Verdict::all(rule, a.iter().zip(b).map(|(x, y)| self.compare(x, y)))
    }

    /// Each item of one side has its own equal on the other.
    pub(super) fn multiset(&mut self, a: &[Value], b: &[Value]) -> Verdict {
        if a.len() != b.len() {
            return Verdict::Different(Rule::List);
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
            let found = right.iter().position(|other| {
                let verdict = self.compare(item, other);
                doubt |= verdict == Verdict::Undecided;
                verdict.is_equal()
            });
            match found {
                Some(at) => {
                    right.remove(at);
                }
                None if doubt => return Verdict::Undecided,
                None => return Verdict::Different(Rule::List),
            }
        }
        Verdict::Equal(Rule::List)
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
            return Verdict::Different(Rule::List);
        }
        self.pool.budget.exhaust();
        Verdict::Undecided
    }

    /// Sets written out, where an element may stand twice.
    fn as_sets(&mut self, a: &[Value], b: &[Value]) -> Verdict {
        if a.len() > MAX_PAIRED || b.len() > MAX_PAIRED {
            return Verdict::Different(Rule::RepeatedMembers);
        }
        for (these, those) in [(a, b), (b, a)] {
            for item in these {
                if !those
                    .iter()
                    .any(|other| self.compare(item, other).is_equal())
                {
                    return Verdict::Different(Rule::RepeatedMembers);
                }
            }
        }
        Verdict::Equal(Rule::RepeatedMembers)
    }
}

/// Lists with inequalities among their items: the same conditions, or the same solutions.
fn conditions(comparer: &mut Comparer<'_>, a: &Value, b: &Value) -> Option<Verdict> {
    let (x, y) = (Members::of(a)?, Members::of(b)?);
    let conditional = |members: &Members<'_>| {
        members.items.iter().any(|item| {
            matches!(item, Value::Relation { rest, .. }
                if rest.iter().any(|(rel, _)| rel.is_order() || *rel == Rel::NotEqual))
        })
    };
    if !conditional(&x) && !conditional(&y) {
        return None;
    }
    let direct = comparer.multiset(x.items, y.items);
    Some(direct.or_else(
        || match (RealSet::of(comparer.pool, a), RealSet::of(comparer.pool, b)) {
            (Some(x), Some(y)) if relation::same_variable(comparer.pool, a, b) => {
                x.same(comparer, &y)
            }
            _ => Verdict::Different(Rule::NoSet),
        },
    ))
}

/// Where one side can only be an interval, the other has to be one with the same brackets.
fn certain_intervals(comparer: &mut Comparer<'_>, a: &Value, b: &Value) -> Option<Verdict> {
    let (x, y) = (Members::of(a)?, Members::of(b)?);
    if !x.is_certain_interval(comparer.pool) && !y.is_certain_interval(comparer.pool) {
        return None;
    }
    if (x.open, x.close) != (y.open, y.close) {
        return Some(Verdict::Different(Rule::Interval));
    }
    Some(comparer.ordered(x.items, y.items, Rule::Interval))
}

/// Lists keep their order where the options say so; sets never do.
fn lists_in_order(comparer: &mut Comparer<'_>, a: &Value, b: &Value) -> Option<Verdict> {
    let (x, y) = (Members::of(a)?, Members::of(b)?);
    (comparer.options.ordered_lists && !(x.is_set() && y.is_set()))
        .then(|| comparer.ordered(x.items, y.items, Rule::List))
}

/// What is left: brackets say whether order counts.
fn by_brackets(comparer: &mut Comparer<'_>, a: &Value, b: &Value) -> Option<Verdict> {
    let (x, y) = (Members::of(a)?, Members::of(b)?);
    Some(match (x.is_unordered(), y.is_unordered()) {
        // `p \land q` is not `p \lor q`; of numbers both words make a list.
        (true, true) if opposed(comparer.pool, a, b) => Verdict::Different(Rule::Connective),
        // A set of sets has no numbers for members.
        (true, true) if nested(x.items) != nested(y.items) => Verdict::Different(Rule::SetOfSets),
        (true, true) => {
            let direct = comparer.multiset(x.items, y.items);
            if x.is_set() && y.is_set() && x.items.len() != y.items.len() {
                direct.or_else(|| comparer.as_sets(x.items, y.items))
            } else {
                direct
            }
        }
        (false, false) => {
            let round = |open| matches!(open, Bracket::Round | Bracket::Angle);
            let alike = x.open == y.open || round(x.open) && round(y.open);
            if !alike && x.could_be_ends(comparer.pool) {
                return Some(Verdict::Different(Rule::Brackets));
            }
            comparer.ordered(x.items, y.items, Rule::Tuple)
        }
        (true, false) => unordered_against_ordered(comparer, &x, &y),
        (false, true) => comparer.exchanged(|comparer| unordered_against_ordered(comparer, &y, &x)),
    })
}

/// A set or a bare list on the left, a tuple on the right.
fn unordered_against_ordered(
    comparer: &mut Comparer<'_>,
    list: &Members<'_>,
    tuple: &Members<'_>,
) -> Verdict {
    if !list.is_set() {
        return comparer.ordered(list.items, tuple.items, Rule::Tuple);
    }
    // `\{1, 2\}` is not the interval `(1, 2)`; three numbers are no interval.
    if tuple.could_be_ends(comparer.pool) {
        return Verdict::Different(Rule::Brackets);
    }
    // A gold set is also given as a tuple; a gold tuple has an order that a set has not.
    if comparer.gold_is_left() || tuple.open == Bracket::Square {
        comparer.multiset(list.items, tuple.items)
    } else {
        comparer.ordered(list.items, tuple.items, Rule::Tuple)
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
