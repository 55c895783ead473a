//! Integrals by double-exponential rules: tanh-sinh on a finite interval,
//! exp-sinh on a half line, sinh-sinh on the whole line. Good for integrands that
//! are smooth inside, whatever they do at the ends; not for ones that oscillate
//! to infinity.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use dashu::rational::RBig;

use super::complex::{Arithmetic, Complex};
use crate::budget::Fail;

/// Nodes stand at `t = k / 16`.
const STEPS: i64 = 16;
/// Nodes of finite intervals reach to gaps of about 2^-100 at the ends.
const FINITE: i64 = 61;
/// Nodes of infinite ones reach from about 2^-70 to 2^70.
const ENDLESS: i64 = 66;

/// A place where the integrand is asked for, and the weight of its value.
pub(crate) struct Sample {
    pub(crate) at: Complex,
    weight: Complex,
    even: bool,
    /// So far out that a missing value does not matter much.
    pub(crate) outer: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Rule {
    Finite,
    Half,
    Line,
}

/// A node of a rule before it is moved: its distance (from the nearer end, from
/// the finite end, from zero), and its weight.
#[derive(Clone)]
struct Place {
    step: i64,
    distance: Complex,
    weight: Complex,
}

/// By rule and precision.
type Places = HashMap<(Rule, i64), Rc<Vec<Place>>>;

thread_local! {
    /// The nodes are dear and the same for every integral.
    static PLACES: RefCell<Places> = RefCell::new(HashMap::new());
}

/// The nodes and weights of a rule, kept from one integral to the next.
fn places(rule: Rule, precision: i64) -> Result<Rc<Vec<Place>>, Fail> {
    if let Some(found) = PLACES.with_borrow(|known| known.get(&(rule, precision)).cloned()) {
        return Ok(found);
    }
    let out = Rc::new(computed_places(rule, precision)?);
    PLACES.with_borrow_mut(|known| {
        // Few precisions occur; a long-lived thread must not gather many.
        if known.len() > 16 {
            known.clear();
        }
        known.insert((rule, precision), Rc::clone(&out));
    });
    Ok(out)
}

fn computed_places(rule: Rule, precision: i64) -> Result<Vec<Place>, Fail> {
    let mut math = Arithmetic::new(precision as usize + 64);
    let reach = if rule == Rule::Finite {
        FINITE
    } else {
        ENDLESS
    };
    let half = math.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
    let pi = math.pi();
    let quarter = math.mul(&pi, &half)?;
    // e^t for t = 0, 1/16, 2/16, ..
    let step = math.rational(&RBig::from_parts(1.into(), (STEPS as u64).into()))?;
    let growth = math.exp(&step)?;
    let mut rise = math.int(1)?;
    let mut out = Vec::new();
    for step in 0..=reach {
        let (sinh, cosh) = hyperbolic(&mut math, &rise, &half)?;
        // A product of some 60 factors is off by some 60 last places.
        rise = math.mul(&rise, &growth)?;
        rise.error = rise.magnitude() - math.precision + 8;
        let inner = math.mul(&quarter, &sinh)?;
        let slope = math.mul(&quarter, &cosh)?;
        let (here, there) = node_pair(&mut math, rule, &inner, &half)?;
        for (step, (distance, factor)) in [(step, here), (-step, there)] {
            if step == 0 && !out.is_empty() {
                continue;
            }
            out.push(Place {
                step,
                // The nodes are what they are: their rounding is no error.
                distance: Complex {
                    error: -(1 << 40),
                    ..distance
                },
                weight: math.mul(&slope, &factor)?,
            });
        }
    }
    out.sort_by_key(|place| place.step);
    Ok(out)
}

/// sinh t and cosh t, given e^t.
fn hyperbolic(
    math: &mut Arithmetic,
    rise: &Complex,
    half: &Complex,
) -> Result<(Complex, Complex), Fail> {
    let fall = math.inv(rise)?;
    let sinh = math.mul(&math.sub(rise, &fall)?, half)?;
    let cosh = math.mul(&math.add(rise, &fall)?, half)?;
    Ok((sinh, cosh))
}

/// A node with its factor.
type Node = (Complex, Complex);

/// The node at t and its mirror image at -t, given s = (pi/2) sinh t.
fn node_pair(
    math: &mut Arithmetic,
    rule: Rule,
    inner: &Complex,
    half: &Complex,
) -> Result<(Node, Node), Fail> {
    let power = math.exp(inner)?;
    let inverse = math.inv(&power)?;
    Ok(match rule {
        Rule::Finite => {
            // 1 - tanh s = 2 / (e^(2s) + 1), without cancellation.
            let (one, two) = (math.int(1)?, math.int(2)?);
            let squared = math.mul(&power, &power)?;
            let gap = math.div(&two, &math.add(&squared, &one)?)?;
            let sum = math.mul(&math.add(&power, &inverse)?, half)?;
            let factor = math.inv(&math.mul(&sum, &sum)?)?;
            ((gap.clone(), factor.clone()), (gap, factor))
        }
        Rule::Half => ((power.clone(), power), (inverse.clone(), inverse)),
        Rule::Line => {
            let (sinh, cosh) = hyperbolic(math, &power, half)?;
            ((sinh.clone(), cosh.clone()), (math.neg(&sinh), cosh))
        }
    })
}

/// The nodes between two ends, of which `None` is an infinite one.
pub(crate) fn nodes(
    low: Option<&Complex>,
    high: Option<&Complex>,
    math: &mut Arithmetic,
) -> Result<Vec<Sample>, Fail> {
    let rule = match (low, high) {
        (Some(_), Some(_)) => Rule::Finite,
        (None, None) => Rule::Line,
        _ => Rule::Half,
    };
    let half = math.rational(&RBig::from_parts(1.into(), 2u8.into()))?;
    let radius = match (low, high) {
        (Some(low), Some(high)) => math.mul(&math.sub(high, low)?, &half)?,
        _ => math.int(1)?,
    };
    places(rule, math.precision)?
        .iter()
        .map(|place| {
            let reach = math.mul(&radius, &place.distance)?;
            let at = match (low, high) {
                (Some(low), Some(_)) if place.step < 0 => math.add(low, &reach)?,
                (_, Some(high)) => math.sub(high, &reach)?,
                (Some(low), None) => math.add(low, &reach)?,
                (None, None) => reach,
            };
            Ok(Sample {
                at,
                weight: math.mul(&radius, &place.weight)?,
                even: place.step % 2 == 0,
                outer: place.step.abs() > STEPS * 5 / 2,
            })
        })
        .collect()
}

/// The sum over all nodes. Every second node makes the coarser rule, whose
/// distance from the finer one bounds the error.
pub(crate) fn total(
    math: &Arithmetic,
    nodes: &[Sample],
    values: &[Option<Complex>],
) -> Result<Complex, Fail> {
    let (mut even, mut odd) = (math.int(0)?, math.int(0)?);
    let mut floor = -44;
    for (node, value) in nodes.iter().zip(values) {
        let Some(value) = value else {
            floor = -40;
            continue;
        };
        let part = math.mul(&node.weight, value)?;
        let sum = if node.even { &mut even } else { &mut odd };
        *sum = math.accumulate(sum, &part)?;
    }
    // What the outermost nodes add bounds what lies beyond them.
    for at in [0, nodes.len() - 1] {
        if let Some(value) = &values[at] {
            floor = floor.max(math.mul(&nodes[at].weight, value)?.magnitude());
        }
    }
    let scale = |total: &Complex, level: i64| {
        let step = math.rational(&RBig::from_parts(1.into(), (level as u64).into()))?;
        math.mul(&total.clone().spread(64), &step)
    };
    let coarse = scale(&even, STEPS / 2)?;
    let fine = scale(&math.accumulate(&even, &odd)?, STEPS)?;
    let moved = math.sub(&coarse, &fine)?;
    let error = (2 * moved.magnitude().max(moved.error) - fine.magnitude().min(0)).max(floor) + 4;
    if error > fine.magnitude() - 20 {
        return Err(Fail::Unknown);
    }
    Ok(Complex { error, ..fine })
}
