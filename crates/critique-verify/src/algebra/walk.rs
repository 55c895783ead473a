//! Walking expressions: their parts, their symbols, one symbol replaced.

use std::collections::HashMap;

use super::meaning::Meaning;
use super::pool::{Id, Node, Pool, Symbol};

impl Pool {
    /// Gives a bound variable its canonical name, by how deep binders nest in
    /// the body, so that renamed variables make no difference.
    pub(crate) fn bind(&mut self, var: Symbol, body: Id) -> (Symbol, Id) {
        let level = self
            .reach(body)
            .into_iter()
            .filter_map(|id| match self.node(id) {
                Node::Sum { var, .. } | Node::Integral { var, .. } | Node::Limit { var, .. } => {
                    match self.meaning(*var) {
                        Meaning::Bound(level) => Some(*level),
                        _ => None,
                    }
                }
                _ => None,
            })
            .max()
            .map_or(0, |level| level + 1);
        let fresh = self.symbol_of(Meaning::Bound(level));
        let with = self.insert(Node::Symbol(fresh));
        let body = self.substitute(body, var, with);
        (fresh, body)
    }

    /// The direct children of a node.
    pub(crate) fn children(&self, id: Id) -> Vec<Id> {
        match self.node(id) {
            Node::Add(items) | Node::Mul(items) | Node::Call(_, items) | Node::Apply(_, items) => {
                items.clone()
            }
            Node::Pow(base, exponent) => vec![*base, *exponent],
            Node::Sum {
                low, high, body, ..
            } => vec![*low, *high, *body],
            Node::Integral { bounds, body, .. } => {
                let mut out = vec![*body];
                out.extend(bounds.iter().flat_map(|(low, high)| [*low, *high]));
                out
            }
            Node::Limit { to, body, .. } => vec![*to, *body],
            Node::Derivative { body, .. } => vec![*body],
            Node::Residue { value, modulus } => vec![*value, *modulus],
            _ => Vec::new(),
        }
    }

    /// All nodes an expression is made of, itself included.
    pub(crate) fn reach(&self, id: Id) -> Vec<Id> {
        let mut seen = std::collections::HashSet::new();
        let mut stack = vec![id];
        let mut out = Vec::new();
        while let Some(next) = stack.pop() {
            if seen.insert(next) {
                out.push(next);
                stack.extend(self.children(next));
            }
        }
        out
    }

    pub(crate) fn any(&self, id: Id, test: impl Fn(&Node) -> bool) -> bool {
        self.reach(id).into_iter().any(|id| test(self.node(id)))
    }

    pub(crate) fn contains_symbol(&self, id: Id, symbol: Symbol) -> bool {
        self.any(id, |node| *node == Node::Symbol(symbol))
    }

    /// Free symbols, in order of first use. Bound variables are left out.
    pub(crate) fn symbols(&self, id: Id) -> Vec<Symbol> {
        let mut bound = Vec::new();
        let mut found = Vec::new();
        for id in self.reach(id) {
            match self.node(id) {
                Node::Symbol(symbol) => found.push(*symbol),
                Node::Sum { var, .. }
                | Node::Limit { var, .. }
                | Node::Integral {
                    var,
                    bounds: Some(_),
                    ..
                } => bound.push(*var),
                _ => {}
            }
        }
        found.retain(|symbol| !bound.contains(symbol));
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether a symbol that no sum, integral or limit binds is in the expression.
    pub(crate) fn has_free_symbol(&self, id: Id) -> bool {
        self.any(id, |node| {
            matches!(node, Node::Symbol(symbol) if !matches!(self.meaning(*symbol), Meaning::Bound(_)))
        })
    }

    /// The expression with `symbol` replaced by `with`.
    pub(crate) fn substitute(&mut self, id: Id, symbol: Symbol, with: Id) -> Id {
        self.replace(id, &Node::Symbol(symbol), with)
    }

    /// The expression with a leaf replaced; a bound variable stays.
    pub(crate) fn replace(&mut self, id: Id, leaf: &Node, with: Id) -> Id {
        let symbol = match leaf {
            Node::Symbol(symbol) => Some(*symbol),
            _ => None,
        };
        let mut order = self.reach(id);
        order.sort_unstable();
        let mut map: HashMap<Id, Id> = HashMap::new();
        for old in order {
            let node = self.node(old).clone();
            let new = if node == *leaf {
                with
            } else {
                self.rebuilt(old, node, &map, symbol)
            };
            if self.budget.spend(1).is_err() {
                return self.undefined();
            }
            map.insert(old, new);
        }
        map.get(&id).copied().unwrap_or(id)
    }

    /// A node with its parts replaced by what `map` has for them; a variable that a sum or an
    /// integral binds is not the symbol that is replaced.
    fn rebuilt(
        &mut self,
        old: Id,
        node: Node,
        map: &HashMap<Id, Id>,
        symbol: Option<Symbol>,
    ) -> Id {
        let of = |id: &Id| map.get(id).copied().unwrap_or(*id);
        let all = |ids: &[Id]| ids.iter().map(of).collect::<Vec<_>>();
        match node {
            Node::Add(items) => {
                let items = all(&items);
                self.add(&items)
            }
            Node::Mul(items) => {
                let items = all(&items);
                self.mul(&items)
            }
            Node::Pow(base, exponent) => {
                let (base, exponent) = (of(&base), of(&exponent));
                self.pow(base, exponent)
            }
            Node::Call(fun, items) => {
                let items = all(&items);
                self.call(fun, &items)
            }
            Node::Apply(name, items) => {
                let items = all(&items);
                self.insert(Node::Apply(name, items))
            }
            Node::Derivative { var, body } => self.insert(Node::Derivative {
                var,
                body: of(&body),
            }),
            Node::Residue { value, modulus } => self.insert(Node::Residue {
                value: of(&value),
                modulus: of(&modulus),
            }),
            Node::Sum { .. } | Node::Integral { .. } | Node::Limit { .. } => {
                let node = rebound(node, of, symbol);
                self.insert(node)
            }
            _ => old,
        }
    }
}

/// A sum, an integral or a limit with its parts replaced.
fn rebound(node: Node, of: impl Fn(&Id) -> Id, symbol: Option<Symbol>) -> Node {
    let inside = |var: Symbol, body: Id| if Some(var) == symbol { body } else { of(&body) };
    match node {
        Node::Sum {
            product,
            var,
            low,
            high,
            body,
        } => Node::Sum {
            product,
            var,
            low: of(&low),
            high: of(&high),
            body: inside(var, body),
        },
        Node::Integral { var, bounds, body } => Node::Integral {
            var,
            bounds: bounds.map(|(low, high)| (of(&low), of(&high))),
            body: inside(var, body),
        },
        Node::Limit {
            var,
            to,
            side,
            body,
        } => Node::Limit {
            var,
            to: of(&to),
            side,
            body: inside(var, body),
        },
        other => other,
    }
}
