//! Which prompts begin alike, so that what they share is read once.
//!
//! Prompts in order form a tree: a node is a stretch of tokens that at least two prompts share
//! after the node above it. Critiques of one task share their instructions, refinements of one
//! response share the question and the response. Stretches shorter than [`SHORTEST`] are not
//! worth a node.

use critique_core::Request;

/// Tokens that a node has at least.
const SHORTEST: usize = 24;

/// Tokens that several prompts share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// The node before it.
    pub(crate) parent: Option<usize>,
    /// A request whose prompt has these tokens.
    pub(crate) request: usize,
    /// Where they lie in its prompt.
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Nodes, parents first, and the last node of each request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefixes {
    pub(crate) nodes: Vec<Node>,
    pub(crate) of_request: Vec<Option<usize>>,
    /// Requests in the order of their prompts, so that those that share nodes are neighbours.
    pub(crate) order: Vec<usize>,
}

impl Prefixes {
    pub(crate) fn of(requests: &[Request]) -> Self {
        let mut order: Vec<usize> = (0..requests.len()).collect();
        order.sort_by(|&a, &b| requests[a].prompt.cmp(&requests[b].prompt));
        let mut prefixes = Self {
            nodes: Vec::new(),
            of_request: vec![None; requests.len()],
            order,
        };
        prefixes.branch(requests, 0..requests.len(), None, 0);
        prefixes
    }

    /// Finds the nodes of the requests `range` of the order, whose prompts share their first
    /// `depth` tokens, which end with node `parent`.
    fn branch(
        &mut self,
        requests: &[Request],
        range: std::ops::Range<usize>,
        parent: Option<usize>,
        depth: usize,
    ) {
        let mut first = range.start;
        while first < range.end {
            // Requests that share enough with this one are its neighbours.
            let shared = |a: usize, b: usize| {
                common(
                    &requests[self.order[a]].prompt,
                    &requests[self.order[b]].prompt,
                )
            };
            let mut last = first + 1;
            let mut length = usize::MAX;
            while last < range.end {
                let next = length.min(shared(last - 1, last));
                if next < depth + SHORTEST {
                    break;
                }
                length = next;
                last += 1;
            }
            if last - first > 1 {
                let request = self.order[first];
                self.nodes.push(Node {
                    parent,
                    request,
                    from: depth,
                    to: length,
                });
                let node = self.nodes.len() - 1;
                for at in first..last {
                    self.of_request[self.order[at]] = Some(node);
                }
                self.branch(requests, first..last, Some(node), length);
            }
            first = last;
        }
    }

    /// A request's nodes, first tokens first.
    pub(crate) fn chain(&self, request: usize) -> Vec<usize> {
        let mut chain = Vec::new();
        let mut at = self.of_request[request];
        while let Some(node) = at {
            chain.push(node);
            at = self.nodes[node].parent;
        }
        chain.reverse();
        chain
    }

    /// Tokens of a request's prompt that its nodes hold.
    pub(crate) fn held(&self, request: usize) -> usize {
        self.of_request[request].map_or(0, |node| self.nodes[node].to)
    }
}

/// Tokens at the start that two prompts share; their last tokens never count, since the logits
/// after them are wanted.
fn common(a: &[u32], b: &[u32]) -> usize {
    let most = a.len().min(b.len()) - 1;
    (a.iter().zip(b).take(most))
        .take_while(|(a, b)| a == b)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use critique_core::Sampling;

    fn requests(prompts: &[Vec<u32>]) -> Vec<Request> {
        let request = |prompt: &Vec<u32>| Request {
            prompt: prompt.clone(),
            seeds: vec![0],
            sampling: Sampling::default(),
        };
        prompts.iter().map(request).collect()
    }

    fn prompt(parts: &[(u32, usize)]) -> Vec<u32> {
        parts
            .iter()
            .flat_map(|&(token, count)| std::iter::repeat_n(token, count))
            .collect()
    }

    #[test]
    fn prompts_share_what_they_begin_with_in_several_depths() {
        let head = (1, 40);
        let found = Prefixes::of(&requests(&[
            prompt(&[head, (2, 30), (3, 5)]),
            prompt(&[(9, 50)]),
            prompt(&[head, (2, 30), (4, 5)]),
            prompt(&[head, (5, 30)]),
        ]));
        assert_eq!(found.nodes.len(), 2);
        assert_eq!((found.nodes[0].from, found.nodes[0].to), (0, 40));
        assert_eq!((found.nodes[1].from, found.nodes[1].to), (40, 70));
        assert_eq!(found.chain(0), [0, 1]);
        assert_eq!(found.chain(2), [0, 1]);
        assert_eq!(found.chain(3), [0]);
        assert!(found.chain(1).is_empty());
        assert_eq!(found.held(2), 70);
    }

    #[test]
    fn equal_prompts_keep_their_last_token_for_themselves() {
        let found = Prefixes::of(&requests(&[prompt(&[(1, 60)]), prompt(&[(1, 60)])]));
        assert_eq!(found.held(0), 59);
        let short = Prefixes::of(&requests(&[prompt(&[(1, 10)]), prompt(&[(1, 10)])]));
        assert!(short.nodes.is_empty());
    }
}
