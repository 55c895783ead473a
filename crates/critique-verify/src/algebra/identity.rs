//! Whether two expressions are the same function: a randomised identity test.

use std::collections::HashMap;

use dashu::rational::RBig;

use super::build::bits;
use super::complex::Complex;
use super::modular;
use super::numeric::Evaluator;
use super::pool::{Fun, Id, Node, Pool, Symbol};
use crate::budget::Fail;
use crate::rule::Rule;
use crate::verdict::Verdict;

/// Points at which two expressions have to agree.
const POINTS: usize = 6;
/// Points tried before giving up, since some may be poles.
const TRIES: usize = 16;
/// Bits of the first evaluation.
const PRECISION: usize = 128;

/// Compares two expressions as functions of their symbols.
pub(crate) fn same(pool: &Pool, left: Id, right: Id) -> Verdict {
    if let (Some(a), Some(b)) = (pool.as_number(left), pool.as_number(right)) {
        return if a == b {
            Verdict::Equal(Rule::Exact)
        } else {
            Verdict::Different(Rule::Exact)
        };
    }
    let undefined = |id| pool.any(id, |node| *node == Node::Undefined);
    if undefined(left) || undefined(right) {
        return Verdict::Different(Rule::Undefined);
    }
    if left == right {
        return Verdict::Equal(Rule::Structure);
    }
    if let Some(sign) = infinity(pool, left).or_else(|| infinity(pool, right)) {
        let other = if infinite(pool, left) { right } else { left };
        return if super::limits::diverges(pool, other) == Some(sign) {
            Verdict::Equal(Rule::Limit)
        } else {
            Verdict::Different(Rule::Infinity)
        };
    }
    if infinite(pool, left) || infinite(pool, right) {
        return Verdict::Different(Rule::Infinity);
    }
    if modular::is_rational(pool, left) && modular::is_rational(pool, right) {
        return modular_test(pool, left, right);
    }
    match numeric_test(pool, left, right) {
        Ok(verdict) => verdict,
        Err(_) => Verdict::Undecided,
    }
}

/// The sign of an infinity that stands alone.
fn infinity(pool: &Pool, id: Id) -> Option<i64> {
    match pool.node(id) {
        Node::Infinity => Some(1),
        Node::Mul(items) => match items.as_slice() {
            [sign, rest] if *pool.node(*rest) == Node::Infinity => pool.as_int(*sign),
            _ => None,
        },
        _ => None,
    }
}

pub(crate) fn infinite(pool: &Pool, id: Id) -> bool {
    match pool.node(id) {
        Node::Infinity => true,
        Node::Mul(items) | Node::Add(items) => {
            items.iter().any(|item| *pool.node(*item) == Node::Infinity)
        }
        _ => false,
    }
}

fn modular_test(pool: &Pool, left: Id, right: Id) -> Verdict {
    let mut symbols = pool.symbols(left);
    symbols.extend(pool.symbols(right));
    let mut random = Random::new(left, right);
    let mut agreed = 0;
    for round in 0..6 {
        let prime = modular::PRIMES[round % 2];
        let at: HashMap<Symbol, u64> = symbols
            .iter()
            .map(|symbol| (*symbol, random.below(prime - 2) + 1))
            .collect();
        match (
            modular::eval(pool, left, prime, &at),
            modular::eval(pool, right, prime, &at),
        ) {
            (Ok(a), Ok(b)) if a == b => agreed += 1,
            (Ok(_), Ok(_)) => return Verdict::Different(Rule::RationalFunction),
            (Err(Fail::Budget), _) | (_, Err(Fail::Budget)) => return Verdict::Undecided,
            _ => {}
        }
        if agreed == 3 {
            return Verdict::Equal(Rule::RationalFunction);
        }
    }
    Verdict::Undecided
}

/// Two precisions: one that finds differences, one that confirms equality.
fn numeric_test(pool: &Pool, left: Id, right: Id) -> Result<Verdict, Fail> {
    let mut symbols = pool.symbols(left);
    symbols.extend(pool.symbols(right));
    symbols.sort_unstable();
    symbols.dedup();
    let mut random = Random::new(left, right);
    let plan = Plan::new(pool, &[left, right]);
    let (first, fine) = plan.precisions(symbols.is_empty());
    if fine > 4_096 {
        pool.budget.exhaust();
        return Err(Fail::Budget);
    }
    let mut agreed = 0;
    let mut branches = 0;
    let mut failure = Fail::Unknown;
    let (tries, points) = plan.effort();
    for attempt in 0..tries {
        let point: Vec<RBig> = symbols
            .iter()
            .map(|symbol| {
                let first = symbols.first() == Some(symbol);
                plan.coordinate(&mut random, attempt, pool.written(*symbol), first)
            })
            .collect();
        match at_point(pool, left, right, &symbols, &point, first) {
            // Off the reals, two forms may take different branches; real points
            // decide, if there are enough of them.
            Ok(Agreement::DifferentBranch) if !plan.complex && !symbols.is_empty() => branches += 1,
            Ok(Agreement::Different | Agreement::DifferentBranch) => {
                // A difference must survive more digits; those of quadrature are
                // bounded by other means.
                if plan.integrals
                    || matches!(
                        at_point(pool, left, right, &symbols, &point, first + 96)?,
                        Agreement::Different | Agreement::DifferentBranch
                    )
                {
                    return Ok(Verdict::Different(Rule::IdentityTest));
                }
                failure = Fail::Unknown;
            }
            Ok(Agreement::Same) => {
                // Digits are confirmed once; with no symbols there is one point.
                // Quadrature is good for some 44 bits: more would not tell more.
                if agreed == 0
                    && !plan.integrals
                    && at_point(pool, left, right, &symbols, &point, fine)? != Agreement::Same
                {
                    return Ok(Verdict::Undecided);
                }
                agreed += 1;
            }
            Ok(Agreement::Unclear) => failure = Fail::Unknown,
            Err(Fail::Budget) => return Err(Fail::Budget),
            Err(other) => failure = other,
        }
        if agreed >= points || (agreed > 0 && symbols.is_empty()) {
            return Ok(Verdict::Equal(Rule::IdentityTest));
        }
        if attempt + 1 == tries && branches > 0 && agreed < 4 {
            return Ok(Verdict::Different(Rule::IdentityTest));
        }
        if symbols.is_empty() {
            return match failure {
                Fail::Undefined => Ok(Verdict::Different(Rule::Undefined)),
                other => Err(other),
            };
        }
    }
    if agreed >= 3 {
        Ok(Verdict::Equal(Rule::IdentityTest))
    } else {
        Err(failure)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Agreement {
    Same,
    Different,
    /// Different where at least one side is no real number.
    DifferentBranch,
    Unclear,
}

fn at_point(
    pool: &Pool,
    left: Id,
    right: Id,
    symbols: &[Symbol],
    point: &[RBig],
    precision: usize,
) -> Result<Agreement, Fail> {
    let mut evaluator = Evaluator::new(pool, precision);
    for (symbol, value) in symbols.iter().zip(point) {
        evaluator.set(*symbol, value)?;
    }
    let a = evaluator.eval(left)?;
    let b = evaluator.eval(right)?;
    // Quadrature gives fewer digits than functions do.
    let integral = |node: &Node| matches!(node, Node::Integral { .. });
    let digits = if pool.any(left, integral) || pool.any(right, integral) {
        30
    } else {
        36
    };
    Ok(agree(&evaluator, &a, &b, digits))
}

fn agree(evaluator: &Evaluator<'_>, a: &Complex, b: &Complex, digits: i64) -> Agreement {
    let Ok(difference) = evaluator.math.sub(a, b) else {
        return Agreement::Unclear;
    };
    let gap = difference.magnitude();
    let error = a.error.max(b.error);
    let size = a.magnitude().max(b.magnitude());
    if gap > error + 24 {
        return if a.is_real() && b.is_real() {
            Agreement::Different
        } else {
            Agreement::DifferentBranch
        };
    }
    // Equality needs digits: the error has to be far below the values, unless
    // both are zero as far as this precision sees.
    let lost = a.is_lost() && b.is_lost();
    if (error < size - digits || lost) && gap <= error + 12 && error < -24 + size.max(0) {
        Agreement::Same
    } else {
        Agreement::Unclear
    }
}

/// Where to test: which points make sense for these expressions.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each one a property of the pair"
)]
struct Plan {
    integers: bool,
    /// Only floors and the like, which real numbers have too.
    jumps: bool,
    negatives: bool,
    integrals: bool,
    /// Endless sums, which are dear.
    series: bool,
    /// Whether the imaginary unit is written.
    complex: bool,
    literal_bits: usize,
    /// Numbers near which an absolute value may turn.
    turns: Vec<RBig>,
}

impl Plan {
    /// Bits of the first test at a point, and of the one that confirms it; the digits that are
    /// written down come on top.
    fn precisions(&self, is_constant: bool) -> (usize, usize) {
        let first = if self.integrals || self.series && !is_constant {
            PRECISION * 3 / 4
        } else {
            PRECISION
        };
        let fine = if self.series {
            PRECISION * 5 / 4
        } else {
            PRECISION * 5 / 2
        };
        (first + self.literal_bits, fine + self.literal_bits)
    }

    /// Most points that are tried, and how many must agree.
    fn effort(&self) -> (usize, usize) {
        if self.integers {
            (TRIES * 3, POINTS * 4)
        } else if self.negatives {
            (TRIES * 2, POINTS * 3)
        } else if self.series {
            (TRIES, POINTS / 2)
        } else {
            (TRIES, POINTS)
        }
    }

    fn new(pool: &Pool, ids: &[Id]) -> Self {
        let has = |test: &dyn Fn(&Node) -> bool| ids.iter().any(|&id| pool.any(id, test));
        let integers = has(&|node| match node {
            Node::Call(fun, args) => {
                // What a sum runs over is whole anyway.
                fun.is_discrete() && args.iter().any(|arg| pool.has_free_symbol(*arg))
            }
            Node::Sum { low, high, .. } => {
                pool.has_free_symbol(*low) || pool.has_free_symbol(*high)
            }
            _ => false,
        });
        let counting = has(&|node| match node {
            Node::Call(fun, _) => {
                fun.is_discrete() && !matches!(fun, Fun::Floor | Fun::Ceil | Fun::Mod)
            }
            Node::Sum { .. } => true,
            _ => false,
        });
        let negatives = has(&|node| {
            matches!(
                node,
                Node::Call(Fun::Abs | Fun::Sign | Fun::Max | Fun::Min, _)
            )
        });
        let integrals = has(&|node| matches!(node, Node::Integral { .. }));
        let series = has(
            &|node| matches!(node, Node::Sum { high, .. } if *pool.node(*high) == Node::Infinity),
        );
        let complex = has(&|node| *node == Node::I);
        let mut literal_bits = 0;
        for &id in ids {
            for part in pool.reach(id) {
                if let Some(value) = pool.as_number(part) {
                    literal_bits = literal_bits.max(bits(value));
                }
            }
        }
        let literal_bits = literal_bits.saturating_sub(32).next_multiple_of(64);
        let turns = if negatives {
            turning_points(pool, ids)
        } else {
            Vec::new()
        };
        Self {
            integers,
            jumps: !counting,
            negatives,
            integrals,
            series,
            complex,
            literal_bits,
            turns,
        }
    }

    /// Positive numbers of several sizes; integers, one after the other, where
    /// only those make sense. A floor of a symbol that does not count things is
    /// tested between integers too.
    fn coordinate(
        &self,
        random: &mut Random,
        attempt: usize,
        name: Option<&str>,
        first: bool,
    ) -> RBig {
        let whole =
            self.integers && (!self.jumps || name.is_some_and(counts) || attempt.is_multiple_of(2));
        if whole && first {
            return RBig::from(attempt as u64);
        }
        if whole {
            return RBig::from(random.below(10 + attempt as u64));
        }
        // Endless sums converge near zero, if anywhere.
        let scale = if self.series {
            1
        } else {
            [1, 4, 1, 12, 2, 40, 1, 3][attempt % 8]
        };
        let top = 50_000 + random.below(900_000);
        let value = RBig::from_parts((top * scale).into(), 1_000_003u32.into());
        if !self.negatives {
            return value;
        }
        self.on_both_sides(random, attempt, first, value)
    }

    /// Both sides of where an absolute value may turn: far out, near zero, and near numbers that the
    /// pair itself holds; signs of their own for all symbols.
    fn on_both_sides(&self, random: &mut Random, attempt: usize, first: bool, value: RBig) -> RBig {
        let minus = if first {
            attempt % 2 == 1
        } else {
            random.below(2) == 1
        };
        let far = if attempt % 4 < 2 { 37 } else { 1 };
        let value = value * RBig::from(if minus { -far } else { far });
        match self.turns.get(attempt / 2) {
            Some(turn) => turn + value / RBig::from(5),
            None => value,
        }
    }
}

/// Numbers in the pair, with both signs: `|x - 2|` turns at 2.
fn turning_points(pool: &Pool, ids: &[Id]) -> Vec<RBig> {
    let mut out = Vec::new();
    for &id in ids {
        for part in pool.reach(id) {
            let Some(value) = pool.as_number(part) else {
                continue;
            };
            for turn in [value.clone(), -value.clone()] {
                if bits(&turn) < 64 && !out.contains(&turn) && out.len() < 8 {
                    out.push(turn);
                }
            }
        }
    }
    out.sort();
    out
}

/// Whether a symbol names a whole number by custom.
fn counts(name: &str) -> bool {
    name.starts_with(['i', 'j', 'k', 'l', 'm', 'n', 'N', 'M', 'K'])
}

/// A small generator (splitmix64), seeded by the pair.
struct Random(u64);

impl Random {
    fn new(left: Id, right: Id) -> Self {
        // The order of the two sides must not matter.
        let (low, high) = if left < right {
            (left, right)
        } else {
            (right, left)
        };
        let mut random = Self(0x9e37_79b9_7f4a_7c15);
        random.mix(low);
        random.mix(high);
        random
    }

    fn mix(&mut self, id: Id) {
        self.0 ^= self.next().wrapping_add(id.index() as u64);
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
