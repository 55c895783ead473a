//! Expressions as a hash-consed graph: equal structure is an equal id.

use std::collections::HashMap;

use dashu::rational::RBig;

use super::meaning::Meaning;
use crate::budget::{Budget, MAX_NODES};

/// An expression in a [`Pool`]; children have smaller ids than parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(u32);

impl Id {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A symbol's number in its pool.
pub(crate) type Symbol = u32;

/// Functions with a meaning of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Fun {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Acot,
    Asec,
    Acsc,
    Sinh,
    Cosh,
    Tanh,
    Coth,
    Sech,
    Csch,
    Asinh,
    Acosh,
    Atanh,
    Acoth,
    Asech,
    Acsch,
    Ln,
    /// `log(x, base)`.
    Log,
    /// `root(x, n)`: the real root where there is one.
    Root,
    Abs,
    Sign,
    Floor,
    Ceil,
    Factorial,
    DoubleFactorial,
    Binomial,
    Gcd,
    Lcm,
    Max,
    Min,
    /// `mod(a, b)`, the remainder with the sign of `b`.
    Mod,
    Re,
    Im,
    Arg,
    Conj,
}

impl Fun {
    /// Whether the function makes sense on integers only, or jumps there.
    pub(crate) fn is_discrete(self) -> bool {
        matches!(
            self,
            Self::Floor
                | Self::Ceil
                | Self::Factorial
                | Self::DoubleFactorial
                | Self::Binomial
                | Self::Gcd
                | Self::Lcm
                | Self::Mod
        )
    }

    pub(crate) fn is_trigonometric(self) -> bool {
        matches!(
            self,
            Self::Sin | Self::Cos | Self::Tan | Self::Cot | Self::Sec | Self::Csc
        )
    }
}

/// One node of an expression.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Number(RBig),
    Symbol(Symbol),
    Pi,
    E,
    /// The imaginary unit.
    I,
    Infinity,
    Undefined,
    Add(Vec<Id>),
    Mul(Vec<Id>),
    Pow(Id, Id),
    Call(Fun, Vec<Id>),
    /// An unknown function's value.
    Apply(Symbol, Vec<Id>),
    Sum {
        product: bool,
        var: Symbol,
        low: Id,
        high: Id,
        body: Id,
    },
    /// From `low` to `high`; an indefinite integral has neither.
    Integral {
        var: Symbol,
        bounds: Option<(Id, Id)>,
        body: Id,
    },
    /// `side` is -1 from below, 1 from above, 0 from both.
    Limit {
        var: Symbol,
        to: Id,
        side: i8,
        body: Id,
    },
    Derivative {
        var: Symbol,
        body: Id,
    },
    /// `3 \pmod 7`: all numbers that leave this residue.
    Residue {
        value: Id,
        modulus: Id,
    },
}

/// All expressions of one pair.
#[derive(Debug)]
pub(crate) struct Pool {
    nodes: Vec<Node>,
    index: HashMap<Node, Id>,
    symbols: Vec<Meaning>,
    symbol_index: HashMap<Meaning, Symbol>,
    /// The variable of an indefinite integral that was read.
    pub(crate) antiderivative_in: Option<Symbol>,
    /// One-letter units that were dropped from a number.
    pub(crate) dropped_units: Vec<String>,
    pub(crate) budget: Budget,
}

impl Pool {
    pub(crate) fn new(budget: Budget) -> Self {
        Self {
            nodes: Vec::new(),
            index: HashMap::new(),
            symbols: Vec::new(),
            symbol_index: HashMap::new(),
            antiderivative_in: None,
            dropped_units: Vec::new(),
            budget,
        }
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(crate) fn meaning(&self, symbol: Symbol) -> &Meaning {
        &self.symbols[symbol as usize]
    }

    /// A symbol's name, if it is one that was written as a name.
    pub(crate) fn written(&self, symbol: Symbol) -> Option<&str> {
        match self.meaning(symbol) {
            Meaning::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Whether a symbol is a capital letter, or a name that starts with one.
    pub(crate) fn is_capital(&self, symbol: Symbol) -> bool {
        self.written(symbol)
            .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_uppercase()))
    }

    /// Whether an expression is the symbol of this name.
    pub(crate) fn is_named(&self, id: Id, wanted: &str) -> bool {
        match self.node(id) {
            Node::Symbol(symbol) => self.written(*symbol) == Some(wanted),
            _ => false,
        }
    }

    pub(crate) fn is_residue(&self, id: Id) -> bool {
        matches!(self.node(id), Node::Residue { .. })
    }

    /// The symbol with this meaning.
    pub(crate) fn symbol_of(&mut self, meaning: Meaning) -> Symbol {
        if let Some(&symbol) = self.symbol_index.get(&meaning) {
            return symbol;
        }
        let symbol = self.symbols.len() as Symbol;
        self.symbols.push(meaning.clone());
        self.symbol_index.insert(meaning, symbol);
        symbol
    }

    /// The symbol of this name.
    pub(crate) fn symbol(&mut self, name: &str) -> Symbol {
        self.symbol_of(Meaning::name(name))
    }

    /// The symbol with this meaning, if any expression holds it.
    pub(crate) fn known(&self, meaning: &Meaning) -> Option<Symbol> {
        self.symbol_index.get(meaning).copied()
    }

    /// The symbol of this name, if any expression holds it.
    pub(crate) fn known_symbol(&self, name: &str) -> Option<Symbol> {
        self.known(&Meaning::name(name))
    }

    /// Puts a node in without simplifying it.
    pub(crate) fn insert(&mut self, node: Node) -> Id {
        if let Some(&id) = self.index.get(&node) {
            return id;
        }
        let _ = self.budget.spend(1);
        if self.nodes.len() >= MAX_NODES {
            self.budget.exhaust();
            if let Some(&id) = self.index.get(&Node::Undefined) {
                return id;
            }
        }
        let id = Id(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.index.insert(node, id);
        id
    }

    pub(crate) fn number(&mut self, value: RBig) -> Id {
        self.insert(Node::Number(value))
    }

    pub(crate) fn int(&mut self, value: i64) -> Id {
        self.number(RBig::from(value))
    }

    /// The symbol of this name, as an expression.
    pub(crate) fn name(&mut self, name: &str) -> Id {
        self.term(Meaning::name(name))
    }

    /// The symbol with this meaning, as an expression.
    pub(crate) fn term(&mut self, meaning: Meaning) -> Id {
        let symbol = self.symbol_of(meaning);
        self.insert(Node::Symbol(symbol))
    }

    pub(crate) fn undefined(&mut self) -> Id {
        self.insert(Node::Undefined)
    }

    pub(crate) fn as_number(&self, id: Id) -> Option<&RBig> {
        match self.node(id) {
            Node::Number(value) => Some(value),
            _ => None,
        }
    }

    /// The value as a small integer.
    pub(crate) fn as_int(&self, id: Id) -> Option<i64> {
        self.as_number(id)
            .filter(|value| value.is_int())
            .and_then(|value| i64::try_from(value.numerator()).ok())
    }
}
